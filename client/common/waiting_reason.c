/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why gmemd does not answer. See waiting_reason.h.
 */
#include "client/common/waiting_reason.h"

#include <errno.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define KEEPER_SOCKET "keeper.sock"

bool waiting_is_received(int fd)
{
	int left = 0;

	return fd >= 0 && ioctl(fd, SIOCOUTQ, &left) == 0 && left == 0;
}

/* Beside gmemd's socket. One that others may not connect to is there all the same. */
static bool keeper_listens(const char *path)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *slash = strrchr(path, '/');
	int directory = slash ? (int)(slash - path) + 1 : 0;

	if (fd < 0 || snprintf(address.sun_path, sizeof address.sun_path, "%.*s" KEEPER_SOCKET,
			      directory, path) >= (int)sizeof address.sun_path)
		return false;
	return connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ||
	       errno == EACCES || errno == EAGAIN;
}

/* The process that has made the socket listen: 0 where it isn't known, as in a PID namespace. */
static pid_t find_listener(int fd)
{
	struct ucred peer = {.pid = 0};
	socklen_t length = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return 0;
	return peer.pid;
}

static bool is_gmemd(pid_t pid)
{
	char path[32], name[16] = "";
	cleanup_file FILE *file = NULL;

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	file = fopen(path, "re");
	return file && fscanf(file, "%15s", name) == 1 && strcmp(name, "gmemd") == 0;
}

void waiting_reason(const char *socket, int fd, char *ret, size_t size)
{
	pid_t listener = fd < 0 ? 0 : find_listener(fd);

	if (fd < 0)
		snprintf(ret, size, "its queue of connections is full, and nobody accepts them");
	else if (waiting_is_received(fd))
		snprintf(ret, size, "it has the request and has not answered yet");
	else if (listener > 1 && is_gmemd(listener))
		snprintf(ret, size, "process %d has not read the request", listener);
	else if (listener == 1)
		snprintf(ret, size,
			"the service manager listens there, and no gmemd has read the request; "
			"\"systemctl status gmemd.service\" says why");
	else if (keeper_listens(socket))
		snprintf(ret, size,
			"no gmemd has read the request; gmemd-keeper alone holds the socket, until "
			"gmemd is started again");
	else
		snprintf(ret, size, "no gmemd has read the request");
}
