/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slot.bind, slot.unbind.
 */
#include <errno.h>

#include "daemon/methods/call_answer.h"
#include "daemon/methods/handle_convert.h"
#include "daemon/methods/methods.h"
#include "daemon/methods/slot_answer.h"
#include "daemon/request/request.h"
#include "daemon/request/request_views.h"
#include "daemon/vm/call.h"
#include "daemon/vm/slot_check.h"
#include "daemon/vm/slot_views.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"

static int check_bind(struct request *request, struct vm *vm, struct slot_request *ret)
{
	const struct slot_bind_parameters *told = &request->parameters.slot_bind;
	struct slot_fault fault;

	if (slot_check_told(vm, told, ret, &fault) < 0 ||
		slot_check_leaving(vm, ret, NULL, &fault) < 0 ||
		slot_check_limits(vm, ret, &fault) < 0)
		return request_slot_fault(request, vm, told, &fault, SLOT_TOLD_ALONE);
	return request_slot_has_file(request, told, ret, SLOT_TOLD_ALONE);
}

/* 0 where it shows what it must, or needn't show anything. */
static int check_shown(
	struct request *request, const struct vm *vm, const struct slot_request *wanted)
{
	struct file_view view;
	int r;

	if (!wanted->shown)
		return 0;
	view = slot_request_view(wanted);
	r = request_look(request, vm->owner, &view, 1);
	if (r == 0 && !(request->shown & 1))
		r = request_slot_not_shown(request, SLOT_TOLD_ALONE);
	return r;
}

static int new_slot(struct request *request, struct vm *vm, const struct slot_request *wanted,
	struct slot **ret)
{
	int r = slot_new(vm, wanted, ret);

	if (r == -EDQUOT)
		return request_limit_error(
			request, LIMIT_SLOTS_PER_VM, "The VM has as many slots as it may have");
	return r < 0 ? rpc_error_internal(&request->error, "no memory") : 0;
}

/* Nothing of it has been answered yet. */
static void undo(struct call *bind)
{
	struct slot *slot = bind->slot;
	struct call *unbind;

	if (bind->progress == CALL_CARRIED_OUT && call_new_unbind(slot, &unbind) == 0)
		call_free(unbind);
	slot_free(slot);
	call_free(bind);
}

static int answer_bind(struct request *request, struct call *bind)
{
	struct slot *slot = bind->slot;
	struct call *convert = NULL;
	int r = 0;

	if (slot_vm(slot)->initially_private && slot_memory(slot))
		r = request_convert_slot(request, slot, &convert);
	if (r < 0) {
		undo(bind);
		return r;
	}
	r = request_answer_call(request, "call", bind);
	if (r == 0 && convert)
		r = request_answer_call(request, "convert", convert);
	return r;
}

static int bind_slot(struct request *request, struct slot *slot)
{
	uint64_t guest_memfd = request->parameters.slot_bind.guest_memfd;
	const struct vm *vm = slot_vm(slot);
	struct call *call;
	int r;

	r = call_new_bind(slot, slot_memory(slot) ? (uint32_t)guest_memfd : 0, &call);
	if (r == 0)
		return answer_bind(request, call);
	slot_free(slot);
	return request_call_error(request, vm, MAILBOX_SLOT, r);
}

static int bind_new(struct request *request, struct vm *vm)
{
	struct slot_request wanted;
	struct slot *slot;
	int r;

	r = check_bind(request, vm, &wanted);
	if (r == 0)
		r = check_shown(request, vm, &wanted);
	if (r == 0)
		r = new_slot(request, vm, &wanted, &slot);
	return r != 0 ? r : bind_slot(request, slot);
}

/* A change of one step: what the slot has stays known until it is done. */
static int submit_flags(struct request *request, struct slot *slot, uint64_t flags)
{
	struct slot_change *change = slot_change_new(slot_vm(slot));
	struct call *call;
	int r;

	if (!change)
		return rpc_error_internal(&request->error, "no memory");
	slot_change_flags(change, slot, flags);
	r = call_new_change(change, &call);
	if (r == 0)
		return request_answer_call(request, "call", call);
	slot_change_undo(change);
	return request_call_error(request, slot_vm(slot), MAILBOX_SLOT, r);
}

static int change_flags(struct request *request, struct slot *slot)
{
	const struct slot_bind_parameters *told = &request->parameters.slot_bind;
	struct slot_fault fault;

	if (slot_check_flags(slot, told, &fault) < 0)
		return request_slot_fault(request, slot_vm(slot), told, &fault, SLOT_TOLD_ALONE);
	return submit_flags(request, slot, told->flags);
}

int handle_slot_bind(struct request *request)
{
	const struct slot_bind_parameters *told = &request->parameters.slot_bind;
	struct slot *again;
	struct vm *vm;
	int r;

	r = request_gated_vm(request, told->vm, &vm);
	if (r < 0)
		return r;
	again = slot_told_again(vm, told);
	return again ? change_flags(request, again) : bind_new(request, vm);
}

int handle_slot_unbind(struct request *request)
{
	const struct slot_unbind_parameters *parameters = &request->parameters.slot_unbind;
	struct slot *slot;
	struct call *call;
	struct vm *vm;
	int r;

	r = request_gated_vm(request, parameters->vm, &vm);
	if (r < 0)
		return r;
	slot = vm_slot(vm, (uint32_t)parameters->slot);
	if (!slot)
		return rpc_error_not_found_number(&request->error, "slot", parameters->slot);
	r = request_may_unbind(request, slot);
	if (r < 0)
		return r;
	r = call_new_unbind(slot, &call);
	if (r < 0)
		return request_call_error(request, vm, MAILBOX_SLOT, r);
	slot->state = OBJECT_CLOSING;
	vm_ledger_note_slot(slot);
	return request_answer_call(request, "call", call);
}
