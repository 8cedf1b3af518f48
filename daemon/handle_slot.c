/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slot.bind, slot.unbind.
 */
#include <errno.h>

#include "daemon/call.h"
#include "daemon/handler.h"
#include "daemon/vm_ledger.h"
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

	if (own && parameters->shared_memory != FIELD_UNSET)
		return rpc_error_invalid_param(error, "shared_memory",
			"left out without a memory, whose other half it is");
	if (parameters->shared_memory == FIELD_UNSET && parameters->shared_offset != 0)
		return rpc_error_invalid_param(
			error, "shared_offset", "0 or left out without a shared_memory");
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

/* A memory of the VM's own, of that backing, whose range from offset on holds the slot. */
static int check_part(struct request *request, const struct vm *vm, uint64_t id,
	enum memory_backing backing, uint64_t offset, struct memory **ret)
{
	bool shared = backing == BACKING_MEMFD;
	struct rpc_error *error = &request->error;
	struct memory *memory;
	int r;

	r = request_memory(request, id, &memory);
	if (r < 0)
		return r;
	if (memory->vm != vm)
		return rpc_error_not_found_number(error, "memory", id);
	if (memory->backing != backing)
		return rpc_error_invalid_param(error, shared ? "shared_memory" : "memory",
			shared ? "one that is backed by a memfd"
			       : "one that is backed by a guest_memfd");
	if (offset >= memory->size)
		return rpc_error_invalid_param(error,
			shared ? "shared_offset" : "guest_memfd_offset",
			"less than the memory's size");
	if (request->parameters.slot_bind.memory_size > memory->size - offset)
		return rpc_error_invalid_param(error, "memory_size",
			shared ? "at most what the shared memory has from shared_offset on"
			       : "at most what the memory has from guest_memfd_offset on");
	*ret = memory;
	return 0;
}

static int check_memories(struct request *request, const struct vm *vm, struct memory **ret,
	struct memory **ret_shared)
{
	const struct slot_bind_parameters *parameters = &request->parameters.slot_bind;
	int r;

	*ret = NULL;
	*ret_shared = NULL;
	if (parameters->memory == FIELD_UNSET)
		return check_own_memory(request, vm);
	r = check_part(request, vm, parameters->memory, BACKING_GUEST_MEMFD,
		parameters->guest_memfd_offset, ret);
	if (r < 0 || parameters->shared_memory == FIELD_UNSET)
		return r;
	return check_part(request, vm, parameters->shared_memory, BACKING_MEMFD,
		parameters->shared_offset, ret_shared);
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

static int new_slot(struct request *request, struct vm *vm, const struct slot_request *wanted,
	struct slot **ret)
{
	struct slot *slot;
	enum slot_conflict conflict = slot_check(vm, wanted, &slot);
	int r;

	if (conflict != SLOT_FITS)
		return conflict_error(request, conflict, slot);
	r = slot_new(vm, wanted, ret);
	if (r == -EDQUOT)
		return request_limit_error(
			request, LIMIT_SLOTS_PER_VM, "The VM has as many slots as it may");
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
	const struct slot_bind_parameters *parameters = &request->parameters.slot_bind;
	struct slot_request wanted = {
		.number = (uint32_t)parameters->slot,
		.guest_phys_addr = parameters->guest_phys_addr,
		.memory_size = parameters->memory_size,
		.userspace_addr = parameters->userspace_addr,
		.guest_memfd_offset = parameters->guest_memfd_offset,
		.shared_offset = parameters->shared_offset,
		.flags = parameters->flags,
	};
	struct slot *slot;
	struct vm *vm;
	int r;

	r = request_gated_vm(request, parameters->vm, &vm);
	if (r == 0)
		r = check_number(request, vm);
	if (r == 0)
		r = check_combination(request);
	if (r == 0)
		r = check_memories(request, vm, &wanted.memory, &wanted.shared_memory);
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
