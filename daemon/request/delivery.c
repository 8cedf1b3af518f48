/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turns. See delivery.h.
 */
#include "daemon/request/delivery.h"

#include "daemon/base/kill_step.h"
#include "daemon/request/request.h"
#include "protocol/json.h"
#include "protocol/message.h"

void turn_init(struct turn *turn, struct gmemd *gmemd, const struct peer_entry *entry,
	struct owner *owner, int fd)
{
	*turn = (struct turn){.gmemd = gmemd,
		.ledger = gmemd->peer_ledger,
		.owner = owner,
		.peer = entry->number,
		.fd = fd};
	STAILQ_INIT(&turn->inherited);
	STAILQ_INIT(&turn->inherited_later);
}

static void forget_inherited(struct turn *turn, struct inherited_answers *answers)
{
	struct inherited_answer *answer;

	while ((answer = STAILQ_FIRST(answers))) {
		STAILQ_REMOVE_HEAD(answers, link);
		peer_ledger_settle(turn->ledger, &answer->place);
		inherited_answer_free(answer);
	}
}

/* The receive area */

/* Where nothing outlives gmemd. */
static struct marks alone;

static struct marks *marks_of(const struct turn *turn)
{
	return turn->ledger ? peer_ledger_marks(turn->ledger) : &alone;
}

static bool is_in_area(const struct turn *turn)
{
	const struct packet_mark *mark = &marks_of(turn)->received;

	return turn->number > 0 && mark->peer == turn->peer && mark->request == turn->number;
}

static void leave_area(const struct turn *turn)
{
	if (is_in_area(turn))
		mark_clear(&marks_of(turn)->received);
}

/* Ends */

static void forget_packet(struct turn *turn)
{
	if (turn->packet) {
		peer_ledger_settle(turn->ledger, &turn->packet->place);
		inherited_answer_free(turn->packet);
	}
	turn->packet = NULL;
}

/* The packet goes first: without it an answer in turn is owed to nothing. */
static void settle(struct turn *turn)
{
	leave_area(turn);
	STEP("turn: packet done with");
	if (!turn->ledger)
		return;
	peer_ledger_settle(turn->ledger, &turn->kept);
	forget_packet(turn);
	peer_ledger_settle(turn->ledger, &turn->owed);
	forget_inherited(turn, &turn->inherited);
}

void turn_clear(struct turn *turn)
{
	settle(turn);
	if (turn->ledger)
		forget_inherited(turn, &turn->inherited_later);
}

/* Inheriting */

static bool is_committed(struct turn *turn, const struct owed *owed)
{
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &turn->gmemd->registry.vms) {
		if (vm->request == owed->request)
			return true;
	}
	return false;
}

/* Whether the answer is still to be given. */
static bool is_open(struct turn *turn, const struct owed *owed)
{
	bool waits = turn->packet && turn->packet->owed.turn == owed->turn;

	if (owed->when == OWED_IN_TURN)
		return waits && is_committed(turn, owed);
	if (owed->when == OWED_DONE)
		return waits;
	if (owed->when == OWED_LATER_PENDING && waits)
		return false;
	return !mark_done(&marks_of(turn)->sent, turn->peer, owed->request);
}

/* What is open stays so, whatever the marks and the VMs' ledgers tell from now on. */
static void sort_out(struct turn *turn, struct inherited_answer *answer)
{
	bool in_turn = answer->owed.when == OWED_IN_TURN || answer->owed.when == OWED_DONE;

	if (!is_open(turn, &answer->owed) || !inherited_answer_is_whole(answer)) {
		peer_ledger_settle(turn->ledger, &answer->place);
		inherited_answer_free(answer);
		return;
	}
	peer_ledger_confirm(turn->ledger, &answer->place, in_turn ? OWED_DONE : OWED_LATER);
	if (in_turn)
		STAILQ_INSERT_TAIL(&turn->inherited, answer, link);
	else
		STAILQ_INSERT_TAIL(&turn->inherited_later, answer, link);
}

/* The turn whose answer is sent, 0 where none is. */
static uint64_t answered(const struct turn *turn)
{
	const struct packet_mark *sent = &marks_of(turn)->sent;

	return sent->ends_turn && mark_done(sent, turn->peer, sent->request) ? sent->request : 0;
}

static struct owed owed_packet(
	const struct turn *turn, uint64_t number, const struct packet_bytes *packet)
{
	return (struct owed){.peer = turn->peer,
		.turn = number,
		.when = OWED_PACKET,
		.object = packet->too_long,
		.text = packet->bytes,
		.length = packet->length};
}

/* Where the predecessor was amid it, and had not moved it yet. */
static void inherit_from_area(struct turn *turn)
{
	struct marks *marks = marks_of(turn);
	uint64_t number = marks->received.request;
	struct packet_bytes packet = packet_received(marks->packet, &marks->received.call);
	struct owed owed = owed_packet(turn, number, &packet);

	if (number == 0 || !mark_done(&marks->received, turn->peer, number))
		return;
	if (!turn->packet && packet.length <= PACKET_BYTES_MAX)
		turn->packet = inherited_answer_new(&owed);
	if (turn->packet && turn->packet->place.count == 0)
		peer_ledger_owe(
			turn->ledger, &turn->packet->owed, turn->owner, &turn->packet->place);
	mark_clear(&marks->received);
}

/* Of one whose answer is sent nothing is left to do. */
static void inherit_packet(struct turn *turn, struct inherited_answers *all)
{
	uint64_t done = answered(turn);
	struct inherited_answer *answer;

	STAILQ_FOREACH(answer, all, link)
	{
		if (answer->owed.when == OWED_PACKET)
			break;
	}
	if (answer)
		STAILQ_REMOVE(all, answer, inherited_answer, link);
	turn->packet = answer;
	inherit_from_area(turn);
	if (turn->packet && turn->packet->owed.turn == done)
		forget_packet(turn);
}

void turn_inherit(struct turn *turn)
{
	struct inherited_answers all = STAILQ_HEAD_INITIALIZER(all);
	struct inherited_answer *answer;

	peer_ledger_take_owed(turn->ledger, turn->peer, &all);
	STEP("recovery of a connection: begun");
	inherit_packet(turn, &all);
	STEP("recovery of a connection: its packet");
	while ((answer = STAILQ_FIRST(&all))) {
		STAILQ_REMOVE_HEAD(&all, link);
		sort_out(turn, answer);
	}
	STEP("recovery of a connection: done");
}

bool turn_has_packet(const struct turn *turn)
{
	return turn->packet && turn->number == 0;
}

bool turn_is_again(const struct turn *turn)
{
	return turn->packet;
}

bool turn_take_later(struct turn *turn, struct inherited_answer **ret)
{
	*ret = STAILQ_FIRST(&turn->inherited_later);
	if (!*ret)
		return false;
	STAILQ_REMOVE_HEAD(&turn->inherited_later, link);
	return true;
}

/* The packet */

/* It keeps its number, which what is owed has. */
static void begin_again(struct turn *turn, struct packet_bytes *ret)
{
	const struct owed *owed = &turn->packet->owed;

	turn->number = owed->turn;
	*ret = (struct packet_bytes){owed->text ? owed->text : "", owed->length, owed->object};
}

/* Without a ledger the turn has no number, and nothing of it is looked for. */
int turn_begin(struct turn *turn, struct packet_bytes *ret)
{
	struct marks *marks = marks_of(turn);
	uint64_t number = turn->ledger ? peer_ledger_next_number(turn->ledger) : 0;
	int r;

	if (turn->packet) {
		begin_again(turn, ret);
		return 0;
	}
	mark_begin(&marks->received, turn->peer, number, /* ends_turn= */ false);
	r = packet_receive_marked(turn->fd, marks->packet, &marks->received.call);
	if (r < 0) {
		mark_clear(&marks->received);
		return r;
	}
	STEP("turn: packet received");
	*ret = packet_received(marks->packet, &marks->received.call);
	turn->number = number;
	return 0;
}

void turn_suspend(struct turn *turn)
{
	const struct marks *marks = marks_of(turn);
	struct packet_bytes packet = packet_received(marks->packet, &marks->received.call);
	struct owed owed = owed_packet(turn, turn->number, &packet);

	if (!is_in_area(turn))
		return;
	peer_ledger_owe(turn->ledger, &owed, turn->owner, &turn->kept);
	STEP("turn: packet kept");
	leave_area(turn);
	STEP("turn: suspended");
}

int turn_send(struct turn *turn, struct later *later, const char *bytes, size_t length,
	const struct fd_list *fds)
{
	uint64_t number = later ? later->request : turn->number;
	struct packet_mark *mark;

	if (!turn->ledger || number == 0)
		return packet_send(turn->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count);
	mark = &marks_of(turn)->sent;
	mark_begin(mark, turn->peer, number, /* ends_turn= */ !later);
	return packet_send_marked(
		turn->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count, &mark->call);
}

void turn_end(struct turn *turn)
{
	if (turn->number == 0)
		return;
	STEP("turn: answered");
	settle(turn);
	STEP("turn: settled");
	if (turn->later) {
		peer_ledger_confirm(turn->ledger, &turn->later->place, OWED_LATER);
		STEP("turn: answer promised for later");
	}
	turn->later = NULL;
	turn->number = 0;
}

/* Requests */

void turn_number(struct turn *turn, struct request *request)
{
	if (turn->ledger)
		request->number = peer_ledger_next_number(turn->ledger);
}

/* Those of what the caller may know of alone, whatever the ledger says. */
static int take_files(struct request *request, const struct owed *owed)
{
	struct registry *registry = &request->gmemd->registry;
	struct memory *memory;
	struct vm *vm;

	if (owed->files == OWED_VM_FILES) {
		vm = registry_vm_by_number(registry, owed->object);
		if (vm && !caller_sees_vm(request->caller, vm))
			vm = NULL;
		return request_take_vm_files(request, vm);
	}
	if (owed->files == OWED_MEMORY_FILE) {
		memory = registry_memory(registry, owed->object);
		if (memory && !caller_sees_vm(request->caller, memory->vm))
			memory = NULL;
		return request_take_memory_file(request, memory);
	}
	return 0;
}

/* What can't be given any more is what was asked for and has been lost since. */
static struct json_object *answer_with_files(struct request *request, const struct owed *owed)
{
	struct json_object *answer;
	const char *why;

	if (take_files(request, owed) == 0) {
		answer = json_parse(owed->text, owed->length, &why);
		if (answer)
			return answer;
		rpc_error_internal(&request->error, why);
	}
	answer = message_error(request->id, &request->error);
	rpc_error_clear(&request->error);
	return answer;
}

bool turn_take_inherited(struct turn *turn, struct request *request, struct json_object **ret)
{
	struct inherited_answer *answer;

	STAILQ_FOREACH(answer, &turn->inherited, link)
	{
		if (answer->owed.order != request->order)
			continue;
		*ret = answer->owed.length > 0 ? answer_with_files(request, &answer->owed) : NULL;
		return true;
	}
	return false;
}

static struct owed owed_of(const struct turn *turn, const struct request *request)
{
	return (struct owed){.peer = turn->peer,
		.turn = turn->number,
		.request = request->number,
		.order = request->order,
		.files = request->owed_files,
		.object = request->owed_object};
}

void turn_owe(struct turn *turn, const struct request *request, struct json_object *answer)
{
	struct owed owed = owed_of(turn, request);

	if (!turn->ledger)
		return;
	owed.text = answer ? json_print(answer, &owed.length) : "";
	if (owed.text)
		peer_ledger_owe(turn->ledger, &owed, turn->owner, &turn->owed);
}

/* So long that a successor has finished what it takes over. */
#define REPEAT_MS 100

void turn_owe_later(struct turn *turn, const struct request *request, struct later *ret)
{
	struct rpc_error error = {.code = RPC_OK};
	struct owed owed = owed_of(turn, request);
	struct json_object *answer;

	*ret = (struct later){.request = request->number};
	if (!turn->ledger || request->notification)
		return;
	rpc_error_busy(&error, "gmemd was restarted while it did this", REPEAT_MS);
	answer = message_error(request->id, &error);
	owed.when = OWED_LATER_PENDING;
	owed.text = json_print(answer, &owed.length);
	if (owed.text)
		peer_ledger_owe(turn->ledger, &owed, turn->owner, &ret->place);
	turn->later = ret;
	json_unref(answer);
	rpc_error_clear(&error);
}

void turn_forget_later(struct turn *turn, struct later *later)
{
	if (turn->later == later)
		turn->later = NULL;
	if (turn->ledger)
		peer_ledger_settle(turn->ledger, &later->place);
}
