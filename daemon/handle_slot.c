/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slot.bind, slot.unbind.
 */
#include <errno.h>

#include "daemon/call.h"
#include "daemon/handler.h"
#include "protocol/json.h"

/* Bits 0 to 15 of a memslot's number are the slot's own, 16 to 31 its address space's. */
#define SLOT_SPACE_SHIFT 16

static int check_number(struct request *request, const struct vm *vm)
{
	uint64_t slot = request->parameters.slot_bind.slot;
	const struct vm_type_offer *offer = vm_offer(vm);

	if ((slot & 0xffff) < offer->memslots && slot >> SLOT_SPACE_SHIFT < offer->address_spaces)
		return 0;
	return rpc_error_invalid_param(&request->error, "slot",
		"a memslot's number below KVM_CAP_NR_MEMSLOTS, in an address space that the VM "
		"has");
}

/* What only makes sense with a memory, or only without. */
static int check_combination(struct request *request)
{
	const struct slot_bind_parameters *parameters = &request->parameters.slot_bind;
	struct rpc_error *error = &request->error;
	bool own = parameters->memory == FIELD_UNSET;

	if (parameters->shared_memory != FIELD_UNSET || parameters->shared_offset != FIELD_UNSET)
		return rpc_error_unsupported(
			error, "KVM_CAP_MEMORY_ATTRIBUTES", request->gmemd->host.kernel_release);
	if (own && parameters->guest_memfd_offset != 0)
		return rpc_error_invalid_param(
			error, "guest_memfd_offset", "0 or left out without a memory");
	if (own && parameters->userspace_addr == 0)
		return rpc_error_invalid_param(
			error, "userspace_addr", "the address of the VMM's own memory");
	if (!own && parameters->guest_memfd == FIELD_UNSET)
		return rpc_error_invalid_param(
			error, "guest_memfd", "the memory's fd by its number in the VMM");
	if (!own && parameters->flags != 0)
		return rpc_error_invalid_param(error, "flags",
			"empty with a memory: the kernel has neither flag for a guest_memfd");
	return 0;
}

static int check_own_memory(struct request *request, const struct vm *vm)
{
	uint64_t limit = request->gmemd->config.own_memory_per_vm;
	uint64_t size = request->parameters.slot_bind.memory_size;

	if (vm->own_memory <= limit && size <= limit - vm->own_memory)
		return 0;
	return rpc_error_budget_exceeded(&request->error, "vm", limit, vm->own_memory, size);
}

static int check_memory(struct request *request, const struct vm *vm, struct memory **ret)
{
	const struct slot_bind_parameters *parameters = &request->parameters.slot_bind;
	struct memory *memory;
	int r;

	*ret = NULL;
	if (parameters->memory == FIELD_UNSET)
		return check_own_memory(request, vm);
	r = request_memory(request, parameters->memory, &memory);
	if (r < 0)
		return r;
	if (memory->vm != vm)
		return rpc_error_not_found_number(&request->error, "memory", parameters->memory);
	if (memory->backing != BACKING_GUEST_MEMFD)
		return rpc_error_invalid_param(
			&request->error, "memory", "one that is backed by a guest_memfd");
	if (parameters->guest_memfd_offset >= memory->size)
		return rpc_error_invalid_param(
			&request->error, "guest_memfd_offset", "less than the memory's size");
	if (parameters->memory_size > memory->size - parameters->guest_memfd_offset)
		return rpc_error_invalid_param(&request->error, "memory_size",
			"at most what the memory has from guest_memfd_offset on");
	*ret = memory;
	return 0;
}

static int conflict_error(
	struct request *request, enum slot_conflict conflict, const struct slot *other)
{
	struct rpc_error *error = &request->error;

	if (conflict == SLOT_NUMBER_TAKEN) {
		rpc_error_conflict(error, "slot", "The slot is in use");
	} else if (conflict == SLOT_ADDRESS_TAKEN) {
		rpc_error_conflict(error, "range", "The guest addresses overlap another slot's");
		rpc_error_detail_uint(error, "guest_phys_addr", other->guest_phys_addr);
		rpc_error_detail_uint(error, "size", other->memory_size);
	} else {
		rpc_error_conflict(
			error, "range", "The range of the memory overlaps another slot's");
		rpc_error_detail_uint(error, "guest_memfd_offset", other->guest_memfd_offset);
		rpc_error_detail_uint(error, "size", other->memory_size);
	}
	rpc_error_detail_uint(error, "slot", other->number);
	return error->code;
}

static int slot_error(struct request *request, int r)
{
	if (r == -EDQUOT)
		return rpc_error_busy(&request->error, "The VM has as many slots as it may", 0);
	if (r == -EBUSY)
		return rpc_error_busy(
			&request->error, "Too many slot changes wait to be reported", 0);
	return rpc_error_internal(&request->error, "no memory");
}

static int bind_slot(struct request *request, struct vm *vm, struct memory *memory)
{
	const struct slot_bind_parameters *parameters = &request->parameters.slot_bind;
	struct slot_request wanted = {
		.number = (uint32_t)parameters->slot,
		.guest_phys_addr = parameters->guest_phys_addr,
		.memory_size = parameters->memory_size,
		.userspace_addr = parameters->userspace_addr,
		.memory = memory,
		.guest_memfd_offset = parameters->guest_memfd_offset,
		.flags = parameters->flags,
	};
	enum slot_conflict conflict;
	struct slot *slot;
	struct call *call;
	int r;

	conflict = slot_check(vm, &wanted, &slot);
	if (conflict != SLOT_FITS)
		return conflict_error(request, conflict, slot);
	r = slot_new(vm, &wanted, &slot);
	if (r < 0)
		return slot_error(request, r);
	r = call_new_bind(slot, memory ? (uint32_t)parameters->guest_memfd : 0, &call);
	if (r < 0) {
		slot_free(slot);
		return slot_error(request, r);
	}
	request_answer_call(request, call);
	return 0;
}

int handle_slot_bind(struct request *request)
{
	struct memory *memory;
	struct vm *vm;
	int r;

	r = request_gated_vm(request, request->parameters.slot_bind.vm, &vm);
	if (r == 0)
		r = check_number(request, vm);
	if (r == 0)
		r = check_combination(request);
	if (r == 0)
		r = check_memory(request, vm, &memory);
	return r < 0 ? r : bind_slot(request, vm, memory);
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
	if (slot->state != OBJECT_READY)
		return rpc_error_busy(&request->error,
			"An earlier change of the slot has not been reported yet", 0);
	r = call_new_unbind(slot, &call);
	if (r < 0)
		return slot_error(request, r);
	slot->state = OBJECT_CLOSING;
	request_answer_call(request, call);
	return 0;
}
