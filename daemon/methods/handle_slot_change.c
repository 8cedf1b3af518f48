/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slot.change: several deletions and bindings at once.
 *
 * The changes are made in gmemd's own view of the VM, one after the other, each checked against
 * what there is by then. The first that can't be takes all back. So does a look at what the VMM has
 * mapped, for which the request has to wait: it is carried out again from its beginning then.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon/methods/call_answer.h"
#include "daemon/methods/handle_convert.h"
#include "daemon/methods/methods.h"
#include "daemon/methods/slot_answer.h"
#include "daemon/release/settlement.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/request_views.h"
#include "daemon/vm/call.h"
#include "daemon/vm/slot_views.h"
#include "protocol/json.h"

/* One call for all of them, and one for each that is to be private. */
#define CALLS_MAX (1 + SLOT_CHANGES_MAX)

struct changing {
	struct request *request;
	struct vm *vm;
	struct slot_change *change;
	/* What slots are to show, and which of the changes those are. */
	size_t n_views;
	struct file_view views[SLOT_CHANGES_MAX];
	int places[SLOT_CHANGES_MAX];
	struct call *calls[CALLS_MAX];
	unsigned n_calls;
};

/* One change */

static int item_error(struct request *request, int index, const char *member, const char *expected)
{
	char param[64];

	snprintf(param, sizeof param, "changes[%d]%s", index, member);
	return rpc_error_invalid_param(&request->error, param, expected);
}

static int plan_unbind(struct changing *changing, int index, uint64_t number)
{
	struct request *request = changing->request;
	struct slot *slot = vm_slot(changing->vm, (uint32_t)number);
	int r;

	if (slot && slot->change == changing->change)
		return item_error(request, index, ".unbind",
			"the number of a slot that no change before it is about");
	r = slot ? request_may_unbind(request, slot)
		 : rpc_error_not_found_number(&request->error, "slot", number);
	if (r == 0)
		slot_change_unbind(changing->change, slot);
	else
		rpc_error_detail_uint(&request->error, "change", (uint64_t)index);
	return r;
}

static int change_flags(struct changing *changing, int index, struct slot *slot,
	const struct slot_bind_parameters *told)
{
	struct slot_fault fault;

	if (slot_check_flags(slot, told, &fault) < 0)
		return request_slot_fault(changing->request, changing->vm, told, &fault, index);
	slot_change_flags(changing->change, slot, told->flags);
	return 0;
}

static int bind_new(struct changing *changing, int index, const struct slot_bind_parameters *told)
{
	struct request *request = changing->request;
	struct slot_request wanted;
	struct slot_fault fault;
	int r;

	if (slot_check_told(changing->vm, told, &wanted, &fault) < 0 ||
		slot_check_leaving(changing->vm, &wanted, changing->change, &fault) < 0)
		return request_slot_fault(request, changing->vm, told, &fault, index);
	r = request_slot_has_file(request, told, &wanted, index);
	if (r < 0)
		return r;
	if (slot_change_bind(
		    changing->change, &wanted, wanted.memory ? (uint32_t)told->guest_memfd : 0) < 0)
		return rpc_error_internal(&request->error, "no memory");
	if (wanted.shown) {
		changing->places[changing->n_views] = index;
		changing->views[changing->n_views++] = slot_request_view(&wanted);
	}
	return 0;
}

static int make_one(struct changing *changing, int index, const struct slot_change_item *item)
{
	const struct slot_bind_parameters *told = item->bind.items;
	struct slot *again;

	if ((item->unbind == FIELD_UNSET) == (item->bind.count == 0))
		return item_error(changing->request, index, "", "one of unbind and bind");
	if (item->bind.count == 0)
		return plan_unbind(changing, index, item->unbind);
	again = slot_told_again(changing->vm, told);
	return again ? change_flags(changing, index, again, told) : bind_new(changing, index, told);
}

/* All of them */

/* What there is in the end is limited, but for who has had more before. */
static int check_end(const struct changing *changing, uint64_t own_before, unsigned slots_before)
{
	struct request *request = changing->request;
	const struct config *config = &request->gmemd->config;
	const struct vm *vm = changing->vm;

	if (vm->own_memory > config->own_memory_per_vm && vm->own_memory > own_before)
		return rpc_error_budget_exceeded(&request->error, "vm", config->own_memory_per_vm,
			own_before, 0, vm->own_memory - own_before);
	if (vm->n_slots > vm_limit(vm, LIMIT_SLOTS_PER_VM) && vm->n_slots > slots_before)
		return request_limit_error(request, LIMIT_SLOTS_PER_VM,
			"The VM would have more slots than it may have");
	return 0;
}

static int make_all(struct changing *changing)
{
	const struct field_array *changes = &changing->request->parameters.slot_change.changes;
	const struct slot_change_item *items = changes->items;
	uint64_t own_before = changing->vm->own_memory;
	unsigned slots_before = changing->vm->n_slots;
	int r = 0;

	for (size_t i = 0; r == 0 && i < changes->count; i++)
		r = make_one(changing, (int)i, &items[i]);
	return r == 0 ? check_end(changing, own_before, slots_before) : r;
}

static int check_shown(struct changing *changing)
{
	struct request *request = changing->request;
	int r;

	if (changing->n_views == 0)
		return 0;
	r = request_look(request, changing->vm->owner, changing->views, changing->n_views);
	for (size_t i = 0; r == 0 && i < changing->n_views; i++) {
		if (!(request->shown >> i & 1))
			r = request_slot_not_shown(request, changing->places[i]);
	}
	return r;
}

/* Their calls */

static int convert_bound(struct changing *changing)
{
	const struct slot_change *change = changing->change;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < change->count; i++) {
		const struct slot_step *step = &change->steps[i];
		struct call *convert;

		if (step->kind != SLOT_STEP_BIND || !slot_memory(step->slot))
			continue;
		r = request_convert_slot(changing->request, step->slot, &convert);
		if (r == 0 && convert)
			changing->calls[changing->n_calls++] = convert;
	}
	return r;
}

static int submit_change(struct changing *changing)
{
	int r = call_new_change(changing->change, &changing->calls[0]);

	if (r < 0)
		return request_call_error(changing->request, changing->vm, MAILBOX_SLOT, r);
	changing->n_calls = 1;
	return changing->vm->initially_private ? convert_bound(changing) : 0;
}

/* Has a back end that has carried it out lead back. */
static void reverse(const struct slot_change *change)
{
	struct slot_change back = {.vm = change->vm};
	struct call *call;

	while (back.count < change->count) {
		back.steps[back.count] =
			slot_step_inverse(&change->steps[change->count - 1 - back.count]);
		back.count++;
	}
	if (call_new_change(&back, &call) < 0)
		return;
	call->change = NULL; /* it is here */
	call_free(call);
}

/* Nothing of it has been answered yet. */
static void undo_change(struct changing *changing)
{
	struct call *call = changing->n_calls > 0 ? changing->calls[0] : NULL;

	while (changing->n_calls > 1)
		request_undo_convert(changing->calls[--changing->n_calls]);
	if (call) {
		call->change = NULL; /* it is undone here */
		if (call->progress == CALL_CARRIED_OUT)
			reverse(changing->change);
	}
	slot_change_undo(changing->change);
	call_free(call);
}

/* What the back end has carried out is finished at once; a VMM whose memory is private from the
 * start has its stale halves discarded meanwhile. */
static int finish_all(struct changing *changing)
{
	struct request *request = changing->request;
	uint64_t discarded;
	int r = 0;

	json_add_null(request->result, "calls");
	for (unsigned i = 0; r >= 0 && i < changing->n_calls; i++)
		r = settlement_begin(
			request->gmemd, changing->calls[i], changing->calls[i]->count, &discarded);
	return r < 0 ? rpc_error_internal(&request->error, "no memory") : 0;
}

static int answer(struct changing *changing)
{
	struct json_object *calls;

	if (changing->calls[0]->progress == CALL_CARRIED_OUT)
		return finish_all(changing);
	calls = json_add_array(changing->request->result, "calls");
	for (unsigned i = 0; i < changing->n_calls; i++)
		json_append_made(
			calls, request_describe_call(changing->request, changing->calls[i]));
	return 0;
}

int handle_slot_change(struct request *request)
{
	struct changing changing = {.request = request};
	int r;

	r = request_gated_vm(request, request->parameters.slot_change.vm, &changing.vm);
	if (r < 0)
		return r;
	changing.change = slot_change_new(changing.vm);
	if (!changing.change)
		return rpc_error_internal(&request->error, "no memory");
	r = make_all(&changing);
	if (r == 0)
		r = check_shown(&changing);
	if (r == 0)
		r = submit_change(&changing);
	if (r == 0)
		return answer(&changing);
	undo_change(&changing);
	return r;
}
