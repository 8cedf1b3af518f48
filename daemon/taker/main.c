/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-taker: takes files of a peer's process for gmemd, and looks at how it has mapped one.
 *
 * Each of that can wait for ever, for whoever the file is of; here nobody else waits. It is started
 * by gmemd, of which it has one end of a pair of sockets and nothing else (protocol.h), and
 * ends when gmemd closes the other.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon/taker/confinement.h"
#include "daemon/taker/mapping.h"
#include "daemon/taker/packet.h"
#include "daemon/taker/taking.h"
#include "daemon/taker/views.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/process_start.h"

/* More than the end of a gmemd takes that has much to close. */
#define GMEMD_ENDS_MS 10000

struct taker {
	int gmemd;          /* its pidfd */
	struct taken taken; /* what was handed over and is not yet to be closed */
};

static struct taker_header header_of_answer(const struct taker_message *request, int result)
{
	return (struct taker_header){.magic = TAKER_MAGIC,
		.version = TAKER_VERSION,
		.operation = request->header.operation,
		.result = result,
		.serial = request->header.serial};
}

static int send_message(const struct taker_message *message, const struct taken *taken)
{
	return fd_packet_send(TAKER_SOCKET, message, taker_answer_length(message->header.operation),
		taken->fds, taken->count);
}

static int send_answer(const struct taker_message *request, int result,
	const struct taker_answer *answer, const struct taken *taken)
{
	const struct taker_message message = {
		.header = header_of_answer(request, result), .answer = *answer};

	return send_message(&message, taken);
}

static void verify_mapping(const struct taker_process *process, const struct taker_message *request,
	const struct taken *taken, struct taker_answer *answer)
{
	int first = taken->count > 0 ? taken->fds[0] : -1;
	const char *reason;

	answer->mapping = taker_mapping_verify(process, request, first, &reason);
	snprintf(answer->reason, sizeof answer->reason, "%s",
		answer->mapping < 0 && reason ? reason : "");
}

/* What can't be sent is not handed over: there may be no memory for it, or too many files on their
 * way. */
static int serve_take(struct taker *taker, const struct taker_message *request, int pidfd)
{
	const struct taker_process process = {request->request.process, pidfd};
	const struct taken nothing = {.count = 0};
	struct taker_answer answer = {.failed = 0};
	int r;

	if (taker->taken.count > 0)
		return -EBADMSG;
	r = taken_take(&taker->taken, &process, request, &answer.failed);
	if (r == 0 && request->header.flags & TAKER_MAPPING)
		verify_mapping(&process, request, &taker->taken, &answer);
	if (r == 0)
		answer.failed = 0;
	r = send_answer(request, r, &answer, &taker->taken);
	if (r == 0)
		return 0;
	taken_close(&taker->taken);
	return send_answer(request, r, &answer, &nothing);
}

static int serve_look(const struct taker_message *request, int pidfd)
{
	const struct taker_process process = {request->look.process, pidfd};
	const struct taken nothing = {.count = 0};
	struct taker_message message = {.look_answer = {.shown = 0}};
	int r = taker_views_look(&process, request, &message.look_answer.shown);

	message.header = header_of_answer(request, r);
	return send_message(&message, &nothing);
}

static int serve_close(struct taker *taker, const struct taker_message *request)
{
	const struct taker_answer nothing = {.failed = 0};

	taken_close(&taker->taken);
	if (request->header.flags & TAKER_QUIET)
		return 0;
	return send_answer(request, 0, &nothing, &taker->taken);
}

/* What it gets is of gmemd alone: a packet that is wrong ends it. */
static int serve_gmemd(struct taker *taker)
{
	struct taker_packet packet;
	int r = taker_packet_receive(TAKER_SOCKET, &packet);

	if (r < 0)
		return r;
	r = taker_request_check(&packet);
	if (r == 0 && packet.message.header.operation == TAKER_TAKE)
		r = serve_take(taker, &packet.message, packet.came.fds[0]);
	else if (r == 0 && packet.message.header.operation == TAKER_LOOK)
		r = serve_look(&packet.message, packet.came.fds[0]);
	else if (r == 0)
		r = serve_close(taker, &packet.message);
	fd_packet_clear(&packet.came);
	return r;
}

/* A gmemd that ends closes what it was handed over as well; it must not be the last. */
static void outlive_gmemd(const struct taker *taker)
{
	struct pollfd event = {.fd = taker->gmemd, .events = POLLIN};

	if (taker->taken.count > 0 && taker->gmemd >= 0)
		poll(&event, 1, GMEMD_ENDS_MS);
}

int main(void)
{
	int r = process_start(PROCESS_DAEMON);
	struct taker taker = {.gmemd = pidfd_open(getppid(), 0)};

	if (r == 0)
		r = taker_confinement_enter();
	while (r == 0)
		r = serve_gmemd(&taker);
	outlive_gmemd(&taker);
	_exit(r == -ECONNRESET || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE);
}
