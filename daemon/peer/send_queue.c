/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The send queue. See send_queue.h.
 */
#include "daemon/peer/send_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/gmemd.h"
#include "daemon/pages/page_closer.h"
#include "protocol/json.h"

/* Events that wait for a slow peer, at most; what comes then is dropped and shows as a gap in its
 * sequence. */
#define EVENTS_WAITING_MAX 64

/* How long a peer rests whose files wait for others': nothing tells when that changes. */
static const struct timeval rest = {.tv_usec = 100 * 1000};

enum packet_kind { PACKET_EVENT, PACKET_ANSWER, PACKET_LATER };

struct outgoing {
	TAILQ_ENTRY(outgoing) link;
	enum packet_kind kind;
	struct later later;
	struct fd_list fds;
	size_t length;
	char bytes[];
};

/* While it has waited, all others may have closed a memory's file that goes with it. */
static void outgoing_free(struct send_queue *send_queue, struct outgoing *outgoing)
{
	TAILQ_REMOVE(&send_queue->waiting, outgoing, link);
	send_queue->n_waiting--;
	delivery_forget_later(send_queue->delivery, &outgoing->later);
	for (size_t i = 0; i < outgoing->fds.count; i++)
		page_file_dispose(
			send_queue->gmemd->pages, *send_queue->owner, outgoing->fds.fds[i]);
	free(outgoing);
}

bool send_queue_is_empty(const struct send_queue *send_queue)
{
	return TAILQ_EMPTY(&send_queue->waiting);
}

bool send_queue_is_full(const struct send_queue *send_queue)
{
	return send_queue->n_waiting >= EVENTS_WAITING_MAX;
}

/* Sending */

static int send_packet(struct send_queue *send_queue, enum packet_kind kind, const char *bytes,
	size_t length, const struct fd_list *fds, struct later *later)
{
	struct delivery *delivery = send_queue->delivery;
	int r;

	if (kind == PACKET_EVENT)
		return packet_send(
			send_queue->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count);
	r = delivery_send(delivery, kind == PACKET_LATER ? later : NULL, bytes, length, fds);
	if (r == 0 && kind == PACKET_ANSWER)
		delivery_end(delivery);
	return r;
}

static int send_now(struct send_queue *send_queue, enum packet_kind kind, const char *bytes,
	size_t length, const struct fd_list *fds, struct later *later)
{
	int r;

	if (fds->count == 0)
		return send_packet(send_queue, kind, bytes, length, fds, later);
	r = in_flight_charge(
		send_queue->gmemd->in_flight, &send_queue->in_flight, send_queue->uid, fds->count);
	if (r < 0)
		return r;
	r = send_packet(send_queue, kind, bytes, length, fds, later);
	if (r < 0)
		in_flight_give_back(&send_queue->in_flight);
	return r;
}

/* Waiting */

static void has_room(evutil_socket_t fd, short what, void *context)
{
	struct send_queue *send_queue = context;

	(void)fd;
	(void)what;
	send_queue->calls->ready(send_queue);
}

void send_queue_rest(struct send_queue *send_queue)
{
	event_del(send_queue->event);
	event_assign(send_queue->event, send_queue->gmemd->base, -1, 0, has_room, send_queue);
	event_add(send_queue->event, &rest);
}

/* Edge-triggered: a connection whose queue has room, but is not empty, is writable all the time. So
 * it is watched on where it is watched already. */
static int watch_for_room(struct send_queue *send_queue)
{
	if (event_pending(send_queue->event, EV_WRITE, NULL))
		return 0;
	event_del(send_queue->event);
	event_assign(send_queue->event, send_queue->gmemd->base, send_queue->fd,
		EV_WRITE | EV_PERSIST | EV_ET, has_room, send_queue);
	return event_add(send_queue->event, NULL);
}

/* What can be sent some time. */
static bool is_passing(int r)
{
	return r == -EAGAIN || r == -ETOOMANYREFS || r == -EDQUOT;
}

static void wait_to_send(struct send_queue *send_queue, int r)
{
	send_queue->calls->blocked(send_queue);
	if (r != -EAGAIN || watch_for_room(send_queue) < 0)
		send_queue_rest(send_queue);
}

/* Takes the files and what is later on success. */
static int wait_in_line(struct send_queue *send_queue, enum packet_kind kind, const char *bytes,
	size_t length, struct fd_list *fds, struct later *later)
{
	struct outgoing *outgoing = malloc(sizeof *outgoing + length);

	if (!outgoing)
		return -ENOMEM;
	memcpy(outgoing->bytes, bytes, length);
	outgoing->length = length;
	outgoing->fds = *fds;
	fds->count = 0;
	outgoing->kind = kind;
	outgoing->later = later ? *later : (struct later){.request = 0};
	if (later)
		later->place = (struct owed_place){.count = 0};
	TAILQ_INSERT_TAIL(&send_queue->waiting, outgoing, link);
	send_queue->n_waiting++;
	return 0;
}

/* Sends now or later, and takes the files and what is later then. */
static int post_packet(struct send_queue *send_queue, enum packet_kind kind, const char *bytes,
	size_t length, struct fd_list *fds, struct later *later)
{
	int r = -EAGAIN;

	if (!send_queue_is_empty(send_queue))
		return wait_in_line(send_queue, kind, bytes, length, fds, later);
	r = send_now(send_queue, kind, bytes, length, fds, later);
	if (!is_passing(r))
		return r;
	wait_to_send(send_queue, r);
	return wait_in_line(send_queue, kind, bytes, length, fds, later);
}

static int post_message(struct send_queue *send_queue, enum packet_kind kind,
	struct json_object *message, struct fd_list *take_fds, struct later *take_later)
{
	size_t length;
	const char *bytes = message ? json_print(message, &length) : NULL;
	int r = bytes ? post_packet(send_queue, kind, bytes, length, take_fds, take_later)
		      : -ENOMEM;

	fd_list_close(take_fds);
	return r;
}

int send_queue_answer(
	struct send_queue *send_queue, struct json_object *message, struct fd_list *take_fds)
{
	return post_message(send_queue, PACKET_ANSWER, message, take_fds, NULL);
}

int send_queue_answer_later(struct send_queue *send_queue, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later)
{
	return post_message(send_queue, PACKET_LATER, message, take_fds, take_later);
}

int send_queue_answer_text(
	struct send_queue *send_queue, const char *text, size_t length, struct later *take_later)
{
	struct fd_list none = {.count = 0};

	return post_packet(send_queue, PACKET_LATER, text, length, &none, take_later);
}

/* A peer that can't be sent to is found out when it is next read or written. */
void send_queue_notify(struct send_queue *send_queue, struct json_object *message)
{
	struct fd_list none = {.count = 0};

	if (!send_queue_is_full(send_queue))
		post_message(send_queue, PACKET_EVENT, message, &none, NULL);
}

/* When there is room again */

static int send_waiting(struct send_queue *send_queue)
{
	struct outgoing *outgoing;
	int r;

	while ((outgoing = TAILQ_FIRST(&send_queue->waiting))) {
		r = send_now(send_queue, outgoing->kind, outgoing->bytes, outgoing->length,
			&outgoing->fds, &outgoing->later);
		if (r < 0)
			return r;
		outgoing_free(send_queue, outgoing);
	}
	return 0;
}

void send_queue_go_on(struct send_queue *send_queue)
{
	int r = send_waiting(send_queue);

	if (is_passing(r)) {
		wait_to_send(send_queue, r);
	} else if (r < 0) {
		send_queue->calls->failed(send_queue);
	} else {
		event_del(send_queue->event);
		send_queue->calls->drained(send_queue);
	}
}

bool send_queue_awaits_receipt(struct send_queue *send_queue)
{
	if (!in_flight_any(&send_queue->in_flight))
		return false;
	wait_to_send(send_queue, -EAGAIN);
	return true;
}

void send_queue_clear(struct send_queue *send_queue)
{
	while (!send_queue_is_empty(send_queue))
		outgoing_free(send_queue, TAILQ_FIRST(&send_queue->waiting));
	in_flight_end(&send_queue->in_flight);
}
