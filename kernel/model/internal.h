/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the model's own files share: its VMs, memories and slots. Nobody else includes this.
 *
 * A slot belongs to its VM. A memory knows the slots that it is bound to and its VM, and neither
 * keeps it: the last holder's leaving empties the slots, the VM's end takes the slots away.
 */
#pragma once

#include "kernel/base/tree.h"
#include "kernel/model/model.h"

struct model_slot {
	RB_ENTRY(model_slot) by_number;
	RB_ENTRY(model_slot) by_address;
	RB_ENTRY(model_slot) by_offset; /* while memory is set */
	uint32_t number;                /* the address space in the upper half */
	uint32_t flags;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	uint64_t guest_memfd_offset;
	struct model_memory *memory; /* NULL too where it was closed */
	bool guest_memfd_only;       /* KVM_MEMSLOT_GMEM_ONLY: shared memory comes from it, too */
};

RB_HEAD(model_number_tree, model_slot);
RB_HEAD(model_address_tree, model_slot);
RB_HEAD(model_offset_tree, model_slot);

struct model_memory {
	LIST_ENTRY(model_memory) link; /* in its VM */
	struct model_vm *vm;           /* NULL once that is gone */
	struct model_offset_tree slots;
	unsigned holders;
	uint64_t size;
	uint64_t flags;
	int fd;
};

LIST_HEAD(model_memory_list, model_memory);

struct model_vm {
	struct model_rules rules;
	struct model_userspace userspace;
	struct model_number_tree slots;
	struct model_address_tree slots_by_address;
	struct model_memory_list memories;
	struct ranges private_ranges;
	/*
	 * Holes that the guest has touched, which KVM remembers as MMIO: until slots change, and
	 * then as something that it has to look at anew. Conversions pass them by, for they only
	 * reach what slots have. Where frames can be private, a slot's end leaves them, too.
	 */
	struct ranges mmio, mmio_stale;
	uint64_t page_size;
};

/* The slot that holds the guest address, NULL where none does. */
struct model_slot *model_slot_at(
	struct model_vm *vm, unsigned address_space, uint64_t guest_phys_addr);
/* Takes its memory from every slot that it is bound to. */
void model_slots_empty(struct model_memory *memory);
/* Deletes all slots of a VM. */
void model_slots_clear(struct model_vm *vm);

static inline bool model_aligned(const struct model_vm *vm, uint64_t number)
{
	return (number & (vm->page_size - 1)) == 0;
}
