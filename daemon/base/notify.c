/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service manager is told. See notify.h.
 */
#include "daemon/base/notify.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "kernel/base/cleanup.h"

#define PAUSE_MILLISECONDS 10

/* "@" stands for the NUL that an abstract name begins with. */
static int find_address(const char *path, struct sockaddr_un *address, socklen_t *ret_length)
{
	size_t length = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || length < 2)
		return -EINVAL;
	if (length >= sizeof address->sun_path)
		return -ENAMETOOLONG;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, length);
	if (path[0] == '@')
		address->sun_path[0] = '\0';
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
				  (path[0] == '/')); /* with its own NUL */
	return 0;
}

static int send_packet(struct msghdr *packet)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	cleanup_fd int fd = -1;
	int r;

	if (!path)
		return 0;
	r = find_address(path, &address, &packet->msg_namelen);
	if (r < 0)
		return r;
	packet->msg_name = &address;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return sendmsg(fd, packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int notify_send(const char *state)
{
	struct iovec part = {(void *)state, strlen(state)};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};

	return send_packet(&packet);
}

int notify_send_file(const char *state, int fd)
{
	char control[CMSG_SPACE(sizeof fd)] = "";
	struct iovec part = {(void *)state, strlen(state)};
	struct msghdr packet = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&packet);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(rights), &fd, sizeof fd);
	return send_packet(&packet);
}

int notify_try(const char *state, int milliseconds)
{
	int r = notify_send(state);

	for (int waited = 0; r == -EAGAIN && waited < milliseconds; waited += PAUSE_MILLISECONDS) {
		poll(NULL, 0, PAUSE_MILLISECONDS);
		r = notify_send(state);
	}
	return r;
}
