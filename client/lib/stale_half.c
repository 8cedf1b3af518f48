/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stale half. See stale_half.h.
 */
#include "client/lib/stale_half.h"

#include "kernel/host/memory_file.h"

/* More is gmemd's: while it goes, no other thread gets a turn. */
#define BYTES_MAX (UINT64_C(2) << 20)

/* What a slot has of a range. */
struct part {
	uint64_t offset; /* in the slot */
	uint64_t size;
};

static struct part part_of(const struct gmem_slot *slot, const struct gmem_range *range)
{
	uint64_t start = range->guest_phys_addr, end = start + range->size;
	uint64_t slot_end = slot->guest_phys_addr + slot->memory_size;

	if (start < slot->guest_phys_addr)
		start = slot->guest_phys_addr;
	if (end > slot_end)
		end = slot_end;
	if (start >= end)
		return (struct part){.size = 0};
	return (struct part){start - slot->guest_phys_addr, end - start};
}

/* To punch where there is nothing takes longer than to look: KVM unmaps the range all the same. */
static bool give_back(
	const struct gmem_memory *memory, uint64_t offset, uint64_t size, uint64_t *discarded)
{
	uint64_t bytes;

	if (memory_file_resident_range(memory->fd, offset, size, &bytes) < 0)
		return false;
	if (bytes > 0 && memory_file_punch(memory->fd, offset, size) < 0)
		return false;
	if (discarded)
		*discarded += bytes;
	return true;
}

/* A slot with a shared half has a memory that can't be mapped, or gmemd would have refused it. */
static bool give_back_part(const struct gmem_vm *vm, enum gmem_state to,
	const struct bound_slot *bound, const struct part *part, uint64_t *discarded)
{
	const struct gmem_memory *private = vm_memory(vm, bound->memories.memory);
	const struct gmem_memory *shared = vm_memory(vm, bound->memories.shared_memory);
	const struct gmem_slot *slot = &bound->slot;

	if (!private || !shared)
		return false;
	if (to == GMEM_PRIVATE)
		return give_back(shared, slot->shared_offset + part->offset, part->size, discarded);
	return give_back(private, slot->guest_memfd_offset + part->offset, part->size, discarded);
}

/* A slot that was bound since a gmemd has lost the VM may have made them all private. */
static bool give_back_in_turn(
	struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *range, uint64_t *discarded)
{
	const struct bound_slot *bound;
	uint64_t given_back = 0;

	if (conversions_find(&vm->conversions, to, range) != CONVERSIONS_ARE_SO)
		return false;
	LIST_FOREACH (bound, &vm->slots, link) {
		struct part part = part_of(&bound->slot, range);

		if (part.size > 0 && give_back_part(vm, to, bound, &part, discarded))
			given_back += part.size;
	}
	return given_back == range->size;
}

/* With the turn: no slot is changed and no memory closed meanwhile. */
bool stale_half_give_back(
	struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *range, uint64_t *discarded)
{
	bool all;

	if (range->size > BYTES_MAX || connection_take_turn(vm->gmem) < 0)
		return false;
	all = give_back_in_turn(vm, to, range, discarded);
	connection_leave_turn(vm->gmem);
	return all;
}
