/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets: what is received is what was sent, or said to be less; files are all kept or all closed.
 *
 * An input is the number of files, how often the rest is repeated, and the rest.
 */
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "protocol/packet.h"
#include "tests/fuzz/fuzz.h"

#define FDS_MAX 24
#define ROOM    (PACKET_BYTES_MAX + 4096)

static char bytes[ROOM];

/* With more files and bytes than packet_send() sends. */
static void send_any(int socket, size_t length, size_t n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
	struct iovec vector = {bytes, length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	struct cmsghdr *header = (struct cmsghdr *)control;
	int fds[FDS_MAX];

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = STDERR_FILENO;
	if (n_fds > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		*header = (struct cmsghdr){CMSG_LEN(n_fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
	}
	FUZZ_CHECK(sendmsg(socket, &message, 0) == (ssize_t)length);
}

static void check_packet(struct packet *packet, size_t length, size_t n_fds)
{
	bool too_long = length > PACKET_BYTES_MAX;

	if (n_fds > PACKET_FDS_MAX)
		FUZZ_CHECK(packet->fault == PACKET_TOO_MANY_FDS);
	else
		FUZZ_CHECK(packet->fault == (too_long ? PACKET_TOO_LONG : PACKET_WHOLE));
	if (packet->fault != PACKET_WHOLE)
		return;
	FUZZ_CHECK(packet->length == length && memcmp(packet->bytes, bytes, length) == 0);
	FUZZ_CHECK(packet->bytes[length] == '\0' && packet->fds.count == n_fds);
	for (size_t i = 0; i < n_fds; i += 2)
		close(fd_list_take(&packet->fds, i));
}

static void try_with_files(const int *sockets, size_t length, size_t n_fds)
{
	static struct packet packet;

	send_any(sockets[0], length, n_fds);
	FUZZ_CHECK(packet_receive(sockets[1], MSG_DONTWAIT, &packet) == 0);
	check_packet(&packet, length, n_fds);
	fd_list_close(&packet.fds);
}

static void try_marked(const int *sockets, size_t length)
{
	static char room[PACKET_BYTES_MAX + 1];
	struct mmsghdr mark;
	struct packet_bytes received;

	send_any(sockets[0], length, 0);
	FUZZ_CHECK(packet_receive_marked(sockets[1], room, &mark) == 0);
	received = packet_received(room, &mark);
	FUZZ_CHECK(received.too_long == (length > PACKET_BYTES_MAX));
	if (received.too_long)
		return;
	FUZZ_CHECK(received.length == length && memcmp(received.bytes, bytes, length) == 0);
	FUZZ_CHECK(received.bytes[length] == '\0');
}

static size_t fill(struct fuzz_input *input, size_t times)
{
	size_t length = 0, part = input->left;

	for (size_t i = 0; i <= times && length + part <= ROOM; i++) {
		memcpy(bytes + length, input->next, part);
		length += part;
	}
	return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	size_t n_fds = fuzz_byte(&input) % (FDS_MAX + 1);
	size_t length = fill(&input, fuzz_byte(&input));
	int fd = fuzz_free_fd(), sockets[2];

	if (length == 0)
		return 0;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
	try_with_files(sockets, length, n_fds);
	try_marked(sockets, length);
	close(sockets[0]);
	close(sockets[1]);
	FUZZ_CHECK(fuzz_free_fd() == fd);
	return 0;
}
