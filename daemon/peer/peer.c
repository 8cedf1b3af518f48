/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peers. See peer.h.
 */
#include "daemon/peer/peer.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/container_of.h"
#include "daemon/base/kill_step.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/owner/file_reserve.h"
#include "daemon/owner/scheduler.h"
#include "daemon/owner/unit.h"
#include "daemon/peer/send_queue.h"
#include "daemon/report/profile.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/dispatch.h"
#include "daemon/request/resumption.h"
#include "daemon/tenant/tenant_rules.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/message.h"

/* How often a connection is found readable before its turn, and is watched on all the same. */
#define LOOKS_MAX 8

struct peer {
	TAILQ_ENTRY(peer) link;
	struct peer_list *list;
	struct gmemd *gmemd;
	struct caller caller;
	struct subscriber subscriber;
	struct event event; /* the connection can be read; or the send queue's */
	struct send_queue send_queue;
	struct work work; /* sending what waits, going on with a batch, or reading it */

	uint64_t number;
	uint64_t vms_seen;       /* how many there had been when its owner was found */
	uint64_t noted_sequence; /* and whether it was subscribed, as it was noted last */
	uint32_t record;         /* in the ledger of peers; 0: it is not noted yet */
	int fd;
	bool noted_subscribed;
	bool provisional; /* let in while nobody knew whom the configuration lets in */
	bool ended;       /* has sent its last, and has files to receive */
	bool watched;     /* the event is added for reading: it is told when a packet comes */
	bool can_send;
	bool backlogged; /* it has sent more than was read: its connection need not be polled */
	uint8_t looks;   /* how often it was found readable while it waited for its turn */
};

/* What of it would outlive gmemd goes with it. */
static void forget_entry(struct gmemd *gmemd, uint64_t number, uint32_t record)
{
	struct peer_entry forgotten = {.number = number, .record = record};

	if (!gmemd->peer_ledger || fdstore_is_left(gmemd->fdstore))
		return;
	fdstore_drop(gmemd->fdstore, FDSTORE_PEER, number, 0);
	peer_ledger_forget(gmemd->peer_ledger, &forgotten);
}

static void peer_free(struct peer *peer)
{
	TAILQ_REMOVE(peer->list, peer, link);
	scheduler_forget(&peer->work);
	deferred_answers_abandon(&peer->caller);
	events_unsubscribe(&peer->gmemd->events, &peer->subscriber);
	profile_end(peer->caller.profile);
	send_queue_clear(&peer->send_queue);
	delivery_clear(&peer->caller.delivery);
	forget_entry(peer->gmemd, peer->number, peer->record);
	event_del(&peer->event);
	process_release(&peer->caller.process);
	fd_close(peer->fd);
	owner_give_back(peer->caller.owner, OWNER_PEERS);
	free(peer);
}

void peers_free(struct peer_list *list)
{
	while (!TAILQ_EMPTY(list))
		peer_free(TAILQ_FIRST(list));
}

/* What a successor must know of it. */
static void note(struct peer *peer)
{
	const struct owner_name name = owner_name(peer->caller.owner);
	struct peer_entry entry = {.number = peer->number,
		.access = (uint8_t)peer->caller.access,
		.subscribed = peer->noted_subscribed,
		.sequence = peer->noted_sequence,
		.record = peer->record,
		.owned = true};

	memcpy(entry.unit, name.unit, sizeof entry.unit);
	memcpy(entry.tenant, name.tenant, sizeof entry.tenant);
	peer_ledger_note(peer->gmemd->peer_ledger, &entry);
	peer->record = entry.record;
}

/* Where that has changed. */
static void note_changes(struct peer *peer)
{
	if (!peer->gmemd->peer_ledger ||
		(peer->record > 0 && peer->noted_subscribed == peer->subscriber.subscribed &&
			peer->noted_sequence == peer->subscriber.sequence))
		return;
	peer->noted_subscribed = peer->subscriber.subscribed;
	peer->noted_sequence = peer->subscriber.sequence;
	note(peer);
}

/* Whose it is */

static void audit_refused(struct peer *peer, const char *tenant, const char *limit, const char *why)
{
	const struct process *process = &peer->caller.process;

	audit_write(&peer->gmemd->audit,
		&(struct audit_entry){.act = ACT_CONNECTION_REFUSED,
			.process = process,
			.tenant = tenant,
			.also = {{"GMEMD_LIMIT", limit}}},
		"refused a connection of process %d of user %u: %s", process->pid, process->uid,
		why);
}

static void name_noted(const struct peer_entry *entry, struct owner_name *name)
{
	owner_write_unit(name->unit, entry->unit);
	memcpy(name->tenant, entry->tenant, sizeof name->tenant);
}

static int find_tenant(struct peer *peer, struct owner_name *name)
{
	char reason[TENANT_REASON_SIZE];
	struct identity identity;
	int r;

	identity_begin(peer->fd, &peer->caller.process, name->unit, &identity);
	r = tenant_of_peer(&peer->gmemd->config, &identity, name->tenant, reason);
	identity_clear(&identity);
	if (r == -EACCES)
		audit_refused(peer, "(none)", "others", reason);
	return r;
}

/* In a process that has a VM, the VM's; else by what was noted of it, or by where the process
 * is. */
static int find_owner(struct peer *peer, const struct peer_entry *entry, struct owner **ret)
{
	const struct process *process = &peer->caller.process;
	const struct vm *vm = registry_vm_of_process(&peer->gmemd->registry, process);
	struct owner_name name = {.uid = process->uid};
	int r = 0;

	if (entry->access == ACCESS_OPERATOR)
		name.kind = OWNER_IS_OPERATOR;
	else if (vm)
		name = owner_name(vm->owner);
	else if (entry->owned)
		name_noted(entry, &name);
	else {
		unit_of_process(process, name.unit);
		r = find_tenant(peer, &name);
	}
	return r < 0 ? r : owner_get(peer->gmemd->owners, &name, ret);
}

static void set_owner(struct peer *peer, struct owner *owner)
{
	peer->caller.owner = peer->work.owner = owner;
	peer->vms_seen = peer->gmemd->registry.n_made;
}

static void audit_full(struct peer *peer, const struct owner *owner)
{
	bool of_user = owner_limit_reached(owner, OWNER_PEERS) == owner_limit(OWNER_PEERS);
	char tenant[TENANT_NAME_SIZE];

	owner_tenant(owner, tenant);
	if (of_user)
		audit_refused(
			peer, tenant, "peers-per-user", "its user has as many as it may have");
	else
		audit_refused(peer, tenant, "connections", "its tenant has as many as it may have");
}

static int charge_owner(struct peer *peer, const struct peer_entry *entry)
{
	struct owner *owner;
	int r = find_owner(peer, entry, &owner);

	if (r < 0)
		return r;
	r = owner_charge(owner, OWNER_PEERS);
	if (r == 0)
		set_owner(peer, owner);
	if (r == -EDQUOT)
		audit_full(peer, owner);
	owner_unref(owner); /* the charge has it */
	return r;
}

/* Its process may have opened its VM, by another connection too. */
static void follow_vm(struct peer *peer)
{
	struct registry *registry = &peer->gmemd->registry;
	const struct vm *vm;

	if (peer->vms_seen == registry->n_made)
		return;
	peer->vms_seen = registry->n_made;
	vm = peer->caller.access == ACCESS_OPERATOR
		     ? NULL
		     : registry_vm_of_process(registry, &peer->caller.process);
	if (vm && vm->owner != peer->caller.owner)
		set_owner(peer, owner_hand_over(peer->caller.owner, OWNER_PEERS, vm->owner));
}

/* Reading */

static int serve_packet(struct peer *peer, const struct packet_bytes *packet)
{
	struct delivery *delivery = &peer->caller.delivery;
	struct stages *stages = &peer->gmemd->stages;
	struct json_object *answer;
	struct fd_list fds;
	int r = 0;

	answer = dispatch_packet(peer->gmemd, &peer->caller, packet, &fds);
	stage_begin(stages, STAGE_ANSWER);
	note_changes(peer);
	if (answer)
		r = send_queue_answer(&peer->send_queue, answer, &fds);
	else if (peer->caller.held == 0)
		delivery_end(delivery);
	delivery_suspend(delivery);
	json_unref(answer);
	stage_end(stages, STAGE_ANSWER, r);
	return r;
}

static void peer_readable(evutil_socket_t fd, short what, void *context);

static int add_readable(struct peer *peer)
{
	event_assign(&peer->event, peer->gmemd->base, peer->fd, EV_READ | EV_PERSIST, peer_readable,
		peer);
	return event_add(&peer->event, NULL);
}

/* Mostly it is as it is to be: each of libevent's calls takes longer than to look. */
static void watch_connection(struct peer *peer, bool watched)
{
	if (peer->watched == watched)
		return;
	peer->watched = watched;
	event_del(&peer->event);
	if (watched && add_readable(peer) < 0) {
		peer->watched = false;
		send_queue_rest(&peer->send_queue);
	}
}

/* A predecessor's packet is in no queue that could be polled. */
static void read_on(struct peer *peer)
{
	if (peer->backlogged || delivery_has_packet(&peer->caller.delivery))
		scheduler_ready(peer->gmemd->scheduler, &peer->work);
	else
		watch_connection(peer, true);
}

static bool may_be_scheduled(const struct peer *peer)
{
	return peer->can_send || peer->caller.paused;
}

static void stop_reading(struct peer *peer)
{
	watch_connection(peer, false);
	if (!may_be_scheduled(peer))
		scheduler_forget(&peer->work);
}

/* It is read while it has been sent all that there was, and no answer is awaited. Most send nothing
 * while they await one: so its connection is watched on until it does (peer_readable()). */
static void go_on(struct caller *caller)
{
	struct peer *peer = CONTAINER_OF(caller, struct peer, caller);
	bool sent = send_queue_is_empty(&peer->send_queue);

	if (caller->held == 0 && sent)
		delivery_end(&caller->delivery);
	if (!sent || peer->ended)
		stop_reading(peer);
	else if (caller->held == 0)
		read_on(peer);
	else if (!may_be_scheduled(peer))
		scheduler_forget(&peer->work);
}

/* A peer that can't be sent to is found out when it is next read or written. */
static void send_later_answer(struct caller *caller, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later)
{
	struct peer *peer = CONTAINER_OF(caller, struct peer, caller);
	struct send_queue *send_queue = &peer->send_queue;
	struct stages *stages = &peer->gmemd->stages;
	int r;

	stage_begin(stages, STAGE_ANSWER);
	r = take_later ? send_queue_answer_later(send_queue, message, take_fds, take_later)
		       : send_queue_answer(send_queue, message, take_fds);
	stage_end(stages, STAGE_ANSWER, r);
	if (r < 0)
		delivery_fail(&caller->delivery);
}

static void notify_peer(struct caller *caller, struct json_object *message)
{
	send_queue_notify(&CONTAINER_OF(caller, struct peer, caller)->send_queue, message);
}

/* It has ended. Files that it has not received stay counted for as long as it leaves them there. */
static void peer_end(struct peer *peer)
{
	peer->ended = true;
	if (!send_queue_is_empty(&peer->send_queue) ||
		!send_queue_awaits_receipt(&peer->send_queue))
		peer_free(peer);
}

static bool is_over(const struct peer *peer)
{
	return peer->provisional && !peer->gmemd->faults;
}

static int receive(struct peer *peer, struct packet_bytes *ret)
{
	struct stages *stages = &peer->gmemd->stages;
	int r;

	stages_turn_to(stages, ++stages->packets, NULL);
	stage_begin(stages, STAGE_RECEIVE);
	r = delivery_begin(&peer->caller.delivery, ret);
	stage_end(stages, STAGE_RECEIVE, r);
	return r;
}

static void read_packet(struct peer *peer)
{
	struct packet_bytes packet;
	int r = receive(peer, &packet);

	if (r == -EAGAIN)
		peer->backlogged = false;
	if (r == 0)
		r = serve_packet(peer, &packet);
	peer->ended |= is_over(peer);
	if ((r < 0 && r != -EAGAIN) || (peer->ended && send_queue_is_empty(&peer->send_queue)))
		peer_end(peer);
	else
		go_on(&peer->caller);
}

/* It may be freed. */
static void serve_next(struct peer *peer)
{
	struct batch *paused = peer->caller.paused;

	if (peer->can_send) {
		peer->can_send = false;
		if (paused)
			scheduler_go_on(peer->gmemd->scheduler, &peer->work);
		send_queue_go_on(&peer->send_queue);
	} else if (paused) {
		paused->resume(paused);
	} else {
		read_packet(peer);
	}
}

/* In a turn of its owner's. */
static void serve_peer(struct work *work)
{
	struct peer *peer = CONTAINER_OF(work, struct peer, work);
	bool of_operator = peer->caller.access == ACCESS_OPERATOR;
	rlim_t usual = of_operator ? file_reserve_open() : 0;
	struct stages *stages = &peer->gmemd->stages;

	serve_next(peer);
	stages_turn_to(stages, 0, NULL);
	if (of_operator)
		file_reserve_close(usual);
}

static void wait_for_turn(struct caller *caller)
{
	struct peer *peer = CONTAINER_OF(caller, struct peer, caller);

	scheduler_go_on(peer->gmemd->scheduler, &peer->work);
}

/*
 * Where it is found readable again and again before its turn has come, or while it awaits an
 * answer, there is no use in looking on. To stop looking and begin again takes as long as some
 * looks, though, and with some dozens of clients each is found so a few times.
 */
static void peer_readable(evutil_socket_t fd, short what, void *context)
{
	struct peer *peer = context;

	(void)fd;
	(void)what;
	if (scheduler_has(&peer->work) && peer->looks < LOOKS_MAX) {
		peer->looks++;
		return;
	}
	if (scheduler_has(&peer->work) || peer->caller.held > 0) {
		peer->backlogged = true;
		watch_connection(peer, false);
		return;
	}
	peer->looks = 0;
	follow_vm(peer);
	scheduler_ready(peer->gmemd->scheduler, &peer->work);
}

static void wait_to_send(struct send_queue *send_queue)
{
	stop_reading(CONTAINER_OF(send_queue, struct peer, send_queue));
}

static void can_send(struct send_queue *send_queue)
{
	struct peer *peer = CONTAINER_OF(send_queue, struct peer, send_queue);

	peer->can_send = true;
	scheduler_ready(peer->gmemd->scheduler, &peer->work);
}

static void all_sent(struct send_queue *send_queue)
{
	struct peer *peer = CONTAINER_OF(send_queue, struct peer, send_queue);

	if (peer->ended)
		peer_end(peer);
	else
		go_on(&peer->caller);
}

static void can_not_send(struct send_queue *send_queue)
{
	peer_end(CONTAINER_OF(send_queue, struct peer, send_queue));
}

static struct peer *peer_of(const struct subscriber *subscriber)
{
	return CONTAINER_OF(subscriber, struct peer, subscriber);
}

static bool subscriber_sees(const struct subscriber *subscriber, const struct vm *vm)
{
	return caller_sees_vm(&peer_of(subscriber)->caller, vm);
}

static void deliver_event(struct subscriber *subscriber, struct json_object *params)
{
	struct peer *peer = peer_of(subscriber);
	struct json_object *message;

	note_changes(peer);
	if (send_queue_is_full(&peer->send_queue))
		return;
	message = message_notification("event", json_ref(params));
	send_queue_notify(&peer->send_queue, message);
	json_unref(message);
}

static void set_up_caller(struct peer *peer, const struct peer_entry *entry)
{
	struct caller *caller = &peer->caller;

	caller->access = entry->access;
	resumption_begin(caller, &peer->gmemd->registry);
	caller->subscriber = &peer->subscriber;
	caller->send = send_later_answer;
	caller->notify = notify_peer;
	caller->go_on = go_on;
	caller->wait_for_turn = wait_for_turn;
	delivery_init(&caller->delivery, &peer->gmemd->registry, peer->gmemd->peer_ledger, entry,
		&caller->owner, peer->fd);
	peer->subscriber.is_operator = caller->access == ACCESS_OPERATOR;
	peer->subscriber.sees = subscriber_sees;
	peer->subscriber.deliver = deliver_event;
}

static int peer_set_up(struct peer *peer, const struct peer_entry *entry)
{
	int r;

	r = process_of_socket(peer->fd, &peer->caller.process);
	if (r < 0)
		return r;
	r = charge_owner(peer, entry);
	if (r < 0)
		return r;
	set_up_caller(peer, entry);
	if (peer->gmemd->peer_ledger)
		note(peer);
	peer->send_queue.uid = peer->caller.process.uid;
	if (add_readable(peer) < 0)
		return -ENOMEM;
	peer->watched = true;
	return 0;
}

/* What can be cleared at any time from then on. */
static void set_up_outbox(struct peer *peer)
{
	static const struct send_queue_calls calls = {.blocked = wait_to_send,
		.ready = can_send,
		.drained = all_sent,
		.failed = can_not_send};

	event_assign(&peer->event, peer->gmemd->base, -1, 0, NULL, NULL); /* none yet */
	peer->send_queue = (struct send_queue){.gmemd = peer->gmemd,
		.fd = peer->fd,
		.event = &peer->event,
		.delivery = &peer->caller.delivery,
		.owner = &peer->caller.owner,
		.calls = &calls};
	TAILQ_INIT(&peer->send_queue.waiting);
	in_flight_begin(&peer->send_queue.in_flight, peer->fd);
}

static int peer_make(struct gmemd *gmemd, struct peer_list *list, const struct peer_entry *entry,
	int consume_fd, struct peer **ret)
{
	struct peer *peer = calloc(1, sizeof *peer);
	int r;

	if (!peer) {
		forget_entry(gmemd, entry->number, entry->record);
		fd_close(consume_fd);
		return -ENOMEM;
	}
	peer->list = list;
	peer->gmemd = gmemd;
	peer->number = entry->number;
	peer->record = entry->record;
	peer->noted_subscribed = entry->subscribed;
	peer->noted_sequence = entry->sequence;
	peer->fd = consume_fd;
	peer->caller.process.pidfd = -1;
	peer->work.run = serve_peer;
	STAILQ_INIT(&peer->caller.delivery.inherited);
	STAILQ_INIT(&peer->caller.delivery.inherited_later);
	set_up_outbox(peer);
	TAILQ_INSERT_TAIL(list, peer, link);
	r = peer_set_up(peer, entry);
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
	int r = peer_make(gmemd, list, entry, consume_fd, &peer);

	if (r == 0)
		peer->provisional = gmemd->faults;
	return r;
}

int peer_recover(
	struct gmemd *gmemd, struct peer_list *list, const struct peer_entry *entry, int consume_fd)
{
	struct peer *peer;
	int r;

	r = peer_make(gmemd, list, entry, consume_fd, &peer);
	if (r < 0)
		return r;
	resumption_recover(&peer->caller);
	if (entry->subscribed) {
		events_subscribe(&gmemd->events, &peer->subscriber);
		peer->subscriber.sequence = entry->sequence;
	}
	r = delivery_inherit(&peer->caller.delivery);
	if (r < 0)
		peer_free(peer);
	return r;
}

/* One that is being served has its answer first. */
void peers_end_provisional(const struct peer_list *list)
{
	struct peer *peer, *next;

	TAILQ_FOREACH_SAFE (peer, list, link, next) {
		if (peer->provisional && peer->caller.delivery.number == 0)
			peer_free(peer);
	}
}

static void answer_inherited(struct peer *peer)
{
	struct delivery *delivery = &peer->caller.delivery;
	struct inherited_answer *answer;

	while (delivery_take_later(delivery, &answer)) {
		struct later later = {answer->owed.request, answer->place};

		answer->place = (struct owed_place){.count = 0};
		send_queue_answer_text(
			&peer->send_queue, answer->owed.text, answer->owed.length, &later);
		STEP("recovery of a connection: later answer sent");
		delivery_forget_later(delivery, &later);
		inherited_answer_free(answer);
	}
}

void peers_answer_inherited(const struct peer_list *list)
{
	struct peer *peer;

	TAILQ_FOREACH (peer, list, link) {
		answer_inherited(peer);
		go_on(&peer->caller);
	}
}
