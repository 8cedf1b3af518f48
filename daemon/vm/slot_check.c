/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there can be a slot as it is told of. See slot_check.h.
 */
#include "daemon/vm/slot_check.h"

#include <errno.h>

#include "protocol/field_check.h"

/* Bits 0 to 15 of a memslot's number are the slot's own, 16 to 31 its address space's. */
#define SLOT_SPACE_SHIFT 16

static int wrong_value(struct slot_fault *fault, const char *param, const char *expected)
{
	*fault =
		(struct slot_fault){.kind = SLOT_FAULT_PARAM, .param = param, .expected = expected};
	return -EINVAL;
}

/* What the table of methods says of each value, whoever has told it. */
static int check_values(
	const struct vm *vm, const struct slot_bind_parameters *told, struct slot_fault *fault)
{
	struct slot_bind_parameters whole = *told;
	const struct field *field;

	whole.vm = vm->id;
	field = fields_fault(methods[METHOD_SLOT_BIND].parameters, &whole);
	return field ? wrong_value(fault, field->name, "what slot.bind takes for it") : 0;
}

static int check_number(
	const struct vm *vm, const struct slot_bind_parameters *told, struct slot_fault *fault)
{
	const struct vm_type_offer *offer = vm_offer(vm);

	if ((told->slot & 0xffff) < offer->memslots &&
		told->slot >> SLOT_SPACE_SHIFT < offer->address_spaces)
		return 0;
	return wrong_value(fault, "slot",
		"a memslot's number below KVM_CAP_NR_MEMSLOTS, in an address space that the VM "
		"has");
}

/* What only makes sense with a memory, or only without. */
static int check_combination(const struct slot_bind_parameters *told, struct slot_fault *fault)
{
	bool own = told->memory == FIELD_UNSET, mapping = told->through == THROUGH_MAPPING;

	if (own && told->shared_memory != FIELD_UNSET)
		return wrong_value(fault, "shared_memory",
			"left out without a memory, whose other half it is");
	if (told->shared_memory == FIELD_UNSET && told->shared_offset != 0)
		return wrong_value(fault, "shared_offset", "0 or left out without a shared_memory");
	if (own && told->guest_memfd_offset != 0)
		return wrong_value(fault, "guest_memfd_offset", "0 or left out without a memory");
	if (own && told->userspace_addr == 0)
		return wrong_value(fault, "userspace_addr", "the address of the VMM's own memory");
	if (own && mapping)
		return wrong_value(
			fault, "through", "left out without a memory, whose mapping it would be");
	if (mapping && told->shared_memory != FIELD_UNSET)
		return wrong_value(fault, "shared_memory",
			"left out through a mapping, which has no other half");
	if (mapping && told->userspace_addr == 0)
		return wrong_value(
			fault, "userspace_addr", "the address where the memory is mapped");
	if (!own && !mapping && told->flags != 0)
		return wrong_value(fault, "flags",
			"empty with a memory, unless it is bound through a mapping: the kernel has "
			"neither flag for a guest_memfd");
	return 0;
}

/* One of the two that a slot can have, by its parameters' names and what they must be. */
struct part {
	unsigned backings; /* a bit for each enum memory_backing */
	const char *memory, *offset;
	const char *backed, *begins, *holds;
};

static const struct part guest_memfd_part = {1 << BACKING_GUEST_MEMFD, "memory",
	"guest_memfd_offset", "one that is backed by a guest_memfd", "less than the memory's size",
	"at most what the memory has from guest_memfd_offset on"};
static const struct part shared_part = {1 << BACKING_MEMFD, "shared_memory", "shared_offset",
	"one that is backed by a memfd", "less than the memory's size",
	"at most what the shared memory has from shared_offset on"};

static const struct part shown_part = {1 << BACKING_GUEST_MEMFD | 1 << BACKING_MEMFD, "memory",
	"guest_memfd_offset", "one that can be mapped", "less than the memory's size",
	"at most what the memory has from guest_memfd_offset on"};

static int wrong_memory(
	struct slot_fault *fault, enum slot_fault_kind kind, const struct part *part, uint64_t id)
{
	*fault = (struct slot_fault){.kind = kind,
		.param = part->memory,
		.expected = "a memory of the VM's that is ready",
		.memory = id};
	return -EINVAL;
}

/* A memory of the VM's own, of that backing, whose range from offset on holds the slot. */
static int check_part(struct vm *vm, const struct part *part, uint64_t id, uint64_t offset,
	uint64_t size, struct memory **ret, struct slot_fault *fault)
{
	struct memory *memory = registry_memory(vm->registry, id);

	if (!memory || memory->vm != vm)
		return wrong_memory(fault, SLOT_FAULT_MEMORY_UNKNOWN, part, id);
	if (memory->state == OBJECT_PENDING)
		return wrong_memory(fault, SLOT_FAULT_MEMORY_PENDING, part, id);
	if (memory->state == OBJECT_CLOSING)
		return wrong_memory(fault, SLOT_FAULT_MEMORY_CLOSING, part, id);
	if (!(part->backings & 1u << memory->backing))
		return wrong_value(fault, part->memory, part->backed);
	if (offset >= memory->size)
		return wrong_value(fault, part->offset, part->begins);
	if (size > memory->size - offset)
		return wrong_value(fault, "memory_size", part->holds);
	*ret = memory;
	return 0;
}

/* One that the VMM can have mapped. */
static int check_shown(struct vm *vm, const struct slot_bind_parameters *told,
	struct slot_request *request, struct slot_fault *fault)
{
	const struct memory *shown;
	int r = check_part(vm, &shown_part, told->memory, told->guest_memfd_offset,
		told->memory_size, &request->shown, fault);

	if (r < 0)
		return r;
	shown = request->shown;
	if (shown->backing == BACKING_GUEST_MEMFD && !(shown->flags & MEMORY_MMAP))
		return wrong_value(fault, "memory", "one that can be mapped: it has no flag mmap");
	return 0;
}

/* Frames are converted one by one: a part of a huge page could not be given back. */
static int check_shared(struct vm *vm, const struct slot_bind_parameters *told,
	struct slot_request *request, struct slot_fault *fault)
{
	int r = check_part(vm, &shared_part, told->shared_memory, told->shared_offset,
		told->memory_size, &request->shared_memory, fault);

	if (r == 0 && request->shared_memory->page_size > 0)
		return wrong_value(
			fault, "shared_memory", "one of the host's own pages, not of huge ones");
	return r;
}

static int check_memories(struct vm *vm, const struct slot_bind_parameters *told,
	struct slot_request *request, struct slot_fault *fault)
{
	int r;

	if (told->memory == FIELD_UNSET)
		return 0;
	if (told->through == THROUGH_MAPPING)
		return check_shown(vm, told, request, fault);
	r = check_part(vm, &guest_memfd_part, told->memory, told->guest_memfd_offset,
		told->memory_size, &request->memory, fault);
	if (r < 0 || told->shared_memory == FIELD_UNSET)
		return r;
	return check_shared(vm, told, request, fault);
}

static int check_others(struct vm *vm, const struct slot_request *request, struct slot_fault *fault)
{
	static const char *const params[] = {[SLOT_NUMBER_TAKEN] = "slot",
		[SLOT_ADDRESS_TAKEN] = "guest_phys_addr",
		[SLOT_OFFSET_TAKEN] = "guest_memfd_offset",
		[SLOT_SHARED_TAKEN] = "shared_offset"};
	struct slot *other;
	enum slot_conflict conflict = slot_check(vm, request, &other);

	if (conflict == SLOT_FITS)
		return 0;
	*fault = (struct slot_fault){.kind = SLOT_FAULT_CONFLICT,
		.param = params[conflict],
		.expected = "a range that no other slot has",
		.conflict = conflict,
		.other = other};
	return -EINVAL;
}

int slot_check_alone(struct vm *vm, const struct slot_bind_parameters *told,
	struct slot_request *ret, struct slot_fault *ret_fault)
{
	struct slot_request request = {
		.number = (uint32_t)told->slot,
		.guest_phys_addr = told->guest_phys_addr,
		.memory_size = told->memory_size,
		.userspace_addr = told->userspace_addr,
		.guest_memfd_offset = told->guest_memfd_offset,
		.shared_offset = told->shared_offset,
		.flags = told->flags,
	};
	int r;

	r = check_values(vm, told, ret_fault);
	if (r == 0)
		r = check_number(vm, told, ret_fault);
	if (r == 0)
		r = check_combination(told, ret_fault);
	if (r == 0)
		r = check_memories(vm, told, &request, ret_fault);
	if (r == 0)
		*ret = request;
	return r;
}

int slot_check_told(struct vm *vm, const struct slot_bind_parameters *told,
	struct slot_request *ret, struct slot_fault *ret_fault)
{
	struct slot_request request;
	int r = slot_check_alone(vm, told, &request, ret_fault);

	if (r == 0)
		r = check_others(vm, &request, ret_fault);
	if (r == 0)
		*ret = request;
	return r;
}

int slot_check_leaving(const struct vm *vm, const struct slot_request *request,
	const struct slot_change *change, struct slot_fault *ret_fault)
{
	const struct slot *other = slot_leaving_in_way(vm, request, change);

	if (!other)
		return 0;
	*ret_fault = (struct slot_fault){.kind = SLOT_FAULT_LEAVING, .other = other};
	return -EINVAL;
}

/* The same place in the guest, on the same memory. */
static bool is_same_but_flags(const struct slot *slot, const struct slot_bind_parameters *told)
{
	bool mapping = told->through == THROUGH_MAPPING;
	uint64_t shown = slot->named ? slot->named->id : FIELD_UNSET;

	return !slot_memory(slot) && slot->guest_phys_addr == told->guest_phys_addr &&
	       slot->memory_size == told->memory_size &&
	       slot->userspace_addr == told->userspace_addr && shown == told->memory &&
	       slot->guest_memfd_offset == told->guest_memfd_offset && mapping == slot->showing &&
	       told->shared_memory == FIELD_UNSET && told->shared_offset == 0;
}

struct slot *slot_told_again(struct vm *vm, const struct slot_bind_parameters *told)
{
	struct slot *slot = vm_slot(vm, (uint32_t)told->slot);

	return slot && slot->state != OBJECT_PENDING && is_same_but_flags(slot, told) ? slot : NULL;
}

int slot_check_flags(const struct slot *slot, const struct slot_bind_parameters *told,
	struct slot_fault *ret_fault)
{
	if (slot->state != OBJECT_READY || slot->change) {
		*ret_fault = (struct slot_fault){.kind = SLOT_FAULT_CHANGING};
		return -EINVAL;
	}
	if ((slot->flags ^ told->flags) & SLOT_READONLY)
		return wrong_value(ret_fault, "flags",
			"with readonly as the slot is bound: the kernel changes log_dirty_pages "
			"alone in place");
	return 0;
}

int slot_check_limits(
	const struct vm *vm, const struct slot_request *request, struct slot_fault *ret_fault)
{
	uint64_t limit = vm->registry->config->own_memory_per_vm;

	if (request->memory || request->shown ||
		(vm->own_memory <= limit && request->memory_size <= limit - vm->own_memory))
		return 0;
	*ret_fault = (struct slot_fault){.kind = SLOT_FAULT_OWN_MEMORY,
		.param = "memory_size",
		.expected = "within what a VM may bind of its process's own memory"};
	return -EINVAL;
}
