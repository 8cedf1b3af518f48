/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets between gmemd and gmemd-keeper, and whether they are what the protocol says. See
 * protocol.h.
 *
 * Functions return 0 or a negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/fd_packet.h"
#include "daemon/keeper/protocol.h"

struct keeper_packet {
	struct keeper_message message;
	struct fd_packet came; /* its length and fds */
};

int keeper_id_compare(const struct keeper_id *a, const struct keeper_id *b);

/* How long a message of that many ids is. */
size_t keeper_message_length(uint32_t count);

/*
 * Receives one; its fds have FD_CLOEXEC. -ECONNRESET where the connection has ended, and for an
 * empty packet, which counts as its end; -EAGAIN where there is none, on a socket that doesn't
 * wait.
 */
int keeper_packet_receive(int socket, struct keeper_packet *ret);
/* Closes the fds that it still owns. */
void keeper_packet_clear(struct keeper_packet *packet);

/* The fds stay the caller's. -EPIPE where the peer is gone, -ETOOMANYREFS where too many fds are on
 * their way. */
int keeper_packet_send(int socket, const struct keeper_message *message, size_t length,
	const int *fds, unsigned n_fds);

/* -EPROTONOSUPPORT where it is of another version, -EMFILE where its fds could not be received,
 * -EBADMSG where it is no request in another way. */
int keeper_request_check(const struct keeper_packet *packet);

/* The same for what answers a request. Its result may be an error. */
int keeper_answer_check(const struct keeper_packet *packet, const struct keeper_header *request);
