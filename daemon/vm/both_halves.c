/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both halves. See both_halves.h.
 */
#include "daemon/vm/both_halves.h"

#include "kernel/host/memory_file.h"

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

static bool has_two_halves(const struct slot *slot)
{
	return slot->memory && (slot->shared_memory || !(slot->memory->flags & MEMORY_MMAP));
}

static uint64_t punch(const struct memory *memory, uint64_t offset, uint64_t size)
{
	uint64_t bytes;

	if (memory_file_resident_range(memory->fd, offset, size, &bytes) < 0 || bytes == 0)
		return 0;
	return memory_file_punch(memory->fd, offset, size) < 0 ? 0 : bytes;
}

static uint64_t discard_part(const struct part *part, enum convert_to state)
{
	const struct slot *slot = part->slot;
	uint64_t offset = part->guest_phys_addr - slot->guest_phys_addr;

	if (slot->state != OBJECT_READY || !has_two_halves(slot))
		return 0;
	if (state == CONVERT_TO_SHARED)
		return punch(slot->memory, slot->guest_memfd_offset + offset, part->size);
	if (slot->shared_memory)
		return punch(slot->shared_memory, slot->shared_offset + offset, part->size);
	return 0;
}

uint64_t both_halves_discard_stale(
	struct vm *vm, enum convert_to state, uint64_t guest_phys_addr, uint64_t size)
{
	uint64_t at = guest_phys_addr, bytes = 0;
	struct part part;

	while (next_part(vm, &at, guest_phys_addr + size, &part))
		bytes += discard_part(&part, state);
	return bytes;
}

int both_halves_find(struct vm *vm, uint64_t guest_phys_addr, uint64_t size, struct ranges *ret)
{
	uint64_t at = guest_phys_addr;
	struct part part;
	int r = 0;

	while (r == 0 && next_part(vm, &at, guest_phys_addr + size, &part)) {
		if (part.slot->memory && part.slot->shared_memory)
			r = ranges_add(ret, part.guest_phys_addr, part.size);
	}
	return r;
}
