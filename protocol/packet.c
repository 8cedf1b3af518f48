/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets with file descriptors. See packet.h.
 */
#include "protocol/packet.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union control_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX)];
};

int fd_list_take(struct fd_list *list, size_t index)
{
	int fd;

	if (index >= list->count)
		return -1;
	fd = list->fds[index];
	list->fds[index] = -1;
	return fd;
}

void fd_list_close(struct fd_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->fds[i] >= 0)
			close(list->fds[i]);
	}
	list->count = 0;
}

static void fd_list_add_control(struct fd_list *list, struct msghdr *message)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control;
		control = CMSG_NXTHDR(message, control)) {
		size_t size = control->cmsg_len - CMSG_LEN(0);

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(list->fds + list->count, CMSG_DATA(control), size);
		list->count += size / sizeof(int);
	}
}

/* An empty packet reads like the end of the connection, but leaves it open. */
static bool at_end(int socket)
{
	struct pollfd event = {.fd = socket, .events = POLLRDHUP};

	return poll(&event, 1, 0) != 0;
}

/* -EINTR by a signal. */
static int receive_once(int socket, int flags, struct packet *packet)
{
	struct iovec vector = {packet->bytes, PACKET_BYTES_MAX};
	union control_buffer control;
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t length = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);

	if (length < 0)
		return -errno;
	packet->fds.count = 0;
	fd_list_add_control(&packet->fds, &message);
	if (length == 0 && packet->fds.count == 0 && at_end(socket))
		return -ECONNRESET;
	packet->length = (size_t)length;
	packet->bytes[length] = '\0';
	packet->fault = PACKET_WHOLE;
	if (message.msg_flags & MSG_TRUNC)
		packet->fault = PACKET_TOO_LONG;
	if (message.msg_flags & MSG_CTRUNC)
		packet->fault = PACKET_TOO_MANY_FDS;
	return 0;
}

int packet_receive(int socket, int flags, struct packet *packet)
{
	int r;

	do
		r = receive_once(socket, flags, packet);
	while (r == -EINTR);
	return r;
}

int packet_limit_wait(int socket, unsigned milliseconds)
{
	const struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};

	return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) < 0 ? -errno : 0;
}

int packet_await(int socket, struct packet *packet)
{
	int r = receive_once(socket, 0, packet);

	return r == -EINTR ? -EAGAIN : r;
}

static void attach_fds(
	struct msghdr *message, union control_buffer *control, const int *fds, size_t n_fds)
{
	struct cmsghdr *header;

	memset(control, 0, sizeof *control);
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
}

/* The kernel writes msg_len itself, before the process can end of anything. */
static int send_marked(int socket, int flags, struct mmsghdr *mark)
{
	int sent;

	mark->msg_len = PACKET_UNDONE;
	do
		sent = sendmmsg(socket, mark, 1, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int packet_send_marked(int socket, int flags, const char *bytes, size_t length, const int *fds,
	size_t n_fds, struct mmsghdr *mark)
{
	struct iovec vector = {(void *)bytes, length};
	union control_buffer control;

	if (length > PACKET_BYTES_MAX || n_fds > PACKET_FDS_MAX)
		return -EMSGSIZE;
	mark->msg_hdr = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
	if (n_fds > 0)
		attach_fds(&mark->msg_hdr, &control, fds, n_fds);
	return send_marked(socket, flags, mark);
}

int packet_send(
	int socket, int flags, const char *bytes, size_t length, const int *fds, size_t n_fds)
{
	struct mmsghdr mark;

	return packet_send_marked(socket, flags, bytes, length, fds, n_fds, &mark);
}

int packet_receive_marked(int socket, char *room, struct mmsghdr *mark)
{
	struct iovec vector = {room, PACKET_BYTES_MAX};
	int received;

	mark->msg_hdr = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
	mark->msg_len = PACKET_UNDONE;
	do
		received = recvmmsg(socket, mark, 1, MSG_DONTWAIT, NULL);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -errno;
	if (mark->msg_len == 0 && at_end(socket))
		return -ECONNRESET;
	room[mark->msg_len] = '\0';
	return 0;
}

struct packet_bytes packet_received(const char *room, const struct mmsghdr *mark)
{
	return (struct packet_bytes){
		.bytes = room,
		.length = mark->msg_len,
		.too_long = mark->msg_hdr.msg_flags & MSG_TRUNC,
	};
}

int packet_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do
		r = connect(fd, (struct sockaddr *)&address, sizeof address);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
