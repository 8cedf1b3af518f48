/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The outbox: what is on its way to one peer, answers and events, in their order.
 *
 * What can't be sent now waits in memory. A peer with anything waiting must not be read: so it
 * makes gmemd hold one answer and a bounded number of events. Files wait until the peer has
 * received all that was sent before, and until its user has few enough in flight (in_flight.h).
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "daemon/peer/in_flight.h"
#include "daemon/request/delivery.h"

struct json_object;

TAILQ_HEAD(outgoing_list, outgoing);

struct outbox {
	struct gmemd *gmemd;
	struct turn *turn;
	int fd; /* the connection; not owned */
	uid_t uid;
	struct owner *owner; /* whose the connection is; not owned */
	struct outgoing_list waiting;
	unsigned n_waiting;
	struct event *writable, *rested;
	struct in_flight_peer in_flight;
	/* Something waits from now on: stop reading, before the outbox watches the connection. */
	void (*blocked)(struct outbox *outbox);
	/* Nothing waits any more. */
	void (*drained)(struct outbox *outbox);
	/* The peer can't be sent to. The outbox may be cleared. */
	void (*failed)(struct outbox *outbox);
	/* There may be room for what waits: have outbox_go_on() called. */
	void (*ready)(struct outbox *outbox);
};

/* Sets up what the caller has not: gmemd, turn, uid and the calls are set before. fd stays the
 * caller's. -ENOMEM; it is to be cleared then, too. */
int outbox_init(struct outbox *outbox, int fd);
/* Sends what waits, as far as that goes. */
void outbox_go_on(struct outbox *outbox);
/* Forgets what waits. */
void outbox_clear(struct outbox *outbox);

bool outbox_is_empty(const struct outbox *outbox);
/* Whether the peer has not received files that it was sent: then its connection must stay, or
 * nobody counts them. drained() is called once it has. */
bool outbox_awaits_receipt(struct outbox *outbox);

/* The answer that ends the turn. Takes the files. Errors are packet_send()'s. */
int outbox_answer(struct outbox *outbox, struct json_object *message, struct fd_list *take_fds);
/* An answer out of turn. Takes its place in the ledger as well. */
int outbox_answer_later(struct outbox *outbox, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later);
/* The same of an answer's text, without files. */
int outbox_answer_text(
	struct outbox *outbox, const char *text, size_t length, struct later *take_later);
/* An event or another notification, which is dropped where too many wait already. */
void outbox_notify(struct outbox *outbox, struct json_object *message);
/* Whether the next notification would be dropped. */
bool outbox_is_full(const struct outbox *outbox);
