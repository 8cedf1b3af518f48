/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slot.bind, slot.unbind.
 */
#include <errno.h>

#include "daemon/methods/call_answer.h"
#include "daemon/methods/handle_convert.h"
#include "daemon/methods/methods.h"
#include "daemon/request/request.h"
#include "daemon/vm/both_halves.h"
#include "daemon/vm/call.h"
#include "daemon/vm/slot_check.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"

static int conflict_error(
	struct request *request, enum slot_conflict conflict, const struct slot *other)
{
	static const struct {
		const char *with;
		const char *message;
		const char *address;
	} conflicts[] = {
		[SLOT_NUMBER_TAKEN] = {"slot", "The slot is in use", NULL},
		[SLOT_ADDRESS_TAKEN] = {"range", "The guest addresses overlap another slot's",
			"guest_phys_addr"},
		[SLOT_OFFSET_TAKEN] = {"range", "The range of the memory overlaps another slot's",
			"guest_memfd_offset"},
		[SLOT_SHARED_TAKEN] = {"range",
			"The range of the shared memory overlaps another slot's", "shared_offset"},
	};
	const uint64_t addresses[] = {[SLOT_ADDRESS_TAKEN] = other->guest_phys_addr,
		[SLOT_OFFSET_TAKEN] = other->guest_memfd_offset,
		[SLOT_SHARED_TAKEN] = other->shared_offset};
	struct rpc_error *error = &request->error;

	rpc_error_conflict(error, conflicts[conflict].with, conflicts[conflict].message);
	if (conflicts[conflict].address) {
		rpc_error_detail_uint(error, conflicts[conflict].address, addresses[conflict]);
		rpc_error_detail_uint(error, "size", other->memory_size);
	}
	rpc_error_detail_uint(error, "slot", other->number);
	return error->code;
}

static int fault_error(struct request *request, const struct vm *vm, const struct slot_fault *fault)
{
	struct rpc_error *error = &request->error;

	switch (fault->kind) {
	case SLOT_FAULT_MEMORY_UNKNOWN:
		return rpc_error_not_found_number(error, "memory", fault->memory);
	case SLOT_FAULT_MEMORY_PENDING:
		return request_memory_pending(request);
	case SLOT_FAULT_MEMORY_CLOSING:
		return rpc_error_gone_number(error, "memory", fault->memory);
	case SLOT_FAULT_CONFLICT:
		return conflict_error(request, fault->conflict, fault->other);
	case SLOT_FAULT_OWN_MEMORY:
		return rpc_error_budget_exceeded(error, "vm",
			request->gmemd->config.own_memory_per_vm, vm->own_memory, 0,
			request->parameters.slot_bind.memory_size);
	default:
		return rpc_error_invalid_param(error, fault->param, fault->expected);
	}
}

static int check_bind(struct request *request, struct vm *vm, struct slot_request *ret)
{
	const struct slot_bind_parameters *parameters = &request->parameters.slot_bind;
	struct slot_fault fault;

	if (slot_check_told(vm, parameters, ret, &fault) < 0 ||
		slot_check_limits(vm, ret, &fault) < 0)
		return fault_error(request, vm, &fault);
	if (ret->shared_memory && !both_halves_possible(ret->memory))
		return rpc_error_invalid_param(&request->error, "shared_memory",
			"left out, or a memory made with flags []");
	if (ret->memory && parameters->guest_memfd == FIELD_UNSET)
		return rpc_error_invalid_param(
			&request->error, "guest_memfd", "the memory's fd by its number in the VMM");
	return 0;
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

	if (slot->vm->initially_private && slot->memory)
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
	const struct vm *vm = slot->vm;
	struct call *call;
	int r;

	r = call_new_bind(slot, slot->memory ? (uint32_t)guest_memfd : 0, &call);
	if (r == 0)
		return answer_bind(request, call);
	slot_free(slot);
	return request_call_error(request, vm, MAILBOX_SLOT, r);
}

int handle_slot_bind(struct request *request)
{
	struct slot_request wanted;
	struct slot *slot;
	struct vm *vm;
	int r;

	r = request_gated_vm(request, request->parameters.slot_bind.vm, &vm);
	if (r == 0)
		r = check_bind(request, vm, &wanted);
	if (r == 0)
		r = new_slot(request, vm, &wanted, &slot);
	return r < 0 ? r : bind_slot(request, slot);
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
	if (slot->memory &&
		ranges_covered(&vm->discarding, slot->guest_phys_addr, slot->memory_size) > 0)
		return rpc_error_busy(
			&request->error, "A conversion's stale pages are being discarded there", 0);
	if (slot->state != OBJECT_READY)
		return rpc_error_busy(&request->error,
			"An earlier change of the slot has not been reported yet", 0);
	r = call_new_unbind(slot, &call);
	if (r < 0)
		return request_call_error(request, vm, MAILBOX_SLOT, r);
	slot->state = OBJECT_CLOSING;
	vm_ledger_note_slot(slot);
	return request_answer_call(request, "call", call);
}
