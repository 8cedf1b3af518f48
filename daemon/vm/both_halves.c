/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both halves. See both_halves.h.
 */
#include "daemon/vm/both_halves.h"

/* What a slot has of a range of guest addresses. */
struct part {
	const struct slot *slot;
	uint64_t guest_phys_addr;
	uint64_t size;
};

/* The range's first part at or behind *at, which is moved behind it. False where there is none. */
static bool next_part(struct vm *vm, uint64_t *at, uint64_t end, struct part *ret)
{
	const struct slot *slot = vm_slot_at_or_after(vm, *at);
	uint64_t slot_end;

	if (!slot || *at >= end || slot->guest_phys_addr >= end)
		return false;
	slot_end = slot->guest_phys_addr + slot->memory_size;
	*ret = (struct part){.slot = slot, .guest_phys_addr = *at};
	if (slot->guest_phys_addr > *at)
		ret->guest_phys_addr = slot->guest_phys_addr;
	*at = slot_end < end ? slot_end : end;
	ret->size = *at - ret->guest_phys_addr;
	return true;
}

bool both_halves_possible(const struct memory *memory)
{
	return !(memory->flags & MEMORY_MMAP);
}

static bool has_two_halves(const struct slot *slot)
{
	return slot_memory(slot) && both_halves_possible(slot_memory(slot));
}

/* The part of the half that is not in use; false where gmemd has none. */
static bool stale_half(const struct part *part, enum convert_to state, const struct memory **ret,
	uint64_t *ret_offset)
{
	const struct slot *slot = part->slot;
	uint64_t offset = part->guest_phys_addr - slot->guest_phys_addr;

	if (slot->state != OBJECT_READY || !has_two_halves(slot))
		return false;
	*ret = state == CONVERT_TO_SHARED ? slot_memory(slot) : slot_shared_memory(slot);
	*ret_offset = offset + (state == CONVERT_TO_SHARED ? slot->guest_memfd_offset
							   : slot_shared_offset(slot));
	return *ret && (*ret)->pages;
}

size_t both_halves_add_stale(
	struct vm *vm, enum convert_to state, const struct guest_range *range, struct page_job *job)
{
	uint64_t at = range->guest_phys_addr, offset;
	const struct memory *memory;
	struct part part;
	size_t count = 0;

	while (next_part(vm, &at, range->guest_phys_addr + range->size, &part)) {
		if (!stale_half(&part, state, &memory, &offset))
			continue;
		if (job)
			page_job_add(job, PAGES_PUNCH, memory->pages, offset, part.size);
		count++;
	}
	return count;
}

int both_halves_find(struct vm *vm, uint64_t guest_phys_addr, uint64_t size, struct ranges *ret)
{
	uint64_t at = guest_phys_addr;
	struct part part;
	int r = 0;

	while (r == 0 && next_part(vm, &at, guest_phys_addr + size, &part)) {
		if (has_two_halves(part.slot) && part.slot->shared)
			r = ranges_add(ret, part.guest_phys_addr, part.size);
	}
	return r;
}
