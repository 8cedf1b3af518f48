/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses. See address.h.
 */
#include "client/exporter/address.h"

#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define BACKLOG 128

static int parse_path(const char *path, struct address *ret)
{
	struct sockaddr_un *address = (struct sockaddr_un *)&ret->socket;

	if (strlen(path) >= sizeof address->sun_path)
		return -EINVAL;
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, path);
	ret->length = sizeof *address;
	return 0;
}

static unsigned port_of(const struct sockaddr_storage *socket)
{
	return ntohs(socket->ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)socket)->sin6_port
			     : ((const struct sockaddr_in *)socket)->sin_port);
}

int address_parse(const char *text, struct address *ret)
{
	int length = sizeof ret->socket;

	*ret = (struct address){.length = 0};
	if (text[0] == '/')
		return parse_path(text, ret);
	if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&ret->socket, &length) < 0 ||
		port_of(&ret->socket) == 0)
		return -EINVAL;
	ret->length = (socklen_t)length;
	return 0;
}

/* Of who serves there no more. Any other file is none of ours; connect(2) refuses it as it does a
 * socket that nobody has. */
static int remove_stale(const struct address *address)
{
	const struct sockaddr_un *socket_address = (const struct sockaddr_un *)&address->socket;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (lstat(socket_address->sun_path, &status) < 0)
		return -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EADDRINUSE;
	if (connect(fd, (const struct sockaddr *)&address->socket, address->length) == 0 ||
		errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(socket_address->sun_path) < 0 ? -errno : 0;
}

static int bind_to(int fd, const struct address *address)
{
	const int one = 1;

	if (address->socket.ss_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return bind(fd, (const struct sockaddr *)&address->socket, address->length) < 0 ? -errno
											: 0;
}

static const char *path_of(const struct address *address)
{
	return ((const struct sockaddr_un *)&address->socket)->sun_path;
}

static void note_file(struct address *address)
{
	struct stat status;

	if (address->socket.ss_family != AF_UNIX || lstat(path_of(address), &status) < 0)
		return;
	address->device = status.st_dev;
	address->inode = status.st_ino;
}

int address_listen(struct address *address, int *ret_fd)
{
	cleanup_fd int fd =
		socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = bind_to(fd, address);
	if (r == -EADDRINUSE && address->socket.ss_family == AF_UNIX) {
		r = remove_stale(address);
		if (r == 0)
			r = bind_to(fd, address);
	}
	if (r < 0)
		return r;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	note_file(address);
	*ret_fd = fd;
	fd = -1; /* the caller's */
	return 0;
}

void address_leave(const struct address *address)
{
	struct stat status;

	if (address->socket.ss_family == AF_UNIX && lstat(path_of(address), &status) == 0 &&
		status.st_dev == address->device && status.st_ino == address->inode)
		unlink(path_of(address));
}
