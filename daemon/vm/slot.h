/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots: which range of which memory a VM's memslots show the guest at which address.
 *
 * A slot holds its number, its guest addresses and its range of the memory from the moment that its
 * binding is written, so that nothing else is written that would collide with it.
 */
#pragma once

#include "daemon/vm/memory.h"

struct slot {
	RB_ENTRY(slot) by_number;
	RB_ENTRY(slot) by_address;
	RB_ENTRY(slot) by_offset;        /* in its memory */
	RB_ENTRY(slot) by_shared_offset; /* in what backs its shared half */
	struct vm *vm;
	uint32_t number; /* the address space's in the upper half */
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	struct memory *memory; /* NULL: the VMM's own memory */
	uint64_t guest_memfd_offset;
	/* What backs its shared half; NULL: nothing of gmemd's else. */
	struct memory *shared_memory;
	uint64_t shared_offset;
	uint64_t flags; /* enum slot_flags */
	enum object_state state;
	uint32_t record; /* in its VM's ledger; 0: none */
};

RB_PROTOTYPE(slot_tree, slot, by_number, )

enum slot_conflict {
	SLOT_FITS,
	SLOT_NUMBER_TAKEN,
	SLOT_ADDRESS_TAKEN, /* its guest addresses overlap another slot's */
	SLOT_OFFSET_TAKEN,  /* its range of the memory overlaps another slot's */
	SLOT_SHARED_TAKEN,  /* its range of the shared memory does */
};

struct slot_request {
	uint32_t number;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	struct memory *memory; /* ready; NULL: the VMM's own */
	uint64_t guest_memfd_offset;
	struct memory *shared_memory; /* ready, a memfd; NULL: none */
	uint64_t shared_offset;
	uint64_t flags;
};

/* What the slot would collide with; *ret_other is the slot in the way. */
enum slot_conflict slot_check(
	struct vm *vm, const struct slot_request *request, struct slot **ret_other);

/* A pending slot that slot_check() found to fit. -EDQUOT where the VM has too many, -ENOMEM. */
int slot_new(struct vm *vm, const struct slot_request *request, struct slot **ret);
/* One that a predecessor has left: a new configuration may allow fewer. -ENOMEM. */
int slot_recover(struct vm *vm, const struct slot_request *request, struct slot **ret);
/* Takes NULL, returns NULL. */
struct slot *slot_free(struct slot *slot);

struct slot *vm_slot(struct vm *vm, uint32_t number);
/* The VM's first slot with a number of at least that, or NULL. */
struct slot *vm_slot_from(struct vm *vm, uint64_t number);
/* In address space 0, the slot that holds the guest address, else the next above it, or NULL. */
struct slot *vm_slot_at_or_after(struct vm *vm, uint64_t guest_phys_addr);
/* One of the slots that use the memory, or NULL. */
struct slot *memory_first_slot(struct memory *memory);
