/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots: which range of which memory a VM's memslots show the guest at which address.
 *
 * A slot holds its number, its guest addresses and its range of the memory from the moment that its
 * binding is written, so that nothing else is written that would collide with it.
 *
 * A plain slot is on userspace_addr alone. What the VMM has mapped there is its own memory, or is
 * shown memory: one of gmemd's, which it has mapped. Shown ranges may overlap with one another, and
 * with ranges that are bound. A slot whose mapping was found to show something else is astray, and
 * on its process's own memory from then on.
 *
 * Where several slots are changed at once (slot_change.h), those that are there already are what
 * the VM is to have; what they replace is leaving, until that is reported. A leaving slot is in no
 * tree, and still in the way of others.
 */
#pragma once

#include "daemon/base/container_of.h"
#include "daemon/vm/memory.h"
#include "kernel/base/avl_tree.h"
#include "kernel/base/pool.h"

struct slot {
	struct avl_links by_number;
	struct avl_links by_address;
	/* In its memory: of a bound one by its offset there, of one that shows it by its number. */
	struct avl_links in_memory;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	struct memory *named; /* that is bound, or shown; NULL: it is on the VMM's own memory */
	uint64_t guest_memfd_offset;
	struct shared_half *shared; /* NULL: nothing of gmemd's backs one */
	struct slot_change *change; /* that it is of, and that is not reported; NULL: none */
	uint32_t number;            /* the address space's in the upper half */
	uint32_t place;             /* in its VM's pool */
	uint32_t next_leaving;      /* the next such one's place; 0: it is the last */
	uint32_t record : 20;       /* in its VM's ledger; 0: none */
	uint32_t state : 3;         /* enum object_state */
	uint32_t flags : 4;         /* enum slot_flags */
	uint32_t part : 2;          /* of the record, where it has several; else SLOTS_TOGETHER */
	uint32_t showing : 1;       /* named is mapped at userspace_addr, not bound */
	uint32_t astray : 1;
	uint32_t leaving : 1;
};

_Static_assert(RECORDS_MAX <= 1u << 20, "a slot's record");

/* What backs a slot's shared half. */
struct shared_half {
	struct avl_links by_offset; /* in the memory */
	const struct slot *slot;
	struct memory *memory;
	uint64_t offset;
	uint32_t place; /* in the VM's pool of these */
};

static inline struct vm *slot_vm(const struct slot *slot)
{
	return CONTAINER_OF(pool_of(slot, sizeof *slot, slot->place), struct vm, slot_pool);
}

/* That is bound; NULL: it is a plain one. */
static inline struct memory *slot_memory(const struct slot *slot)
{
	return slot->showing ? NULL : slot->named;
}

/* Of a plain one: what is mapped at userspace_addr, from guest_memfd_offset on; NULL: the VMM's
 * own memory. */
static inline struct memory *slot_shown(const struct slot *slot)
{
	return slot->showing ? slot->named : NULL;
}

/* What backs its shared half; NULL: nothing of gmemd's else. */
static inline struct memory *slot_shared_memory(const struct slot *slot)
{
	return slot->shared ? slot->shared->memory : NULL;
}

static inline uint64_t slot_shared_offset(const struct slot *slot)
{
	return slot->shared ? slot->shared->offset : 0;
}

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
	struct memory *memory; /* ready; NULL: a plain slot */
	uint64_t guest_memfd_offset;
	struct memory *shown;         /* ready; of a plain one; NULL: the VMM's own */
	struct memory *shared_memory; /* ready, a memfd; NULL: none */
	uint64_t shared_offset;
	uint64_t flags;
};

/* What the slot would collide with; *ret_other is the slot in the way. */
enum slot_conflict slot_check(
	struct vm *vm, const struct slot_request *request, struct slot **ret_other);

/* A leaving slot of another change than that, or of any where it is NULL, that it would collide
 * with; NULL: none. */
const struct slot *slot_leaving_in_way(
	const struct vm *vm, const struct slot_request *request, const struct slot_change *change);

/* A pending slot that slot_check() found to fit. -EDQUOT where the VM has too many, -ENOMEM. */
int slot_new(struct vm *vm, const struct slot_request *request, struct slot **ret);
/* One that a predecessor has left: a new configuration may allow fewer. -ENOMEM. */
int slot_recover(struct vm *vm, const struct slot_request *request, struct slot **ret);
/* The same of a leaving one. */
int slot_recover_leaving(struct vm *vm, const struct slot_request *request, struct slot **ret);
/* Takes NULL, returns NULL. */
struct slot *slot_free(struct slot *slot);

/* A bound slot leaves. */
void slot_leave(struct slot *slot);
/* A leaving one is bound again. False where another is in its place. */
bool slot_return(struct slot *slot);

/* Whether it is a plain one on its process's own memory. */
bool slot_is_own(const struct slot *slot);
/* What it shows is not what it was bound for any more. */
void slot_go_astray(struct slot *slot);

struct slot *vm_slot(struct vm *vm, uint32_t number);
/* The VM's first slot with a number of at least that, or NULL. */
struct slot *vm_slot_from(struct vm *vm, uint64_t number);
/* The next by number, or NULL. */
struct slot *vm_slot_after(const struct slot *slot);
#define EACH_SLOT(slot, vm)                                                                        \
	for (struct slot *slot = vm_slot_from(vm, 0); slot; slot = vm_slot_after(slot))
/* The VM's first leaving slot, and the next, in the order in which they left; or NULL. */
struct slot *vm_leaving_slot(const struct vm *vm);
struct slot *slot_next_leaving(const struct slot *slot);
#define EACH_LEAVING_SLOT(slot, vm)                                                                \
	for (struct slot *slot = vm_leaving_slot(vm); slot; slot = slot_next_leaving(slot))
/* In address space 0, the slot that holds the guest address, else the next above it, or NULL. */
struct slot *vm_slot_at_or_after(struct vm *vm, uint64_t guest_phys_addr);
/* One of the slots that use the memory, or NULL. */
struct slot *memory_first_slot(struct memory *memory);
