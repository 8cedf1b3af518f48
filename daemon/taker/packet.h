/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets between gmemd and a gmemd-taker, and whether they are what the protocol says. See
 * protocol.h.
 */
#pragma once

#include "daemon/base/fd_packet.h"
#include "daemon/taker/protocol.h"

struct taker_packet {
	struct taker_message message;
	struct fd_packet came; /* its length and its files */
};

/* fd_packet_receive()'s errors. */
int taker_packet_receive(int socket, struct taker_packet *ret);

/* Whether files of that kind are handed over. */
bool taker_kind_is_handed_over(enum taker_kind kind);

/* How long a TAKE of so many files is, or a LOOK of so many views. */
size_t taker_request_length(enum taker_operation operation, uint32_t count);
/* How long the answer to such a request is. */
size_t taker_answer_length(enum taker_operation operation);

/* -EPROTONOSUPPORT where it is of another version, -EMFILE where its fds could not be received,
 * -EBADMSG where it is no request in another way. */
int taker_request_check(const struct taker_packet *packet);

/* What is to be known of a request when its answer comes. */
struct taker_asked {
	uint64_t serial;
	enum taker_operation operation;
	uint32_t count;
	uint32_t n_fds; /* that go with its answer, unless that is an error */
};

struct taker_asked taker_asked(const struct taker_message *request);

/* The same for what answers a request. Its result may be an error. */
int taker_answer_check(const struct taker_packet *packet, const struct taker_asked *asked);
