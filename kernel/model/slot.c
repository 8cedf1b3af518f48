/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model's memslots: the checks of kvm_set_memory_region() in its order. See model.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "kernel/model/internal.h"

/* KVM_MEM_MAX_NR_PAGES: dirty bitmaps are indexed with 31 bits. */
#define SLOT_PAGES_MAX ((1ULL << 31) - 1)

static int compare_number(struct model_slot *a, struct model_slot *b)
{
	return a->number < b->number ? -1 : a->number > b->number;
}

/* Ranges in a tree never overlap, so those that do compare equal: a search finds an overlap. */
static int compare_range(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	if (a + a_size <= b)
		return -1;
	return a >= b + b_size;
}

static int compare_address(struct model_slot *a, struct model_slot *b)
{
	uint32_t a_space = a->number >> 16, b_space = b->number >> 16;

	if (a_space != b_space)
		return a_space < b_space ? -1 : 1;
	return compare_range(
		a->guest_phys_addr, a->memory_size, b->guest_phys_addr, b->memory_size);
}

static int compare_offset(struct model_slot *a, struct model_slot *b)
{
	return compare_range(
		a->guest_memfd_offset, a->memory_size, b->guest_memfd_offset, b->memory_size);
}

RB_GENERATE_LOCAL(model_number_tree, model_slot, by_number, compare_number)
RB_GENERATE_LOCAL(model_address_tree, model_slot, by_address, compare_address)
RB_GENERATE_LOCAL(model_offset_tree, model_slot, by_offset, compare_offset)

struct model_slot *model_slot_at(
	struct model_vm *vm, unsigned address_space, uint64_t guest_phys_addr)
{
	struct model_slot key = {
		.number = address_space << 16,
		.guest_phys_addr = guest_phys_addr,
		.memory_size = 1,
	};

	return RB_FIND(model_address_tree, &vm->slots_by_address, &key);
}

static void unbind(struct model_slot *slot)
{
	if (slot->memory)
		RB_REMOVE(model_offset_tree, &slot->memory->slots, slot);
	slot->memory = NULL;
}

void model_slots_empty(struct model_memory *memory)
{
	struct model_slot *slot;

	while ((slot = RB_MIN(model_offset_tree, &memory->slots)))
		unbind(slot);
}

static void slot_free(struct model_vm *vm, struct model_slot *slot)
{
	unbind(slot);
	RB_REMOVE(model_number_tree, &vm->slots, slot);
	RB_REMOVE(model_address_tree, &vm->slots_by_address, slot);
	free(slot);
}

void model_slots_clear(struct model_vm *vm)
{
	struct model_slot *slot;

	while ((slot = RB_MIN(model_number_tree, &vm->slots)))
		slot_free(vm, slot);
}

/* Checks of the arguments alone */

static int check_flags(enum model_region_call call, uint32_t flags)
{
	uint32_t valid = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;

	if (call == MODEL_REGION_V2 && flags & KVM_MEM_GUEST_MEMFD)
		valid = KVM_MEM_GUEST_MEMFD;
	return flags & ~valid ? -EINVAL : 0;
}

static int check_number(const struct model_vm *vm, uint32_t number)
{
	return (number & 0xffff) >= vm->rules.memslots || number >> 16 >= vm->rules.address_spaces
		       ? -EINVAL
		       : 0;
}

static int check_userspace(const struct model_vm *vm, uint64_t address, uint64_t size)
{
	uint64_t end;

	if (!model_aligned(vm, address) || __builtin_add_overflow(address, size, &end))
		return -EINVAL;
	return end > vm->rules.userspace_end ? -EINVAL : 0;
}

static int check_arguments(const struct model_vm *vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments)
{
	uint64_t size = arguments->memory_size;

	if (check_flags(call, arguments->flags) < 0 || check_number(vm, arguments->slot) < 0)
		return -EINVAL;
	if (!model_aligned(vm, size) || !model_aligned(vm, arguments->guest_phys_addr))
		return -EINVAL;
	if (check_userspace(vm, arguments->userspace_addr, size) < 0)
		return -EINVAL;
	if (arguments->flags & KVM_MEM_GUEST_MEMFD &&
		(!model_aligned(vm, arguments->guest_memfd_offset) ||
			arguments->guest_memfd_offset + size < arguments->guest_memfd_offset))
		return -EINVAL;
	if (arguments->guest_phys_addr + size < arguments->guest_phys_addr)
		return -EINVAL;
	return size / vm->page_size > SLOT_PAGES_MAX ? -EINVAL : 0;
}

/* Checks against what is there */

static int check_guest_address(struct model_vm *vm, struct model_slot *slot)
{
	return RB_FIND(model_address_tree, &vm->slots_by_address, slot) ? -EEXIST : 0;
}

/* The kernel looks at this after it has bound the memory, and undoes that. */
static int check_guest_end(const struct model_vm *vm, const struct model_slot *slot)
{
	return slot->guest_phys_addr + slot->memory_size > vm->rules.guest_phys_end ? -EINVAL : 0;
}

/* kvm_gmem_bind() */
static int check_memory(
	struct model_vm *vm, struct model_slot *slot, const struct model_memory *memory)
{
	uint64_t offset = slot->guest_memfd_offset;

	if (!memory)
		return -EBADF;
	if (memory == MODEL_OTHER_FILE || memory->vm != vm)
		return -EINVAL;
	if ((int64_t)offset < 0 || offset + slot->memory_size > memory->size)
		return -EINVAL;
	if (vm->rules.guest_end_first && check_guest_end(vm, slot) < 0)
		return -EINVAL;
	return RB_FIND(model_offset_tree, (struct model_offset_tree *)&memory->slots, slot)
		       ? -vm->rules.overlapping_offsets
		       : 0;
}

/* Creation and change */

static int slot_insert(
	struct model_vm *vm, const struct model_slot *asked, struct model_memory *memory)
{
	struct model_slot *slot = malloc(sizeof *slot);

	if (!slot)
		return -ENOMEM;
	*slot = *asked;
	RB_INSERT(model_number_tree, &vm->slots, slot);
	RB_INSERT(model_address_tree, &vm->slots_by_address, slot);
	if (slot->flags & KVM_MEM_GUEST_MEMFD) {
		slot->memory = memory;
		slot->guest_memfd_only = memory->flags & GUEST_MEMFD_FLAG_MMAP;
		RB_INSERT(model_offset_tree, &memory->slots, slot);
	}
	return 0;
}

static int slot_create(struct model_vm *vm, struct model_slot *asked, struct model_memory *memory)
{
	int r = check_guest_address(vm, asked);

	if (r == 0 && asked->flags & KVM_MEM_GUEST_MEMFD)
		r = check_memory(vm, asked, memory);
	if (r == 0)
		r = check_guest_end(vm, asked);
	return r == 0 ? slot_insert(vm, asked, memory) : r;
}

/* Of slots without guest_memfd the address and dirty logging can change; of others, nothing. */
static int slot_change(struct model_vm *vm, struct model_slot *slot, struct model_slot *asked)
{
	int r;

	if (asked->flags & KVM_MEM_GUEST_MEMFD)
		return -EINVAL;
	if (asked->userspace_addr != slot->userspace_addr ||
		asked->memory_size != slot->memory_size ||
		(asked->flags ^ slot->flags) & (KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD))
		return -EINVAL;
	RB_REMOVE(model_address_tree, &vm->slots_by_address, slot); /* itself is no obstacle */
	r = check_guest_address(vm, asked);
	if (r == 0)
		r = check_guest_end(vm, asked);
	if (r == 0) {
		slot->guest_phys_addr = asked->guest_phys_addr;
		slot->flags = asked->flags;
	}
	RB_INSERT(model_address_tree, &vm->slots_by_address, slot);
	return r;
}

/* What is remembered of holes is of before. */
static int forget_mmio(struct model_vm *vm)
{
	const struct range *range;
	struct range_place place;
	int r = 0;

	for (range = ranges_from(&vm->mmio, 0, &place); r == 0 && range;
		range = ranges_next(&place))
		r = ranges_add(&vm->mmio_stale, range->start, range->end - range->start);
	ranges_clear(&vm->mmio);
	return r;
}

static int set_region(struct model_vm *vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments, struct model_memory *memory)
{
	struct model_slot *slot, asked;
	int r = check_arguments(vm, call, arguments);

	if (r < 0)
		return r;
	asked = (struct model_slot){
		.number = arguments->slot,
		.flags = arguments->flags,
		.guest_phys_addr = arguments->guest_phys_addr,
		.memory_size = arguments->memory_size,
		.userspace_addr = arguments->userspace_addr,
	};
	if (call == MODEL_REGION_V2) /* the v1 struct ends before it */
		asked.guest_memfd_offset = arguments->guest_memfd_offset;
	slot = RB_FIND(model_number_tree, &vm->slots, &asked);
	if (asked.memory_size == 0) {
		if (!slot)
			return -EINVAL;
		slot_free(vm, slot);
		return 0;
	}
	return slot ? slot_change(vm, slot, &asked) : slot_create(vm, &asked, memory);
}

int model_vm_set_region(struct model_vm *vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments, struct model_memory *memory)
{
	int r = set_region(vm, call, arguments, memory);

	return r == 0 ? forget_mmio(vm) : r;
}
