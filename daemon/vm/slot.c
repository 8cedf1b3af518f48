/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots. See slot.h.
 */
#include "daemon/vm/slot.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/vm/vm_ledger.h"

/*
 * Ranges in a tree never overlap. Comparing a range with them finds one that it overlaps, if there
 * is any: overlapping ranges compare equal.
 */
static int range_compare(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	if (a + a_size <= b)
		return -1;
	return a >= b + b_size;
}

static int slot_compare_number(struct slot *a, struct slot *b)
{
	return a->number < b->number ? -1 : a->number > b->number;
}

static int slot_compare_address(struct slot *a, struct slot *b)
{
	uint32_t a_space = a->number >> 16, b_space = b->number >> 16;

	if (a_space != b_space)
		return a_space < b_space ? -1 : 1;
	return range_compare(
		a->guest_phys_addr, a->memory_size, b->guest_phys_addr, b->memory_size);
}

static int slot_compare_offset(struct slot *a, struct slot *b)
{
	return range_compare(
		a->guest_memfd_offset, a->memory_size, b->guest_memfd_offset, b->memory_size);
}

static int slot_compare_shared_offset(struct slot *a, struct slot *b)
{
	return range_compare(a->shared_offset, a->memory_size, b->shared_offset, b->memory_size);
}

RB_GENERATE(slot_tree, slot, by_number, slot_compare_number)
RB_GENERATE_LOCAL(slot_address_tree, slot, by_address, slot_compare_address)
RB_GENERATE_LOCAL(slot_offset_tree, slot, by_offset, slot_compare_offset)
RB_GENERATE_LOCAL(slot_shared_tree, slot, by_shared_offset, slot_compare_shared_offset)

static void slot_fill(struct slot *slot, struct vm *vm, const struct slot_request *request)
{
	*slot = (struct slot){
		.vm = vm,
		.number = request->number,
		.guest_phys_addr = request->guest_phys_addr,
		.memory_size = request->memory_size,
		.userspace_addr = request->userspace_addr,
		.memory = request->memory,
		.guest_memfd_offset = request->guest_memfd_offset,
		.shared_memory = request->shared_memory,
		.shared_offset = request->shared_offset,
		.flags = request->flags,
	};
}

enum slot_conflict slot_check(
	struct vm *vm, const struct slot_request *request, struct slot **ret_other)
{
	struct slot key;

	slot_fill(&key, vm, request);
	*ret_other = RB_FIND(slot_tree, &vm->slots, &key);
	if (*ret_other)
		return SLOT_NUMBER_TAKEN;
	*ret_other = RB_FIND(slot_address_tree, &vm->slots_by_address, &key);
	if (*ret_other)
		return SLOT_ADDRESS_TAKEN;
	if (key.memory)
		*ret_other = RB_FIND(slot_offset_tree, &key.memory->slots_by_offset, &key);
	if (*ret_other)
		return SLOT_OFFSET_TAKEN;
	if (key.shared_memory)
		*ret_other =
			RB_FIND(slot_shared_tree, &key.shared_memory->slots_by_shared_offset, &key);
	return *ret_other ? SLOT_SHARED_TAKEN : SLOT_FITS;
}

static void join_memories(struct slot *slot)
{
	struct memory *memory = slot->memory, *shared = slot->shared_memory;

	if (memory) {
		RB_INSERT(slot_offset_tree, &memory->slots_by_offset, slot);
		memory->n_slots++;
	} else {
		slot->vm->own_memory += slot->memory_size;
	}
	if (shared) {
		RB_INSERT(slot_shared_tree, &shared->slots_by_shared_offset, slot);
		shared->n_slots++;
	}
}

static void leave_memories(struct slot *slot)
{
	struct memory *memory = slot->memory, *shared = slot->shared_memory;

	if (memory) {
		RB_REMOVE(slot_offset_tree, &memory->slots_by_offset, slot);
		memory->n_slots--;
	} else {
		slot->vm->own_memory -= slot->memory_size;
	}
	if (shared) {
		RB_REMOVE(slot_shared_tree, &shared->slots_by_shared_offset, slot);
		shared->n_slots--;
	}
}

int slot_new(struct vm *vm, const struct slot_request *request, struct slot **ret)
{
	if (vm->n_slots >= vm->registry->config->slots_per_vm)
		return -EDQUOT;
	return slot_recover(vm, request, ret);
}

int slot_recover(struct vm *vm, const struct slot_request *request, struct slot **ret)
{
	struct slot *slot = calloc(1, sizeof *slot);

	if (!slot)
		return -ENOMEM;
	slot_fill(slot, vm, request);
	RB_INSERT(slot_tree, &vm->slots, slot);
	RB_INSERT(slot_address_tree, &vm->slots_by_address, slot);
	vm->n_slots++;
	join_memories(slot);
	vm_ledger_note_slot(slot);
	*ret = slot;
	return 0;
}

struct slot *slot_free(struct slot *slot)
{
	struct vm *vm;

	if (!slot)
		return NULL;
	vm = slot->vm;
	vm_ledger_forget_slot(slot);
	RB_REMOVE(slot_tree, &vm->slots, slot);
	RB_REMOVE(slot_address_tree, &vm->slots_by_address, slot);
	vm->n_slots--;
	leave_memories(slot);
	free(slot);
	return NULL;
}

struct slot *vm_slot(struct vm *vm, uint32_t number)
{
	struct slot key = {.number = number};

	return RB_FIND(slot_tree, &vm->slots, &key);
}

struct slot *vm_slot_from(struct vm *vm, uint64_t number)
{
	struct slot key = {.number = (uint32_t)number};

	return number > UINT32_MAX ? NULL : RB_NFIND(slot_tree, &vm->slots, &key);
}

struct slot *memory_first_slot(struct memory *memory)
{
	struct slot *slot = RB_MIN(slot_offset_tree, &memory->slots_by_offset);

	return slot ? slot : RB_MIN(slot_shared_tree, &memory->slots_by_shared_offset);
}

struct slot *vm_slot_at_or_after(struct vm *vm, uint64_t guest_phys_addr)
{
	struct slot key = {.guest_phys_addr = guest_phys_addr, .memory_size = 1};
	struct slot *slot = RB_NFIND(slot_address_tree, &vm->slots_by_address, &key);

	/* Address spaces come one after the other. */
	return slot && slot->number >> 16 == 0 ? slot : NULL;
}
