/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of slots: several at once, carried out by one call, an entry of the mailbox for each
 * step, in their order.
 *
 * Each step is made in the VM's trees as it is told, so that what comes after it is checked against
 * what there is then; whoever finds that one can't be takes the whole change back. Once the call is
 * written the steps are the VMM's to trigger. What is reported is that the first of them succeeded,
 * so many, and no more: then the others are undone, the last one first.
 *
 * | step   | from when it is made             | done                  | undone                   |
 * | bind   | a new slot, pending              | bound                 | there is none            |
 * | unbind | the slot is leaving (slot.h)     | there is none         | bound, as it was         |
 * | flags  | bound, with the flags that it has | bound, with new flags | bound, with the old ones |
 *
 * A successor finds the slots in the VM's ledger, and the steps in the mailbox's entries.
 */
#pragma once

#include "daemon/vm/slot.h"
#include "kernel/base/uapi.h"

enum slot_step_kind { SLOT_STEP_BIND, SLOT_STEP_UNBIND, SLOT_STEP_FLAGS };

struct slot_step {
	enum slot_step_kind kind;
	struct slot *slot;
	uint32_t guest_memfd; /* of what is bound: the memory's fd by its number in the VMM */
	uint64_t flags;       /* that the slot is to have: enum slot_flags */
};

struct slot_change {
	struct vm *vm;
	unsigned count;
	struct slot_step steps[SLOT_CHANGES_MAX];
};

/* NULL without memory. */
struct slot_change *slot_change_new(struct vm *vm);
/* Forgets it; its slots stay as they are, and are not of it any more. Takes NULL, returns NULL. */
struct slot_change *slot_change_free(struct slot_change *change);

/* Each makes one more step. There is room for it, and what it is about is as it must be. */
int slot_change_bind(struct slot_change *change, const struct slot_request *request,
	uint32_t guest_memfd); /* -ENOMEM */
void slot_change_unbind(struct slot_change *change, struct slot *slot);
void slot_change_flags(struct slot_change *change, struct slot *slot, uint64_t flags);

/* Takes the last step back. */
void slot_change_undo_last(struct slot_change *change);
/* Takes all of it back, and frees it. Returns NULL. */
struct slot_change *slot_change_undo(struct slot_change *change);

/* The step of that number is carried out: all that follows from it. */
void slot_step_finish(struct slot_step *step);

/* The step that leads back from that, whatever is carried out. */
struct slot_step slot_step_inverse(const struct slot_step *step);

/* What the step's ioctl is given. */
void slot_step_arguments(
	const struct slot_step *step, struct kvm_userspace_memory_region2 *ret_arguments);
/* The step that has been given that; its slot is as the ledger had it. -EBADMSG where it can be
 * none. */
int slot_change_recover(
	struct slot_change *change, const struct kvm_userspace_memory_region2 *arguments);
