/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The taker's packets: what it takes for a request, and gmemd for its answer.
 *
 * An input is the number of files, the request's number of files, and a message's bytes. A message
 * without magic gets it.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/taker/packet.h"
#include "tests/fuzz/fuzz.h"

static void send_message(int socket, const void *bytes, size_t length, size_t n_fds)
{
	int fds[FD_PACKET_FDS_MAX];

	for (size_t i = 0; i < FD_PACKET_FDS_MAX; i++)
		fds[i] = STDERR_FILENO;
	FUZZ_CHECK(fd_packet_send(socket, bytes, length, fds, n_fds) == 0);
}

static void check_request(const struct taker_packet *packet)
{
	const struct taker_header *header = &packet->message.header;

	if (taker_request_check(packet) < 0)
		return;
	FUZZ_CHECK(packet->came.n_fds == (header->operation != TAKER_CLOSE));
	FUZZ_CHECK(header->result == 0);
	if (header->operation == TAKER_LOOK) {
		FUZZ_CHECK(header->count > 0 && header->count <= TAKER_VIEWS_MAX);
		return;
	}
	FUZZ_CHECK(header->count <= TAKER_FILES_MAX);
	for (uint32_t i = 0; i < header->count; i++)
		taker_kind_is_handed_over(packet->message.request.files[i].kind);
}

/* Of a request that names so many files to hand over. */
static void check_answer(const struct taker_packet *packet, uint32_t count)
{
	const struct taker_header *header = &packet->message.header;
	struct taker_message request = {
		.header = {
			.operation = header->operation, .serial = header->serial, .count = count}};
	struct taker_asked asked;

	for (uint32_t i = 0; i < count; i++)
		request.request.files[i].kind = TAKER_MEMORY;
	asked = taker_asked(&request);
	if (taker_answer_check(packet, &asked) < 0)
		return;
	FUZZ_CHECK(header->result <= 0);
	if (header->operation == TAKER_TAKE) {
		const struct taker_answer *answer = &packet->message.answer;

		FUZZ_CHECK(packet->came.n_fds == (header->result == 0 ? count : 0));
		FUZZ_CHECK(strlen(answer->reason) < sizeof answer->reason);
		FUZZ_CHECK(answer->failed == 0 || answer->failed < count);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	size_t n_fds = fuzz_byte(&input) % (FD_PACKET_FDS_MAX + 1), length;
	uint32_t count = fuzz_byte(&input) % (TAKER_FILES_MAX + 1);
	int before = fuzz_free_fd(), sockets[2];
	uint8_t message[sizeof(struct taker_message) + 8];
	struct taker_header *header = (struct taker_header *)message;
	struct taker_packet packet;

	length = fuzz_fill(&input, message, sizeof message);
	if (length == 0)
		return 0;
	if (header->magic == 0) {
		header->magic = TAKER_MAGIC;
		header->version = TAKER_VERSION;
	}
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
	send_message(sockets[0], message, length, n_fds);
	FUZZ_CHECK(taker_packet_receive(sockets[1], &packet) == 0);
	FUZZ_CHECK(packet.came.length == length && packet.came.n_fds == n_fds);
	check_request(&packet);
	check_answer(&packet, count);
	fd_packet_clear(&packet.came);
	close(sockets[0]);
	close(sockets[1]);
	FUZZ_CHECK(fuzz_free_fd() == before);
	return 0;
}
