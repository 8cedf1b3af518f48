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
		.shown = request->shown,
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

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return range_compare(a, a_size, b, b_size) == 0;
}

static bool is_in_way(const struct slot *slot, const struct slot_request *request)
{
	uint64_t size = request->memory_size;

	if (slot->number == request->number)
		return true;
	if (slot->number >> 16 == request->number >> 16 &&
		overlap(slot->guest_phys_addr, slot->memory_size, request->guest_phys_addr, size))
		return true;
	if (slot->memory && slot->memory == request->memory &&
		overlap(slot->guest_memfd_offset, slot->memory_size, request->guest_memfd_offset,
			size))
		return true;
	return slot->shared_memory && slot->shared_memory == request->shared_memory &&
	       overlap(slot->shared_offset, slot->memory_size, request->shared_offset, size);
}

const struct slot *slot_leaving_in_way(
	const struct vm *vm, const struct slot_request *request, const struct slot_change *change)
{
	const struct slot *slot;

	TAILQ_FOREACH (slot, &vm->leaving, of_leaving) {
		if ((!change || slot->change != change) && is_in_way(slot, request))
			return slot;
	}
	return NULL;
}

bool slot_is_own(const struct slot *slot)
{
	return !slot->memory && (!slot->shown || slot->astray);
}

/* A memory that a slot uses, leaving or not, can't be closed. */
static void use_memories(struct slot *slot)
{
	if (slot->memory)
		slot->memory->n_slots++;
	if (slot->shared_memory)
		slot->shared_memory->n_slots++;
	if (slot->shown) {
		slot->shown->n_slots++;
		slot->vm->n_showing++;
		LIST_INSERT_HEAD(&slot->shown->slots_showing, slot, of_shown);
	}
}

static void use_memories_no_more(struct slot *slot)
{
	if (slot->memory)
		slot->memory->n_slots--;
	if (slot->shared_memory)
		slot->shared_memory->n_slots--;
	if (slot->shown) {
		slot->shown->n_slots--;
		slot->vm->n_showing--;
		LIST_REMOVE(slot, of_shown);
	}
}

static void enter_trees(struct slot *slot)
{
	struct vm *vm = slot->vm;

	RB_INSERT(slot_tree, &vm->slots, slot);
	RB_INSERT(slot_address_tree, &vm->slots_by_address, slot);
	vm->n_slots++;
	if (slot->memory)
		RB_INSERT(slot_offset_tree, &slot->memory->slots_by_offset, slot);
	if (slot->shared_memory)
		RB_INSERT(slot_shared_tree, &slot->shared_memory->slots_by_shared_offset, slot);
	if (slot_is_own(slot))
		vm->own_memory += slot->memory_size;
}

static void leave_trees(struct slot *slot)
{
	struct vm *vm = slot->vm;

	RB_REMOVE(slot_tree, &vm->slots, slot);
	RB_REMOVE(slot_address_tree, &vm->slots_by_address, slot);
	vm->n_slots--;
	if (slot->memory)
		RB_REMOVE(slot_offset_tree, &slot->memory->slots_by_offset, slot);
	if (slot->shared_memory)
		RB_REMOVE(slot_shared_tree, &slot->shared_memory->slots_by_shared_offset, slot);
	if (slot_is_own(slot))
		vm->own_memory -= slot->memory_size;
}

int slot_new(struct vm *vm, const struct slot_request *request, struct slot **ret)
{
	if (vm->n_slots >= vm_limit(vm, LIMIT_SLOTS_PER_VM))
		return -EDQUOT;
	return slot_recover(vm, request, ret);
}

static struct slot *slot_make(struct vm *vm, const struct slot_request *request)
{
	struct slot *slot = calloc(1, sizeof *slot);

	if (!slot)
		return NULL;
	slot_fill(slot, vm, request);
	use_memories(slot);
	return slot;
}

int slot_recover(struct vm *vm, const struct slot_request *request, struct slot **ret)
{
	struct slot *slot = slot_make(vm, request);

	if (!slot)
		return -ENOMEM;
	enter_trees(slot);
	vm_ledger_note_slot(slot);
	*ret = slot;
	return 0;
}

static void become_leaving(struct slot *slot)
{
	slot->state = OBJECT_CLOSING;
	slot->leaving = true;
	TAILQ_INSERT_TAIL(&slot->vm->leaving, slot, of_leaving);
	vm_ledger_note_slot(slot);
}

int slot_recover_leaving(struct vm *vm, const struct slot_request *request, struct slot **ret)
{
	struct slot *slot = slot_make(vm, request);

	if (!slot)
		return -ENOMEM;
	become_leaving(slot);
	*ret = slot;
	return 0;
}

void slot_leave(struct slot *slot)
{
	leave_trees(slot);
	become_leaving(slot);
}

static struct slot_request request_of(const struct slot *slot)
{
	return (struct slot_request){.number = slot->number,
		.guest_phys_addr = slot->guest_phys_addr,
		.memory_size = slot->memory_size,
		.memory = slot->memory,
		.guest_memfd_offset = slot->guest_memfd_offset,
		.shared_memory = slot->shared_memory,
		.shared_offset = slot->shared_offset};
}

bool slot_return(struct slot *slot)
{
	const struct slot_request place = request_of(slot);
	struct slot *other;

	if (slot_check(slot->vm, &place, &other) != SLOT_FITS)
		return false;
	TAILQ_REMOVE(&slot->vm->leaving, slot, of_leaving);
	slot->leaving = false;
	slot->state = OBJECT_READY;
	enter_trees(slot);
	vm_ledger_note_slot(slot);
	return true;
}

void slot_go_astray(struct slot *slot)
{
	if (!slot->shown || slot->astray)
		return;
	slot->astray = true;
	if (!slot->leaving)
		slot->vm->own_memory += slot->memory_size;
	vm_ledger_note_slot(slot);
}

struct slot *slot_free(struct slot *slot)
{
	if (!slot)
		return NULL;
	vm_ledger_forget_slot(slot);
	if (slot->leaving)
		TAILQ_REMOVE(&slot->vm->leaving, slot, of_leaving);
	else
		leave_trees(slot);
	use_memories_no_more(slot);
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

static struct slot *leaving_slot_of(const struct memory *memory)
{
	struct slot *slot;

	TAILQ_FOREACH (slot, &memory->vm->leaving, of_leaving) {
		if (slot->memory == memory || slot->shared_memory == memory)
			break;
	}
	return slot;
}

struct slot *memory_first_slot(struct memory *memory)
{
	struct slot *slot = RB_MIN(slot_offset_tree, &memory->slots_by_offset);

	if (!slot)
		slot = RB_MIN(slot_shared_tree, &memory->slots_by_shared_offset);
	if (!slot)
		slot = LIST_FIRST(&memory->slots_showing);
	return slot ? slot : leaving_slot_of(memory);
}

struct slot *vm_slot_at_or_after(struct vm *vm, uint64_t guest_phys_addr)
{
	struct slot key = {.guest_phys_addr = guest_phys_addr, .memory_size = 1};
	struct slot *slot = RB_NFIND(slot_address_tree, &vm->slots_by_address, &key);

	/* Address spaces come one after the other. */
	return slot && slot->number >> 16 == 0 ? slot : NULL;
}
