/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_ping: gmemd's shortest request against a bare exchange of packets of the same sizes, raw
 * and through libgmem.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/gmem.h"
#include "protocol/packet.h"
#include "tests/bench/bench.h"

static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";

#define REQUEST_LENGTH (sizeof request - 1)
#define ANSWER_LENGTH  (sizeof answer - 1)

static void echo(int socket)
{
	char bytes[4096];

	while (recv(socket, bytes, sizeof bytes, 0) == REQUEST_LENGTH &&
		send(socket, answer, ANSWER_LENGTH, MSG_NOSIGNAL) == ANSWER_LENGTH)
		;
	_exit(EXIT_SUCCESS);
}

static int set_up_bare(const char *socket, void **ret_context)
{
	int pair[2], pid;

	(void)socket;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = bench_fork();
	if (pid == 0) {
		close(pair[0]);
		echo(pair[1]);
	}
	close(pair[1]);
	*ret_context = (void *)(intptr_t)pair[0];
	return pid < 0 ? pid : 0;
}

static int set_up_raw(const char *socket, void **ret_context)
{
	int fd, r = packet_connect(socket, &fd);

	if (r == 0)
		*ret_context = (void *)(intptr_t)fd;
	return r;
}

static int exchange(void *context)
{
	int socket = (int)(intptr_t)context;
	char bytes[4096];

	if (send(socket, request, REQUEST_LENGTH, MSG_NOSIGNAL) != REQUEST_LENGTH)
		return -errno;
	if (recv(socket, bytes, sizeof bytes, 0) != ANSWER_LENGTH ||
		memcmp(bytes, answer, ANSWER_LENGTH) != 0)
		return -EPROTO;
	return 0;
}

static int set_up_library(const char *socket, void **ret_context)
{
	return gmem_connect(socket, (struct gmem **)ret_context);
}

static int call(void *context)
{
	char *result;
	int r = gmem_call(context, "ping", NULL, &result);

	if (r == 0)
		free(result);
	return r;
}

int main(int argc, char **argv)
{
	static const char *const steps[] = {"round trip", NULL};
	static const struct bench_subject subjects[] = {
		{"bare packets", set_up_bare, {exchange}},
		{"gmemd ping, no keeper", set_up_raw, {exchange}},
		{"gmemd ping", set_up_raw, {exchange}},
		{"gmemd ping, libgmem", set_up_library, {call}},
	};
	static const struct bench_comparison comparison = {
		.title = "ping",
		.unit = BENCH_MICROSECONDS,
		.steps = steps,
		.subjects = subjects,
		.n_subjects = sizeof subjects / sizeof *subjects,
		.n_kept = 2,
		.rounds = 40,
		.samples = 1000,
		.batch = 1,
		.target = "gmemd ping at most 2.00 times bare packets",
	};

	return bench_main(argc, argv, &comparison);
}
