/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child behind the gate. See gated.h.
 */
#include "tests/lib/gated.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/kvm/mapping.h"
#include "protocol/packet.h"

#define TRAP_MILLISECONDS_MAX 10000

static void run_gated(void *context)
{
	struct gated *gated = context;
	struct mailbox_area areas[MAILBOX_COMMANDS];
	int listener = -1;
	int r;

	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		areas[command] = mailbox_area(command);
	if (gated->prepare)
		gated->prepare(gated->context);
	r = mapping_make_permanent(mailbox_fd(gated->mailbox), mailbox_address(gated->mailbox),
		mailbox_length(gated->mailbox));
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_EQUAL_FATAL(gate_install(areas, &listener), 0);
	CU_ASSERT_EQUAL_FATAL(packet_send(gated->socket, 0, "", 0, &listener, 1), 0);
	close(listener);
	close(gated->socket);
	gated->body(gated->context);
}

static int receive_listener(int socket)
{
	static struct packet packet;

	return packet_receive(socket, 0, &packet) == 0 ? fd_list_take(&packet.fds, 0) : -1;
}

bool gated_start(struct gated *gated)
{
	const char *reason;
	int ends[2];

	if (!gate_available(&reason)) {
		unit_skip(reason);
		return false;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	gated->socket = ends[1];
	unit_child_start(&gated->child, run_gated, gated);
	close(ends[1]);
	gated->listener = receive_listener(ends[0]);
	close(ends[0]);
	CU_ASSERT_TRUE(gated->listener >= 0);
	return true;
}

bool gated_next(struct gated *gated, struct gate_trap *ret_trap)
{
	struct pollfd event = {.fd = gated->listener, .events = POLLIN};
	struct seccomp_notif room;
	bool received = poll(&event, 1, TRAP_MILLISECONDS_MAX) == 1 && event.revents & POLLIN &&
			gate_receive(gated->listener, &room, ret_trap) == 0;

	CU_ASSERT_TRUE(received);
	return received;
}

void gated_end(struct gated *gated, int expected_signal)
{
	gated->listener = fd_close(gated->listener);
	unit_child_end(&gated->child, expected_signal);
}
