/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why there can be no such slot. See slot_answer.h.
 */
#include "daemon/methods/slot_answer.h"

#include <stdio.h>

#include "daemon/vm/both_halves.h"

int request_slot_param(struct request *request, int change, const char *param, const char *expected)
{
	char path[96];

	if (change == SLOT_TOLD_ALONE)
		return rpc_error_invalid_param(&request->error, param, expected);
	snprintf(path, sizeof path, "changes[%d].bind.%s", change, param);
	return rpc_error_invalid_param(&request->error, path, expected);
}

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
		[SLOT_SHARED_TAKEN] = slot_shared_offset(other)};
	struct rpc_error *error = &request->error;

	rpc_error_conflict(error, conflicts[conflict].with, conflicts[conflict].message);
	if (conflicts[conflict].address) {
		rpc_error_detail_uint(error, conflicts[conflict].address, addresses[conflict]);
		rpc_error_detail_uint(error, "size", other->memory_size);
	}
	rpc_error_detail_uint(error, "slot", other->number);
	return error->code;
}

static int leaving_error(struct request *request, const struct slot *other)
{
	int code = rpc_error_busy(&request->error,
		"A slot that was there is in the way until its change is reported", 0);

	rpc_error_detail_uint(&request->error, "slot", other->number);
	return code;
}

static int fault_error(struct request *request, const struct vm *vm,
	const struct slot_bind_parameters *told, const struct slot_fault *fault, int change)
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
	case SLOT_FAULT_LEAVING:
		return leaving_error(request, fault->other);
	case SLOT_FAULT_CHANGING:
		return rpc_error_busy(
			error, "An earlier change of the slot has not been reported yet", 0);
	case SLOT_FAULT_OWN_MEMORY:
		return rpc_error_budget_exceeded(error, "vm",
			request->gmemd->config.own_memory_per_vm, vm->own_memory, 0,
			told->memory_size);
	default:
		return request_slot_param(request, change, fault->param, fault->expected);
	}
}

int request_slot_fault(struct request *request, const struct vm *vm,
	const struct slot_bind_parameters *told, const struct slot_fault *fault, int change)
{
	int code = fault_error(request, vm, told, fault, change);

	if (change != SLOT_TOLD_ALONE)
		rpc_error_detail_uint(&request->error, "change", (uint64_t)change);
	return code;
}

int request_slot_not_shown(struct request *request, int change)
{
	return request_slot_param(request, change, "userspace_addr",
		"an address where the process has that memory mapped, shared, from "
		"guest_memfd_offset on, over the whole memory_size");
}

int request_slot_has_file(struct request *request, const struct slot_bind_parameters *told,
	const struct slot_request *wanted, int change)
{
	if (wanted->shared_memory && !both_halves_possible(wanted->memory))
		return request_slot_param(request, change, "shared_memory",
			"left out, or a memory made with flags []");
	if (!wanted->memory || told->guest_memfd != FIELD_UNSET)
		return 0;
	return request_slot_param(
		request, change, "guest_memfd", "the memory's fd by its number in the VMM");
}

int request_may_unbind(struct request *request, const struct slot *slot)
{
	if (slot_memory(slot) && ranges_covered(&slot_vm(slot)->discarding, slot->guest_phys_addr,
					 slot->memory_size) > 0)
		return rpc_error_busy(&request->error,
			"Pages that a conversion has left there are still being given back", 0);
	if (slot->state == OBJECT_READY && !slot->change)
		return 0;
	return rpc_error_busy(
		&request->error, "An earlier change of the slot has not been reported yet", 0);
}
