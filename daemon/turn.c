/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turns. See turn.h.
 */
#include "daemon/turn.h"

#include <errno.h>
#include <poll.h>

#include "daemon/handler.h"
#include "daemon/step.h"
#include "protocol/json.h"
#include "protocol/message.h"

void turn_init(struct turn *turn, struct gmemd *gmemd, const struct peer_entry *entry, int fd)
{
	*turn = (struct turn){
		.gmemd = gmemd, .ledger = gmemd->peer_ledger, .peer = entry->number, .fd = fd};
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

static void settle(struct turn *turn)
{
	if (!turn->ledger)
		return;
	peer_ledger_settle(turn->ledger, &turn->owed);
	forget_inherited(turn, &turn->inherited);
}

void turn_clear(struct turn *turn)
{
	settle(turn);
	if (turn->ledger)
		forget_inherited(turn, &turn->inherited_later);
}

static void drop_packet(struct turn *turn, uint64_t number)
{
	struct marks *marks = peer_ledger_marks(turn->ledger);

	mark_begin(&marks->dropped, turn->peer, number, /* ends_turn= */ false);
	packet_drop_marked(turn->fd, &marks->dropped.call);
	STEP("turn: packet dropped");
	mark_clear(&marks->sent);
}

static void drop_alone(struct turn *turn)
{
	struct mmsghdr nobodys_mark;

	packet_drop_marked(turn->fd, &nobodys_mark);
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

/* Whether the answer is still to be given. done: the turn whose answer is sent. */
static bool is_open(struct turn *turn, const struct owed *owed, uint64_t done)
{
	const struct marks *marks = peer_ledger_marks(turn->ledger);

	bool dropped = mark_done(&marks->dropped, turn->peer, owed->turn);

	if (owed->when == OWED_IN_TURN || owed->when == OWED_DONE)
		return owed->turn != done && !dropped &&
		       (owed->when == OWED_DONE || is_committed(turn, owed));
	if (owed->when == OWED_LATER_PENDING && !dropped)
		return false;
	return !mark_done(&marks->sent, turn->peer, owed->request);
}

/* The turn whose answer is sent, 0 where none is. */
static uint64_t answered(const struct turn *turn)
{
	const struct packet_mark *sent = &peer_ledger_marks(turn->ledger)->sent;

	return sent->ends_turn && mark_done(sent, turn->peer, sent->request) ? sent->request : 0;
}

/* What is open stays so, whatever the marks and the VMs' ledgers tell from now on. */
static void sort_out(struct turn *turn, struct inherited_answer *answer, uint64_t done)
{
	bool in_turn = answer->owed.when == OWED_IN_TURN || answer->owed.when == OWED_DONE;

	if (!is_open(turn, &answer->owed, done)) {
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

/* The answer was sent: the turn ends, if that is all that it lacks. */
static void finish_answered(struct turn *turn, uint64_t done)
{
	struct marks *marks = peer_ledger_marks(turn->ledger);

	if (mark_done(&marks->dropped, turn->peer, done))
		mark_clear(&marks->sent);
	else
		drop_packet(turn, done);
}

void turn_inherit(struct turn *turn)
{
	struct inherited_answers all = STAILQ_HEAD_INITIALIZER(all);
	struct pollfd waiting = {.fd = turn->fd, .events = POLLIN};
	struct inherited_answer *answer;
	uint64_t done = answered(turn);

	peer_ledger_take_owed(turn->ledger, turn->peer, &all);
	STEP("recovery of a connection: begun");
	if (done)
		finish_answered(turn, done);
	while ((answer = STAILQ_FIRST(&all))) {
		STAILQ_REMOVE_HEAD(&all, link);
		sort_out(turn, answer, done);
	}
	turn->again = poll(&waiting, 1, 0) > 0;
	STEP("recovery of a connection: done");
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

/* One that a predecessor was amid keeps its number, which what is owed has. */
static uint64_t number_of_next(struct turn *turn)
{
	const struct inherited_answer *answer = STAILQ_FIRST(&turn->inherited);

	return answer ? answer->owed.turn : peer_ledger_next_number(turn->ledger);
}

int turn_begin(struct turn *turn, struct packet *packet)
{
	int r = packet_receive(turn->fd, MSG_DONTWAIT | MSG_PEEK, packet);

	if (r < 0)
		return r;
	if (turn->ledger)
		turn->number = number_of_next(turn);
	else
		drop_alone(turn);
	return 0;
}

int turn_send(struct turn *turn, struct later *later, const char *bytes, size_t length,
	const struct fd_list *fds)
{
	uint64_t number = later ? later->request : turn->number;
	struct packet_mark *mark;

	if (!turn->ledger || number == 0)
		return packet_send(turn->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count);
	mark = &peer_ledger_marks(turn->ledger)->sent;
	mark_begin(mark, turn->peer, number, /* ends_turn= */ !later);
	return packet_send_marked(
		turn->fd, MSG_DONTWAIT, bytes, length, fds->fds, fds->count, &mark->call);
}

void turn_end(struct turn *turn)
{
	if (turn->number == 0)
		return;
	STEP("turn: answered");
	drop_packet(turn, turn->number);
	settle(turn);
	STEP("turn: settled");
	if (turn->later) {
		peer_ledger_confirm(turn->ledger, &turn->later->place, OWED_LATER);
		STEP("turn: answer promised for later");
	}
	turn->later = NULL;
	turn->number = 0;
	turn->again = false;
}

/* Requests */

void turn_number(struct turn *turn, struct request *request)
{
	if (turn->ledger)
		request->number = peer_ledger_next_number(turn->ledger);
}

static int take_files(struct request *request, const struct owed *owed)
{
	struct registry *registry = &request->gmemd->registry;

	if (owed->files == OWED_VM_FILES)
		return request_take_vm_files(
			request, registry_vm_by_number(registry, owed->object));
	if (owed->files == OWED_MEMORY_FILE)
		return request_take_memory_file(request, registry_memory(registry, owed->object));
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
		peer_ledger_owe(turn->ledger, &owed, &turn->owed);
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
		peer_ledger_owe(turn->ledger, &owed, &ret->place);
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
