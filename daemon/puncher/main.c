/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-puncher: gives back pages of files for a page thread of gmemd's.
 *
 * Whoever else has a file can hold its lock for as long as it likes, and a punch waits for that,
 * whatever signal comes: the kernel lets no process end meanwhile. So gmemd, which must be able to
 * end at any time, does not punch; this does, one process for each of its page threads. It has one
 * end of a pair of sockets (protocol.h), and ends when gmemd closes the other, or as soon as it can
 * after that. It may be the last that has a file then, and nobody waits for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/fd_packet.h"
#include "daemon/puncher/confinement.h"
#include "daemon/puncher/protocol.h"
#include "kernel/host/process_start.h"

static bool is_request(const struct fd_packet *packet, const struct puncher_request *request)
{
	return packet->n_fds == 1 && packet->length >= puncher_request_length(1) &&
	       request->magic == PUNCHER_MAGIC && request->version == PUNCHER_VERSION &&
	       request->count <= PUNCHER_RANGES_MAX && request->kind <= PUNCH_HUGE_RESERVED &&
	       packet->length == puncher_request_length(request->count);
}

/* What it gets is of gmemd alone: a packet that is wrong ends it. */
static int serve_gmemd(void)
{
	struct puncher_answer answer = {.magic = PUNCHER_MAGIC, .version = PUNCHER_VERSION};
	struct puncher_request request;
	struct fd_packet packet;
	int r = fd_packet_receive(PUNCHER_SOCKET, &request, sizeof request, &packet);

	if (r < 0)
		return r;
	if (!is_request(&packet, &request))
		return -EBADMSG;
	punch(packet.fds[0], (enum punch_kind)request.kind, request.ranges, request.count,
		&answer.punched);
	fd_packet_clear(&packet);
	return fd_packet_send(PUNCHER_SOCKET, &answer, sizeof answer, NULL, 0);
}

int main(void)
{
	int r = process_start(PROCESS_DAEMON);

	if (r == 0)
		r = puncher_confinement_enter();
	while (r == 0)
		r = serve_gmemd();
	_exit(r == -ECONNRESET || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE);
}
