/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The outbox. See send_queue.h.
 */
#include "daemon/peer/send_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/gmemd.h"
#include "daemon/pages/page_file.h"
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
static void outgoing_free(struct outbox *outbox, struct outgoing *outgoing)
{
	TAILQ_REMOVE(&outbox->waiting, outgoing, link);
	outbox->n_waiting--;
	turn_forget_later(outbox->turn, &outgoing->later);
	for (size_t i = 0; i < outgoing->fds.count; i++)
		page_file_dispose(outbox->gmemd->bulk, outbox->owner, outgoing->fds.fds[i]);
	free(outgoing);
}

bool outbox_is_empty(const struct outbox *outbox)
{
	return TAILQ_EMPTY(&outbox->waiting);
}

bool outbox_is_full(const struct outbox *outbox)
{
	return outbox->n_waiting >= EVENTS_WAITING_MAX;
}

/* Sending */

static int send_packet(struct outbox *outbox, enum packet_kind kind, const char *bytes,
	size_t length, const struct fd_list *fds, struct later *later)
{
	struct turn *turn = outbox->turn;
	int r;

	if (kind == PACKET_EVENT)
		return packet_send(outbox->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count);
	r = turn_send(turn, kind == PACKET_LATER ? later : NULL, bytes, length, fds);
	if (r == 0 && kind == PACKET_ANSWER)
		turn_end(turn);
	return r;
}

static int send_now(struct outbox *outbox, enum packet_kind kind, const char *bytes, size_t length,
	const struct fd_list *fds, struct later *later)
{
	int r;

	if (fds->count == 0)
		return send_packet(outbox, kind, bytes, length, fds, later);
	r = in_flight_charge(outbox->gmemd->in_flight, &outbox->in_flight, outbox->uid, fds->count);
	if (r < 0)
		return r;
	r = send_packet(outbox, kind, bytes, length, fds, later);
	if (r < 0)
		in_flight_give_back(&outbox->in_flight);
	return r;
}

/* Waiting */

/* What can be sent some time. */
static bool is_passing(int r)
{
	return r == -EAGAIN || r == -ETOOMANYREFS || r == -EDQUOT;
}

/* Edge-triggered: a connection whose queue has room, but is not empty, is writable all the time. */
static void wait_to_send(struct outbox *outbox, int r)
{
	outbox->blocked(outbox);
	if (r == -EAGAIN) {
		event_add(outbox->writable, NULL);
	} else {
		event_del(outbox->writable);
		event_add(outbox->rested, &rest);
	}
}

/* Takes the files and what is later on success. */
static int wait_in_line(struct outbox *outbox, enum packet_kind kind, const char *bytes,
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
	TAILQ_INSERT_TAIL(&outbox->waiting, outgoing, link);
	outbox->n_waiting++;
	return 0;
}

/* Sends now or later, and takes the files and what is later then. */
static int post(struct outbox *outbox, enum packet_kind kind, const char *bytes, size_t length,
	struct fd_list *fds, struct later *later)
{
	int r = -EAGAIN;

	if (!outbox_is_empty(outbox))
		return wait_in_line(outbox, kind, bytes, length, fds, later);
	r = send_now(outbox, kind, bytes, length, fds, later);
	if (!is_passing(r))
		return r;
	wait_to_send(outbox, r);
	return wait_in_line(outbox, kind, bytes, length, fds, later);
}

static int post_message(struct outbox *outbox, enum packet_kind kind, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later)
{
	size_t length;
	const char *bytes = json_print(message, &length);
	int r = bytes ? post(outbox, kind, bytes, length, take_fds, take_later) : -ENOMEM;

	fd_list_close(take_fds);
	return r;
}

int outbox_answer(struct outbox *outbox, struct json_object *message, struct fd_list *take_fds)
{
	return post_message(outbox, PACKET_ANSWER, message, take_fds, NULL);
}

int outbox_answer_later(struct outbox *outbox, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later)
{
	return post_message(outbox, PACKET_LATER, message, take_fds, take_later);
}

int outbox_answer_text(
	struct outbox *outbox, const char *text, size_t length, struct later *take_later)
{
	struct fd_list none = {.count = 0};

	return post(outbox, PACKET_LATER, text, length, &none, take_later);
}

/* A peer that can't be sent to is found out when it is next read or written. */
void outbox_notify(struct outbox *outbox, struct json_object *message)
{
	struct fd_list none = {.count = 0};

	if (!outbox_is_full(outbox))
		post_message(outbox, PACKET_EVENT, message, &none, NULL);
}

/* When there is room again */

static int send_waiting(struct outbox *outbox)
{
	struct outgoing *outgoing;
	int r;

	while ((outgoing = TAILQ_FIRST(&outbox->waiting))) {
		r = send_now(outbox, outgoing->kind, outgoing->bytes, outgoing->length,
			&outgoing->fds, &outgoing->later);
		if (r < 0)
			return r;
		outgoing_free(outbox, outgoing);
	}
	return 0;
}

static void has_room(evutil_socket_t fd, short what, void *context)
{
	struct outbox *outbox = context;

	(void)fd;
	(void)what;
	outbox->ready(outbox);
}

void outbox_go_on(struct outbox *outbox)
{
	int r = send_waiting(outbox);

	if (is_passing(r)) {
		wait_to_send(outbox, r);
	} else if (r < 0) {
		outbox->failed(outbox);
	} else {
		event_del(outbox->writable);
		outbox->drained(outbox);
	}
}

bool outbox_awaits_receipt(struct outbox *outbox)
{
	if (!in_flight_any(&outbox->in_flight))
		return false;
	wait_to_send(outbox, -EAGAIN);
	return true;
}

int outbox_init(struct outbox *outbox, int fd)
{
	struct event_base *base = outbox->gmemd->base;

	outbox->fd = fd;
	outbox->writable = event_new(base, fd, EV_WRITE | EV_PERSIST | EV_ET, has_room, outbox);
	outbox->rested = event_new(base, -1, 0, has_room, outbox);
	return outbox->writable && outbox->rested ? 0 : -ENOMEM;
}

void outbox_clear(struct outbox *outbox)
{
	while (!outbox_is_empty(outbox))
		outgoing_free(outbox, TAILQ_FIRST(&outbox->waiting));
	in_flight_end(&outbox->in_flight);
	if (outbox->writable)
		event_free(outbox->writable);
	if (outbox->rested)
		event_free(outbox->rested);
	outbox->writable = outbox->rested = NULL;
}
