/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets of bytes and files. See fd_packet.h.
 */
#include "daemon/base/fd_packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/base/cleanup.h"

/* To receive what there was no memory for. */
#define TRIES_MAX 3

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(FD_PACKET_FDS_MAX * sizeof(int))];
};

static void take_fds(struct msghdr *message, struct fd_packet *packet)
{
	struct cmsghdr *header;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		packet->n_fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(packet->fds, CMSG_DATA(header), packet->n_fds * sizeof(int));
	}
	packet->fds_lost = message->msg_flags & MSG_CTRUNC;
}

/* Nothing is lost by a want of memory that passes: the packet is there still. */
static bool may_be_repeated(int error, unsigned *tries)
{
	return error == EINTR || (fd_packet_is_short(-error) && ++*tries < TRIES_MAX);
}

int fd_packet_receive(int socket, void *bytes, size_t size, struct fd_packet *ret)
{
	union control control;
	struct iovec vector = {bytes, size};
	struct msghdr message = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	unsigned tries = 0;
	ssize_t length;

	ret->n_fds = 0;
	do {
		length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_TRUNC);
	} while (length < 0 && may_be_repeated(errno, &tries));
	if (length < 0)
		return -errno;
	take_fds(&message, ret);
	ret->length = (size_t)length;
	if (length > 0)
		return 0;
	fd_packet_clear(ret);
	return -ECONNRESET;
}

void fd_packet_clear(struct fd_packet *packet)
{
	for (size_t i = 0; i < packet->n_fds; i++)
		packet->fds[i] = fd_close(packet->fds[i]);
	packet->n_fds = 0;
}

static void attach_fds(struct msghdr *message, union control *control, const int *fds, size_t n_fds)
{
	memset(control, 0, sizeof *control);
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	control->header.cmsg_level = SOL_SOCKET;
	control->header.cmsg_type = SCM_RIGHTS;
	control->header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(&control->header), fds, n_fds * sizeof(int));
}

int fd_packet_send(int socket, const void *bytes, size_t length, const int *fds, size_t n_fds)
{
	union control control;
	struct iovec vector = {(void *)bytes, length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	ssize_t sent;

	if (n_fds > FD_PACKET_FDS_MAX)
		return -EMSGSIZE;
	if (n_fds > 0)
		attach_fds(&message, &control, fds, n_fds);
	do {
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}
