/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivery. See delivery.h.
 */
#include "daemon/request/delivery.h"

#include "daemon/base/kill_step.h"
#include "daemon/reservation/reservation_ledger.h"
#include "daemon/vm/registry.h"
#include "protocol/json.h"

void delivery_init(struct delivery *delivery, struct registry *registry, struct peer_ledger *ledger,
	const struct peer_entry *entry, struct owner *const *owner, int fd)
{
	*delivery = (struct delivery){.registry = registry,
		.ledger = ledger,
		.owner = owner,
		.peer = entry->number,
		.fd = fd};
	STAILQ_INIT(&delivery->inherited);
	STAILQ_INIT(&delivery->inherited_later);
}

static void forget_inherited(struct delivery *delivery, struct inherited_answers *answers)
{
	struct inherited_answer *answer;

	while ((answer = STAILQ_FIRST(answers))) {
		STAILQ_REMOVE_HEAD(answers, link);
		peer_ledger_delete_owed(delivery->ledger, &answer->place);
		inherited_answer_free(answer);
	}
}

/* The receive area */

/* Where nothing outlives gmemd. */
static struct syscall_marks alone;

static struct syscall_marks *syscall_marks_of(const struct delivery *delivery)
{
	return delivery->ledger ? peer_ledger_marks(delivery->ledger) : &alone;
}

static bool is_in_area(const struct delivery *delivery)
{
	const struct packet_mark *mark = &syscall_marks_of(delivery)->received;

	return delivery->number > 0 && mark->peer == delivery->peer &&
	       mark->request == delivery->number;
}

static void leave_area(const struct delivery *delivery)
{
	if (is_in_area(delivery))
		syscall_mark_clear(&syscall_marks_of(delivery)->received);
}

/* Ends */

static void forget_packet(struct delivery *delivery)
{
	if (delivery->packet) {
		peer_ledger_delete_owed(delivery->ledger, &delivery->packet->place);
		inherited_answer_free(delivery->packet);
	}
	delivery->packet = NULL;
}

/* The packet goes first: without it an answer in turn is owed to nothing. */
static void delete_owed(struct delivery *delivery)
{
	leave_area(delivery);
	STEP("delivery: packet done with");
	if (!delivery->ledger)
		return;
	peer_ledger_delete_owed(delivery->ledger, &delivery->kept);
	forget_packet(delivery);
	peer_ledger_delete_owed(delivery->ledger, &delivery->owed);
	forget_inherited(delivery, &delivery->inherited);
}

void delivery_clear(struct delivery *delivery)
{
	delete_owed(delivery);
	if (delivery->ledger)
		forget_inherited(delivery, &delivery->inherited_later);
}

/* Inheriting */

static bool is_committed(struct delivery *delivery, const struct owed_answer *owed)
{
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &delivery->registry->vms) {
		if (vm->request == owed->request)
			return true;
	}
	return reservation_ledger_has_committed(delivery->registry->reservations, owed->request);
}

/* Whether the answer is still to be given. */
static bool is_open(struct delivery *delivery, const struct owed_answer *owed)
{
	bool waits = delivery->packet && delivery->packet->owed.turn == owed->turn;

	if (owed->when == OWED_IN_TURN)
		return waits && is_committed(delivery, owed);
	if (owed->when == OWED_DONE)
		return waits;
	if (owed->when == OWED_LATER_PENDING && waits)
		return false;
	return !syscall_mark_done(&syscall_marks_of(delivery)->sent, delivery->peer, owed->request);
}

/* What is open stays so, whatever the marks and the VMs' ledgers tell from now on. */
static void sort_out(struct delivery *delivery, struct inherited_answer *answer)
{
	bool in_turn = answer->owed.when == OWED_IN_TURN || answer->owed.when == OWED_DONE;

	if (!is_open(delivery, &answer->owed) || !inherited_answer_is_whole(answer)) {
		peer_ledger_delete_owed(delivery->ledger, &answer->place);
		inherited_answer_free(answer);
		return;
	}
	peer_ledger_confirm(delivery->ledger, &answer->place, in_turn ? OWED_DONE : OWED_LATER);
	if (in_turn)
		STAILQ_INSERT_TAIL(&delivery->inherited, answer, link);
	else
		STAILQ_INSERT_TAIL(&delivery->inherited_later, answer, link);
}

/* The turn whose answer is sent, 0 where none is. */
static uint64_t number_of_sent(const struct delivery *delivery)
{
	const struct packet_mark *sent = &syscall_marks_of(delivery)->sent;

	return sent->ends_turn && syscall_mark_done(sent, delivery->peer, sent->request)
		       ? sent->request
		       : 0;
}

static struct owed_answer owed_packet(
	const struct delivery *delivery, uint64_t number, const struct packet_bytes *packet)
{
	return (struct owed_answer){.peer = delivery->peer,
		.turn = number,
		.when = OWED_PACKET,
		.object = packet->too_long,
		.text = packet->bytes,
		.length = packet->length};
}

/* Where the predecessor was amid it, and had not moved it yet. */
static int inherit_from_area(struct delivery *delivery)
{
	struct syscall_marks *marks = syscall_marks_of(delivery);
	uint64_t number = marks->received.request;
	struct packet_bytes packet = packet_received(marks->packet, &marks->received.call);
	struct owed_answer owed = owed_packet(delivery, number, &packet);

	if (number == 0 || !syscall_mark_done(&marks->received, delivery->peer, number))
		return 0;
	if (!delivery->packet && packet.length <= PACKET_BYTES_MAX)
		delivery->packet = inherited_answer_new(&owed);
	if (delivery->packet && delivery->packet->place.count == 0)
		peer_ledger_owe(delivery->ledger, &delivery->packet->owed, *delivery->owner,
			&delivery->packet->place);
	syscall_mark_clear(&marks->received);
	return delivery->packet || packet.length > PACKET_BYTES_MAX ? 0 : -ENOMEM;
}

/* Of one whose answer is sent nothing is left to do. */
static int inherit_packet(struct delivery *delivery, struct inherited_answers *all)
{
	uint64_t done = number_of_sent(delivery);
	struct inherited_answer *answer;
	int r;

	STAILQ_FOREACH (answer, all, link) {
		if (answer->owed.when == OWED_PACKET)
			break;
	}
	if (answer)
		STAILQ_REMOVE(all, answer, inherited_answer, link);
	delivery->packet = answer;
	r = inherit_from_area(delivery);
	if (delivery->packet && delivery->packet->owed.turn == done)
		forget_packet(delivery);
	return r;
}

int delivery_inherit(struct delivery *delivery)
{
	struct inherited_answers all = STAILQ_HEAD_INITIALIZER(all);
	struct inherited_answer *answer;
	int r;

	peer_ledger_take_owed(delivery->ledger, delivery->peer, &all);
	STEP("recovery of a connection: begun");
	r = inherit_packet(delivery, &all);
	STEP("recovery of a connection: its packet");
	while ((answer = STAILQ_FIRST(&all))) {
		STAILQ_REMOVE_HEAD(&all, link);
		sort_out(delivery, answer);
	}
	STEP("recovery of a connection: done");
	return r;
}

bool delivery_has_packet(const struct delivery *delivery)
{
	return delivery->packet && delivery->number == 0;
}

bool delivery_is_again(const struct delivery *delivery)
{
	return delivery->packet;
}

bool delivery_take_later(struct delivery *delivery, struct inherited_answer **ret)
{
	*ret = STAILQ_FIRST(&delivery->inherited_later);
	if (!*ret)
		return false;
	STAILQ_REMOVE_HEAD(&delivery->inherited_later, link);
	return true;
}

/* The packet */

/* It keeps its number, which what is owed has. */
static void begin_again(struct delivery *delivery, struct packet_bytes *ret)
{
	const struct owed_answer *owed = &delivery->packet->owed;

	delivery->number = owed->turn;
	*ret = (struct packet_bytes){owed->text ? owed->text : "", owed->length, owed->object};
}

/* Without a ledger the turn has no number, and nothing of it is looked for. */
int delivery_begin(struct delivery *delivery, struct packet_bytes *ret)
{
	struct syscall_marks *marks = syscall_marks_of(delivery);
	uint64_t number = delivery->ledger ? peer_ledger_next_number(delivery->ledger) : 0;
	int r;

	if (delivery->packet) {
		begin_again(delivery, ret);
		return 0;
	}
	syscall_mark_begin(&marks->received, delivery->peer, number, /* ends_turn= */ false);
	r = packet_receive_marked(delivery->fd, marks->packet, &marks->received.call);
	if (r < 0) {
		syscall_mark_clear(&marks->received);
		return r;
	}
	STEP("delivery: packet received");
	*ret = packet_received(marks->packet, &marks->received.call);
	delivery->number = number;
	return 0;
}

void delivery_suspend(struct delivery *delivery)
{
	const struct syscall_marks *marks = syscall_marks_of(delivery);
	struct packet_bytes packet = packet_received(marks->packet, &marks->received.call);
	struct owed_answer owed = owed_packet(delivery, delivery->number, &packet);

	if (!is_in_area(delivery))
		return;
	peer_ledger_owe(delivery->ledger, &owed, *delivery->owner, &delivery->kept);
	STEP("delivery: packet kept");
	leave_area(delivery);
	STEP("delivery: suspended");
}

int delivery_send(struct delivery *delivery, struct later *later, const char *bytes, size_t length,
	const struct fd_list *fds)
{
	uint64_t number = later ? later->request : delivery->number;
	struct packet_mark *mark;

	if (!delivery->ledger || number == 0)
		return packet_send(delivery->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count);
	mark = &syscall_marks_of(delivery)->sent;
	syscall_mark_begin(mark, delivery->peer, number, /* ends_turn= */ !later);
	return packet_send_marked(
		delivery->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count, &mark->call);
}

void delivery_fail(const struct delivery *delivery)
{
	shutdown(delivery->fd, SHUT_RDWR);
}

void delivery_end(struct delivery *delivery)
{
	if (delivery->number == 0)
		return;
	STEP("delivery: answered");
	delete_owed(delivery);
	STEP("delivery: owed deleted");
	if (delivery->later) {
		peer_ledger_confirm(delivery->ledger, &delivery->later->place, OWED_LATER);
		STEP("delivery: answer promised for later");
	}
	delivery->later = NULL;
	delivery->number = 0;
}

/* Requests */

void delivery_number(struct delivery *delivery, struct numbered_request *request)
{
	if (delivery->ledger)
		request->number = peer_ledger_next_number(delivery->ledger);
}

const struct owed_answer *delivery_inherited_answer(const struct delivery *delivery, unsigned order)
{
	const struct inherited_answer *answer;

	STAILQ_FOREACH (answer, &delivery->inherited, link) {
		if (answer->owed.order == order)
			return &answer->owed;
	}
	return NULL;
}

static struct owed_answer owed_of(
	const struct delivery *delivery, const struct numbered_request *request)
{
	return (struct owed_answer){.peer = delivery->peer,
		.turn = delivery->number,
		.request = request->number,
		.order = request->order,
		.files = request->files,
		.object = request->object};
}

void delivery_owe(struct delivery *delivery, const struct numbered_request *request,
	struct json_object *answer)
{
	struct owed_answer owed = owed_of(delivery, request);

	if (!delivery->ledger)
		return;
	owed.text = answer ? json_print(answer, &owed.length) : "";
	if (owed.text)
		peer_ledger_owe(delivery->ledger, &owed, *delivery->owner, &delivery->owed);
}

void delivery_owe_later(struct delivery *delivery, const struct numbered_request *request,
	struct json_object *answer, struct later *ret)
{
	struct owed_answer owed = owed_of(delivery, request);

	*ret = (struct later){.request = request->number};
	if (!delivery->ledger || !answer)
		return;
	owed.when = OWED_LATER_PENDING;
	owed.text = json_print(answer, &owed.length);
	if (owed.text)
		peer_ledger_owe(delivery->ledger, &owed, *delivery->owner, &ret->place);
	delivery->later = ret;
}

void delivery_forget_later(struct delivery *delivery, struct later *later)
{
	if (delivery->later == later)
		delivery->later = NULL;
	if (delivery->ledger)
		peer_ledger_delete_owed(delivery->ledger, &later->place);
}
