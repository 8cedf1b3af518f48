/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The send queue: what is on its way to one peer, answers and events, in their order.
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

struct send_queue;

struct send_queue_calls {
	/* Something waits from now on: stop reading, before the send queue watches the
	 * connection. The event must not be added then, by the caller. */
	void (*blocked)(struct send_queue *send_queue);
	/* Nothing waits any more. */
	void (*drained)(struct send_queue *send_queue);
	/* The peer can't be sent to. The send queue may be cleared. */
	void (*failed)(struct send_queue *send_queue);
	/* There may be room for what waits: have send_queue_go_on() called. */
	void (*ready)(struct send_queue *send_queue);
};

/* The caller sets all but n_waiting, and has the event assigned. */
struct send_queue {
	struct gmemd *gmemd;
	struct delivery *delivery;
	int fd; /* the connection; not owned */
	uid_t uid;
	struct owner *const *owner; /* whose the connection is now */
	struct outgoing_list waiting;
	unsigned n_waiting;
	struct event *event; /* the caller's; the send queue's from blocked() to drained() */
	struct in_flight_peer in_flight;
	const struct send_queue_calls *calls;
};

/* ready is called after a while. For when there was no memory to watch the connection. */
void send_queue_rest(struct send_queue *send_queue);

/* Sends what waits, as far as that goes. */
void send_queue_go_on(struct send_queue *send_queue);
/* Forgets what waits. */
void send_queue_clear(struct send_queue *send_queue);

bool send_queue_is_empty(const struct send_queue *send_queue);
/* Whether the peer has not received files that it was sent: then its connection must stay, or
 * nobody counts them. drained() is called once it has. */
bool send_queue_awaits_receipt(struct send_queue *send_queue);

/* The answer that ends the turn. Takes the files. Errors are packet_send()'s. */
int send_queue_answer(
	struct send_queue *send_queue, struct json_object *message, struct fd_list *take_fds);
/* An answer out of turn. Takes its place in the ledger as well. */
int send_queue_answer_later(struct send_queue *send_queue, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later);
/* The same of an answer's text, without files. */
int send_queue_answer_text(
	struct send_queue *send_queue, const char *text, size_t length, struct later *take_later);
/* An event or another notification, which is dropped where too many wait already. */
void send_queue_notify(struct send_queue *send_queue, struct json_object *message);
/* Whether the next notification would be dropped. */
bool send_queue_is_full(const struct send_queue *send_queue);
