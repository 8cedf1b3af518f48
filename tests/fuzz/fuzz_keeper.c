/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper's packets: what it is sent by anybody, and what gmemd is answered by any keeper.
 *
 * An input is packets, each the number of its files, its length and its bytes. All are sent to a
 * keeper, and each is taken for an answer by gmemd's side of it. A packet without magic gets it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/keeper/held_fds.h"
#include "daemon/keeper/packet.h"
#include "daemon/keeper/server.h"
#include "tests/fuzz/fuzz.h"

#define FDS_MAX  (KEEPER_BATCH + 2)
#define HELD_MAX 32

struct sent {
	struct keeper_message message;
	size_t length;
	unsigned n_fds;
};

static void read_packet(struct fuzz_input *input, struct sent *ret)
{
	uint8_t n_fds = fuzz_byte(input), count = fuzz_byte(input);
	struct keeper_header *header = &ret->message.header;

	fuzz_fill(input, &ret->message, keeper_message_length(count % (KEEPER_BATCH + 1)));
	ret->n_fds = n_fds % (FDS_MAX + 1);
	ret->length = keeper_message_length(count % (KEEPER_BATCH + 1)) - (count > 250);
	if (header->magic != 0)
		return;
	header->magic = KEEPER_MAGIC;
	header->version = KEEPER_VERSION;
	header->operation %= KEEPER_TAKE_MANY + 2;
}

/* Readable, as the pidfd of a process that has ended. */
static int file = -1;

static void send_packet(int socket, const struct sent *sent)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
	struct iovec vector = {(void *)&sent->message, sent->length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	struct cmsghdr *header = (struct cmsghdr *)control;

	if (sent->n_fds > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sent->n_fds * sizeof(int));
		*header = (struct cmsghdr){
			CMSG_LEN(sent->n_fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		for (unsigned i = 0; i < sent->n_fds; i++)
			memcpy(CMSG_DATA(header) + i * sizeof(int), &file, sizeof file);
	}
	/* A keeper that has refused the connection reads no more of it. */
	sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* gmemd's side: whatever comes, it keeps no file of what it doesn't take. */
static void try_answer(const struct sent *sent)
{
	struct keeper_header request = {
		.operation = sent->message.header.operation, .serial = sent->message.header.serial};
	struct keeper_packet packet;
	int sockets[2], r;

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
	send_packet(sockets[0], sent);
	r = keeper_packet_receive(sockets[1], &packet);
	if (r == 0 && keeper_answer_check(&packet, &request) == 0)
		FUZZ_CHECK(packet.came.n_fds == packet.message.header.count &&
			   packet.message.header.result <= 0);
	if (r == 0)
		keeper_packet_clear(&packet);
	close(sockets[0]);
	close(sockets[1]);
}

static int listen_at(struct sockaddr_un *address, socklen_t *length)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	*length = sizeof(sa_family_t); /* the kernel chooses an abstract one */
	FUZZ_CHECK(bind(fd, (struct sockaddr *)address, *length) == 0 && listen(fd, 1) == 0);
	*length = sizeof *address;
	FUZZ_CHECK(getsockname(fd, (struct sockaddr *)address, length) == 0);
	return fd;
}

/* It serves all that was sent, then nobody is connected and it has nothing to wait for. */
static void serve(struct held_fds *holding, int listener)
{
	struct keeper_server server = {
		.holding = holding, .listener = listener, .signals = -1, .exits = true};

	FUZZ_CHECK(keeper_server_run(&server) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	int before, listener, peer;
	struct sockaddr_un address;
	struct held_fds holding;
	socklen_t length;
	struct sent sent;

	if (file < 0)
		file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	before = fuzz_free_fd();
	held_fds_init(&holding, HELD_MAX);
	listener = listen_at(&address, &length);
	peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(connect(peer, (struct sockaddr *)&address, length) == 0);
	while (input.left > 0) {
		read_packet(&input, &sent);
		send_packet(peer, &sent);
		try_answer(&sent);
	}
	close(peer);
	serve(&holding, listener);
	FUZZ_CHECK(holding.count <= HELD_MAX);
	held_fds_clear(&holding);
	close(listener);
	FUZZ_CHECK(fuzz_free_fd() == before);
	return 0;
}
