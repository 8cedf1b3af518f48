/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots. See slot.h.
 */
#include "daemon/vm/slot.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/vm/vm_ledger.h"

/* What a slot is sought by in each of its orders. */
struct slot_key {
	uint32_t number;
	uint64_t start; /* of addresses, or of offsets */
	uint64_t size;
};

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

static int compare_number(const void *object, const void *wanted)
{
	const struct slot *slot = object;
	const struct slot_key *key = wanted;

	return slot->number < key->number ? -1 : slot->number > key->number;
}

static int compare_address(const void *object, const void *wanted)
{
	const struct slot *slot = object;
	const struct slot_key *key = wanted;
	uint32_t space = slot->number >> 16, key_space = key->number >> 16;

	if (space != key_space)
		return space < key_space ? -1 : 1;
	return range_compare(slot->guest_phys_addr, slot->memory_size, key->start, key->size);
}

static int compare_offset(const void *object, const void *wanted)
{
	const struct slot *slot = object;
	const struct slot_key *key = wanted;

	return range_compare(slot->guest_memfd_offset, slot->memory_size, key->start, key->size);
}

static int compare_shared_offset(const void *object, const void *wanted)
{
	const struct shared_half *half = object;
	const struct slot_key *key = wanted;

	return range_compare(half->offset, half->slot->memory_size, key->start, key->size);
}

#define ORDER(type, member, compare_by)                                                            \
	{                                                                                          \
		offsetof(type, member), (compare_by)                                               \
	}

static const struct avl_order by_number = ORDER(struct slot, by_number, compare_number);
static const struct avl_order by_address = ORDER(struct slot, by_address, compare_address);
static const struct avl_order by_offset = ORDER(struct slot, in_memory, compare_offset);
static const struct avl_order showing = ORDER(struct slot, in_memory, compare_number);
static const struct avl_order by_shared_offset =
	ORDER(struct shared_half, by_offset, compare_shared_offset);

/* Finding */

static struct slot *at_number(const struct vm *vm, uint32_t number)
{
	const struct slot_key key = {.number = number};

	return avl_find(&by_number, vm->slots_by_number, &key);
}

static struct slot *at_address(const struct vm *vm, const struct slot_request *request)
{
	const struct slot_key key = {.number = request->number,
		.start = request->guest_phys_addr,
		.size = request->memory_size};

	return avl_find(&by_address, vm->slots_by_address, &key);
}

static struct slot *at_offset(const struct slot_request *request)
{
	const struct slot_key key = {
		.start = request->guest_memfd_offset, .size = request->memory_size};

	return request->memory ? avl_find(&by_offset, request->memory->slots_by_offset, &key)
			       : NULL;
}

static struct slot *at_shared_offset(const struct slot_request *request)
{
	const struct slot_key key = {.start = request->shared_offset, .size = request->memory_size};
	const struct shared_half *half = NULL;

	if (request->shared_memory)
		half = avl_find(&by_shared_offset, request->shared_memory->halves_by_offset, &key);
	return half ? (struct slot *)half->slot : NULL;
}

enum slot_conflict slot_check(
	struct vm *vm, const struct slot_request *request, struct slot **ret_other)
{
	*ret_other = at_number(vm, request->number);
	if (*ret_other)
		return SLOT_NUMBER_TAKEN;
	*ret_other = at_address(vm, request);
	if (*ret_other)
		return SLOT_ADDRESS_TAKEN;
	*ret_other = at_offset(request);
	if (*ret_other)
		return SLOT_OFFSET_TAKEN;
	*ret_other = at_shared_offset(request);
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
	if (slot_memory(slot) && slot_memory(slot) == request->memory &&
		overlap(slot->guest_memfd_offset, slot->memory_size, request->guest_memfd_offset,
			size))
		return true;
	return slot->shared && slot->shared->memory == request->shared_memory &&
	       overlap(slot->shared->offset, slot->memory_size, request->shared_offset, size);
}

const struct slot *slot_leaving_in_way(
	const struct vm *vm, const struct slot_request *request, const struct slot_change *change)
{
	EACH_LEAVING_SLOT (slot, vm) {
		if ((!change || slot->change != change) && is_in_way(slot, request))
			return slot;
	}
	return NULL;
}

bool slot_is_own(const struct slot *slot)
{
	return !slot->named || (slot->showing && slot->astray);
}

/* A memory that a slot uses, leaving or not, can't be closed. */
static void use_memories(const struct slot *slot, struct vm *vm)
{
	if (slot->named)
		slot->named->n_slots++;
	if (slot->shared)
		slot->shared->memory->n_slots++;
	if (slot->showing)
		vm->n_showing++;
}

static void use_memories_no_more(const struct slot *slot, struct vm *vm)
{
	if (slot->named)
		slot->named->n_slots--;
	if (slot->shared)
		slot->shared->memory->n_slots--;
	if (slot->showing)
		vm->n_showing--;
}

/* Trees */

static void enter_memory(struct slot *slot)
{
	const struct slot_key number = {.number = slot->number},
			      offset = {
				      .start = slot->guest_memfd_offset, .size = slot->memory_size};

	if (slot->showing)
		avl_insert(&showing, &slot->named->slots_showing, slot, &number);
	else
		avl_insert(&by_offset, &slot->named->slots_by_offset, slot, &offset);
}

static void leave_memory(const struct slot *slot)
{
	const struct slot_key number = {.number = slot->number},
			      offset = {
				      .start = slot->guest_memfd_offset, .size = slot->memory_size};

	if (slot->showing)
		avl_remove(&showing, &slot->named->slots_showing, &number);
	else
		avl_remove(&by_offset, &slot->named->slots_by_offset, &offset);
}

static struct slot_key key_of_address(const struct slot *slot)
{
	return (struct slot_key){
		.number = slot->number, .start = slot->guest_phys_addr, .size = slot->memory_size};
}

static struct slot_key key_of_shared(const struct shared_half *half)
{
	return (struct slot_key){.start = half->offset, .size = half->slot->memory_size};
}

static void enter_trees(struct slot *slot)
{
	const struct slot_key key = key_of_address(slot);
	struct shared_half *half = slot->shared;
	struct vm *vm = slot_vm(slot);

	avl_insert(&by_number, &vm->slots_by_number, slot, &key);
	avl_insert(&by_address, &vm->slots_by_address, slot, &key);
	vm->n_slots++;
	if (slot->named)
		enter_memory(slot);
	if (half) {
		const struct slot_key shared = key_of_shared(half);

		avl_insert(&by_shared_offset, &half->memory->halves_by_offset, half, &shared);
	}
	if (slot_is_own(slot))
		vm->own_memory += slot->memory_size;
}

static void leave_trees(struct slot *slot)
{
	const struct slot_key key = key_of_address(slot);
	struct shared_half *half = slot->shared;
	struct vm *vm = slot_vm(slot);

	avl_remove(&by_number, &vm->slots_by_number, &key);
	avl_remove(&by_address, &vm->slots_by_address, &key);
	vm->n_slots--;
	if (slot->named)
		leave_memory(slot);
	if (half) {
		const struct slot_key shared = key_of_shared(half);

		avl_remove(&by_shared_offset, &half->memory->halves_by_offset, &shared);
	}
	if (slot_is_own(slot))
		vm->own_memory -= slot->memory_size;
}

/* Making */

int slot_new(struct vm *vm, const struct slot_request *request, struct slot **ret)
{
	if (vm->n_slots >= vm_limit(vm, LIMIT_SLOTS_PER_VM))
		return -EDQUOT;
	return slot_recover(vm, request, ret);
}

static void slot_fill(struct slot *slot, const struct slot_request *request)
{
	slot->number = request->number;
	slot->guest_phys_addr = request->guest_phys_addr;
	slot->memory_size = request->memory_size;
	slot->userspace_addr = request->userspace_addr;
	slot->named = request->shown ? request->shown : request->memory;
	slot->showing = request->shown != NULL;
	slot->guest_memfd_offset = request->guest_memfd_offset;
	slot->flags = (uint32_t)request->flags & (SLOT_READONLY | SLOT_LOG_DIRTY_PAGES);
}

static struct shared_half *half_make(
	struct vm *vm, const struct slot *slot, const struct slot_request *request)
{
	uint32_t place;
	struct shared_half *half = pool_take(&vm->half_pool, sizeof *half, &place);

	if (half)
		*half = (struct shared_half){.slot = slot,
			.memory = request->shared_memory,
			.offset = request->shared_offset,
			.place = place};
	return half;
}

static struct slot *slot_make(struct vm *vm, const struct slot_request *request)
{
	uint32_t place;
	struct slot *slot = pool_take(&vm->slot_pool, sizeof *slot, &place);

	if (!slot)
		return NULL;
	slot_fill(slot, request);
	slot->place = place;
	if (request->shared_memory)
		slot->shared = half_make(vm, slot, request);
	if (request->shared_memory && !slot->shared) {
		pool_give_back(&vm->slot_pool, place);
		return NULL;
	}
	use_memories(slot, vm);
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

/* Leaving */

static struct slot *at_place(const struct vm *vm, uint32_t place)
{
	return place ? pool_at(&vm->slot_pool, sizeof(struct slot), place) : NULL;
}

struct slot *vm_leaving_slot(const struct vm *vm)
{
	return at_place(vm, vm->first_leaving);
}

struct slot *slot_next_leaving(const struct slot *slot)
{
	return at_place(slot_vm(slot), slot->next_leaving);
}

static void become_leaving(struct slot *slot)
{
	struct vm *vm = slot_vm(slot);
	struct slot *last = at_place(vm, vm->last_leaving);

	slot->state = OBJECT_CLOSING;
	slot->leaving = true;
	slot->next_leaving = 0;
	if (last)
		last->next_leaving = slot->place;
	else
		vm->first_leaving = slot->place;
	vm->last_leaving = slot->place;
	vm_ledger_note_slot(slot);
}

/* There are as many as the mailbox has entries, at most. */
static void leave_no_more(struct slot *slot)
{
	struct vm *vm = slot_vm(slot);
	uint32_t *link = &vm->first_leaving, before = 0;

	while (*link != slot->place) {
		before = *link;
		link = &at_place(vm, before)->next_leaving;
	}
	*link = slot->next_leaving;
	if (vm->last_leaving == slot->place)
		vm->last_leaving = before;
	slot->leaving = false;
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
		.memory = slot_memory(slot),
		.guest_memfd_offset = slot->guest_memfd_offset,
		.shared_memory = slot_shared_memory(slot),
		.shared_offset = slot_shared_offset(slot)};
}

bool slot_return(struct slot *slot)
{
	const struct slot_request place = request_of(slot);
	struct slot *other;

	if (slot_check(slot_vm(slot), &place, &other) != SLOT_FITS)
		return false;
	leave_no_more(slot);
	slot->state = OBJECT_READY;
	enter_trees(slot);
	vm_ledger_note_slot(slot);
	return true;
}

void slot_go_astray(struct slot *slot)
{
	if (!slot->showing || slot->astray)
		return;
	slot->astray = true;
	if (!slot->leaving)
		slot_vm(slot)->own_memory += slot->memory_size;
	vm_ledger_note_slot(slot);
}

struct slot *slot_free(struct slot *slot)
{
	struct vm *vm;

	if (!slot)
		return NULL;
	vm = slot_vm(slot);
	vm_ledger_forget_slot(slot);
	if (slot->leaving)
		leave_no_more(slot);
	else
		leave_trees(slot);
	use_memories_no_more(slot, vm);
	if (slot->shared)
		pool_give_back(&vm->half_pool, slot->shared->place);
	pool_give_back(&vm->slot_pool, slot->place);
	return NULL;
}

/* Looking up */

struct slot *vm_slot(struct vm *vm, uint32_t number)
{
	return at_number(vm, number);
}

struct slot *vm_slot_from(struct vm *vm, uint64_t number)
{
	const struct slot_key key = {.number = (uint32_t)number};

	return number > UINT32_MAX ? NULL : avl_find_from(&by_number, vm->slots_by_number, &key);
}

struct slot *vm_slot_after(const struct slot *slot)
{
	return vm_slot_from(slot_vm(slot), slot->number + UINT64_C(1));
}

static struct slot *leaving_slot_of(const struct memory *memory)
{
	struct slot *slot = vm_leaving_slot(memory->vm);

	while (slot && slot->named != memory && slot_shared_memory(slot) != memory)
		slot = slot_next_leaving(slot);
	return slot;
}

struct slot *memory_first_slot(struct memory *memory)
{
	struct slot_key key = {.number = 0};
	const struct shared_half *half;
	struct slot *slot;

	slot = avl_find_from(&by_offset, memory->slots_by_offset, &key);
	if (!slot)
		slot = avl_find_from(&showing, memory->slots_showing, &key);
	if (slot)
		return slot;
	half = avl_find_from(&by_shared_offset, memory->halves_by_offset, &key);
	return half ? (struct slot *)half->slot : leaving_slot_of(memory);
}

struct slot *vm_slot_at_or_after(struct vm *vm, uint64_t guest_phys_addr)
{
	const struct slot_key key = {.start = guest_phys_addr, .size = 1};
	struct slot *slot = avl_find_from(&by_address, vm->slots_by_address, &key);

	/* Address spaces come one after the other. */
	return slot && slot->number >> 16 == 0 ? slot : NULL;
}
