/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peers. See peer.h.
 */
#include "daemon/peer.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "daemon/custody.h"
#include "daemon/deferral.h"
#include "daemon/dispatch.h"
#include "daemon/disposal.h"
#include "daemon/log.h"
#include "daemon/step.h"
#include "kernel/cleanup.h"
#include "kernel/linger.h"
#include "protocol/json.h"
#include "protocol/message.h"

/* Events that wait for a slow peer, at most; what comes then is dropped and shows as a gap in its
 * sequence. */
#define EVENTS_WAITING_MAX 64

/* Fds sent to a peer and not known to be received, at most: they pin what they refer to. */
#define FDS_UNDELIVERED_MAX 32

/*
 * How long a peer rests where its answer finds too many fds of all users on their way, or it has
 * sent more files than can be closed: nothing tells when that changes.
 */
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

struct peer {
	TAILQ_ENTRY(peer) link;
	struct peer_list *list;
	struct gmemd *gmemd;
	struct peer_entry entry;
	int fd;
	struct user *user;
	struct caller caller;
	struct subscriber subscriber;
	bool subscribed;
	struct event *readable, *writable, *rested;
	TAILQ_HEAD(, outgoing) queue;
	unsigned n_queued;
	size_t fds_undelivered;
};

static void outgoing_free(struct peer *peer, struct outgoing *outgoing)
{
	TAILQ_REMOVE(&peer->queue, outgoing, link);
	peer->n_queued--;
	turn_forget_later(&peer->caller.turn, &outgoing->later);
	fd_list_close(&outgoing->fds);
	free(outgoing);
}

/* What of it would outlive gmemd goes with it. */
static void forget(struct peer *peer)
{
	struct gmemd *gmemd = peer->gmemd;

	turn_clear(&peer->caller.turn);
	if (!gmemd->peer_ledger || gmemd->leaving)
		return;
	custody_drop(gmemd->custody, CUSTODY_PEER, peer->entry.number, 0);
	peer_ledger_forget(gmemd->peer_ledger, &peer->entry);
}

static void peer_free(struct peer *peer)
{
	TAILQ_REMOVE(peer->list, peer, link);
	deferrals_abandon(&peer->caller);
	if (peer->subscribed)
		events_unsubscribe(&peer->gmemd->events, &peer->subscriber);
	while (!TAILQ_EMPTY(&peer->queue))
		outgoing_free(peer, TAILQ_FIRST(&peer->queue));
	forget(peer);
	if (peer->readable)
		event_free(peer->readable);
	if (peer->writable)
		event_free(peer->writable);
	if (peer->rested)
		event_free(peer->rested);
	process_release(&peer->caller.process);
	linger_close(peer->fd);
	user_give_back(peer->user, USER_PEERS);
	free(peer);
}

void peers_free(struct peer_list *list)
{
	while (!TAILQ_EMPTY(list))
		peer_free(TAILQ_FIRST(list));
}

/* r: why nothing could be sent. Until it can, the peer is not read. */
static void wait_to_send(struct peer *peer, int r)
{
	event_del(peer->readable);
	if (r == -ETOOMANYREFS) {
		event_del(peer->writable);
		event_add(peer->rested, &rest);
	} else {
		event_add(peer->writable, NULL);
	}
}

/* Takes the fds and what is later on success. */
static int queue(struct peer *peer, enum packet_kind kind, const char *bytes, size_t length,
	struct fd_list *fds, struct later *later)
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
	TAILQ_INSERT_TAIL(&peer->queue, outgoing, link);
	peer->n_queued++;
	return 0;
}

static int send_now(struct peer *peer, enum packet_kind kind, const char *bytes, size_t length,
	const struct fd_list *fds, struct later *later)
{
	struct turn *turn = &peer->caller.turn;
	int r;

	if (kind == PACKET_EVENT)
		r = packet_send(peer->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count);
	else
		r = turn_send(turn, kind == PACKET_LATER ? later : NULL, bytes, length, fds);
	if (r < 0)
		return r;
	peer->fds_undelivered += fds->count;
	if (kind == PACKET_ANSWER)
		turn_end(turn);
	return 0;
}

/* Sends now or queues, and takes the fds and what is later then. later: of PACKET_LATER. */
static int send_or_queue(struct peer *peer, enum packet_kind kind, const char *bytes, size_t length,
	struct fd_list *fds, struct later *later)
{
	int r = -EAGAIN;

	if (TAILQ_EMPTY(&peer->queue))
		r = send_now(peer, kind, bytes, length, fds, later);
	if (r != -EAGAIN && r != -ETOOMANYREFS)
		return r;
	wait_to_send(peer, r);
	return queue(peer, kind, bytes, length, fds, later);
}

/* The same. The fds are closed or taken. */
static int peer_send(struct peer *peer, enum packet_kind kind, struct json_object *message,
	struct fd_list *fds, struct later *later)
{
	size_t length;
	const char *bytes = json_print(message, &length);
	int r = bytes ? send_or_queue(peer, kind, bytes, length, fds, later) : -ENOMEM;

	fd_list_close(fds);
	return r;
}

/* An empty queue has delivered all; else nobody can tell which packets have arrived. */
static bool too_many_undelivered(struct peer *peer)
{
	int unread;

	if (peer->fds_undelivered <= FDS_UNDELIVERED_MAX)
		return false;
	if (ioctl(peer->fd, SIOCOUTQ, &unread) == 0 && unread == 0)
		peer->fds_undelivered = 0;
	return peer->fds_undelivered > FDS_UNDELIVERED_MAX;
}

/* What a successor must know of it, where that has changed. */
static void note(struct peer *peer)
{
	struct peer_entry *entry = &peer->entry;

	if (!peer->gmemd->peer_ledger ||
		(entry->record > 0 && entry->subscribed == peer->subscribed &&
			entry->sequence == peer->subscriber.sequence))
		return;
	entry->subscribed = peer->subscribed;
	entry->sequence = peer->subscriber.sequence;
	peer_ledger_note(peer->gmemd->peer_ledger, entry);
}

static int serve_packet(struct peer *peer, struct packet *packet)
{
	struct json_object *answer;
	struct fd_list fds;
	int r = 0;

	peer->caller.fds_refused = too_many_undelivered(peer);
	answer = dispatch_packet(peer->gmemd, &peer->caller, packet, &fds);
	turn_leave_files(&peer->caller.turn, &packet->fds);
	note(peer);
	if (answer)
		r = peer_send(peer, PACKET_ANSWER, answer, &fds, NULL);
	else if (peer->caller.held == 0)
		turn_end(&peer->caller.turn);
	json_unref(answer);
	return r;
}

#define PEER_OF_CALLER(member) ((struct peer *)((char *)(member)-offsetof(struct peer, caller)))

/* It is read while it has been sent all that there was, and no answer is awaited. */
static void go_on(struct caller *caller)
{
	struct peer *peer = PEER_OF_CALLER(caller);

	if (caller->held == 0 && TAILQ_EMPTY(&peer->queue))
		turn_end(&caller->turn);
	if (caller->held > 0 || !TAILQ_EMPTY(&peer->queue))
		event_del(peer->readable);
	else
		event_add(peer->readable, NULL);
}

/* A peer that can't be sent to is found out when it is next read or written. */
static void send_later_answer(struct caller *caller, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later)
{
	enum packet_kind kind = take_later ? PACKET_LATER : PACKET_ANSWER;

	peer_send(PEER_OF_CALLER(caller), kind, message, take_fds, take_later);
}

static void notify(struct caller *caller, struct json_object *message)
{
	struct peer *peer = PEER_OF_CALLER(caller);
	struct fd_list none = {.count = 0};

	if (peer->n_queued < EVENTS_WAITING_MAX)
		peer_send(peer, PACKET_EVENT, message, &none, NULL);
}

static void readable(evutil_socket_t fd, short what, void *context)
{
	static struct packet packet; /* there is one loop, and it serves one packet at a time */
	struct peer *peer = context;
	int r;

	(void)fd;
	(void)what;
	if (!disposal_has_room(peer->gmemd, peer->caller.process.uid)) {
		event_del(peer->readable);
		event_add(peer->rested, &rest);
		return;
	}
	r = turn_begin(&peer->caller.turn, &packet);
	if (r == 0)
		r = serve_packet(peer, &packet);
	if (r < 0 && r != -EAGAIN)
		peer_free(peer);
	else
		go_on(&peer->caller);
}

static int flush(struct peer *peer)
{
	struct outgoing *outgoing;
	int r;

	while ((outgoing = TAILQ_FIRST(&peer->queue))) {
		r = send_now(peer, outgoing->kind, outgoing->bytes, outgoing->length,
			&outgoing->fds, &outgoing->later);
		if (r < 0)
			return r;
		outgoing_free(peer, outgoing);
	}
	return 0;
}

static void writable(evutil_socket_t fd, short what, void *context)
{
	struct peer *peer = context;
	int r = flush(peer);

	(void)fd;
	(void)what;
	if (r == -EAGAIN || r == -ETOOMANYREFS) {
		wait_to_send(peer, r);
		return;
	}
	if (r < 0) {
		peer_free(peer);
		return;
	}
	event_del(peer->writable);
	go_on(&peer->caller);
}

#define PEER_OF(member_pointer)                                                                    \
	((struct peer *)((char *)(member_pointer)-offsetof(struct peer, subscriber)))

static bool sees(const struct subscriber *subscriber, const struct vm *vm)
{
	return caller_sees_vm(&PEER_OF(subscriber)->caller, vm);
}

/* A peer that can't be sent to is found out when it is next read or written. */
static void deliver(struct subscriber *subscriber, struct json_object *params)
{
	struct peer *peer = PEER_OF(subscriber);
	struct fd_list none = {.count = 0};
	struct json_object *message;

	note(peer);
	if (peer->n_queued >= EVENTS_WAITING_MAX)
		return;
	message = message_notification("event", json_ref(params));
	peer_send(peer, PACKET_EVENT, message, &none, NULL);
	json_unref(message);
}

static void set_up_caller(struct peer *peer)
{
	struct caller *caller = &peer->caller;

	caller->access = peer->entry.access;
	caller->subscriber = &peer->subscriber;
	caller->subscribed = &peer->subscribed;
	caller->send = send_later_answer;
	caller->notify = notify;
	caller->go_on = go_on;
	turn_init(&caller->turn, peer->gmemd, &peer->entry, peer->fd, caller->process.uid);
	peer->subscriber.is_operator = caller->access == ACCESS_OPERATOR;
	peer->subscriber.sees = sees;
	peer->subscriber.deliver = deliver;
}

static int peer_set_up(struct peer *peer)
{
	struct event_base *base = peer->gmemd->base;
	int r;

	r = process_of_socket(peer->fd, &peer->caller.process);
	if (r < 0)
		return r;
	r = user_charge(peer->gmemd->users, peer->caller.process.uid, USER_PEERS, &peer->user);
	if (r < 0)
		return r;
	set_up_caller(peer);
	peer->readable = event_new(base, peer->fd, EV_READ | EV_PERSIST, readable, peer);
	peer->writable = event_new(base, peer->fd, EV_WRITE | EV_PERSIST, writable, peer);
	peer->rested = event_new(base, -1, 0, writable, peer);
	if (!peer->readable || !peer->writable || !peer->rested ||
		event_add(peer->readable, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int peer_make(struct gmemd *gmemd, struct peer_list *list, const struct peer_entry *entry,
	int consume_fd, struct peer **ret)
{
	struct peer *peer = calloc(1, sizeof *peer);
	int r;

	if (!peer) {
		fd_close(consume_fd);
		return -ENOMEM;
	}
	peer->list = list;
	peer->gmemd = gmemd;
	peer->entry = *entry;
	peer->fd = consume_fd;
	peer->caller.process.pidfd = -1;
	STAILQ_INIT(&peer->caller.turn.inherited);
	STAILQ_INIT(&peer->caller.turn.inherited_later);
	TAILQ_INIT(&peer->queue);
	TAILQ_INSERT_TAIL(list, peer, link);
	r = peer_set_up(peer);
	if (r < 0)
		peer_free(peer);
	else
		*ret = peer;
	return r;
}

int peer_new(
	struct gmemd *gmemd, struct peer_list *list, const struct peer_entry *entry, int consume_fd)
{
	struct peer *peer;

	return peer_make(gmemd, list, entry, consume_fd, &peer);
}

int peer_recover(
	struct gmemd *gmemd, struct peer_list *list, const struct peer_entry *entry, int consume_fd)
{
	struct peer *peer;
	int r;

	r = peer_make(gmemd, list, entry, consume_fd, &peer);
	if (r < 0)
		return r;
	if (entry->subscribed) {
		events_subscribe(&gmemd->events, &peer->subscriber);
		peer->subscriber.sequence = entry->sequence;
		peer->subscribed = true;
	}
	turn_inherit(&peer->caller.turn);
	return 0;
}

/* A peer that can't be sent to is found out when it is next read or written. */
static void answer_inherited(struct peer *peer)
{
	struct turn *turn = &peer->caller.turn;
	struct fd_list none = {.count = 0};
	struct inherited_answer *answer;

	while (turn_take_later(turn, &answer)) {
		struct later later = {answer->owed.request, answer->place};

		answer->place = (struct owed_place){.count = 0};
		send_or_queue(
			peer, PACKET_LATER, answer->owed.text, answer->owed.length, &none, &later);
		STEP("recovery of a connection: later answer sent");
		turn_forget_later(turn, &later);
		inherited_answer_free(answer);
	}
}

void peers_answer_inherited(const struct peer_list *list)
{
	struct peer *peer;

	TAILQ_FOREACH (peer, list, link)
		answer_inherited(peer);
}
