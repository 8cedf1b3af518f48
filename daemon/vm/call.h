/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls: what a VM's ioctls are to do, from when it is decided until it is known what came of it.
 */
#pragma once

#include "daemon/vm/backend.h"
#include "daemon/vm/slot_change.h"
#include "kernel/kvm/report_page.h"

enum call_kind { CALL_CREATE, CALL_BIND, CALL_UNBIND, CALL_CONVERT, CALL_CHANGE };

struct settlement;

struct call {
	TAILQ_ENTRY(call) link;
	struct vm *vm;
	uint64_t id; /* within its VM */
	enum call_kind kind;
	enum call_progress progress;
	unsigned entry;  /* the first of its mailbox entries */
	unsigned count;  /* of ioctls, in order */
	uint32_t record; /* in its VM's ledger; 0: none */
	bool settling; /* it is known that so many have succeeded, and what follows is under way */
	unsigned done;
	bool inherited; /* that was reported to a predecessor, who did not settle it */
	struct settlement *settlement; /* that does what follows; NULL: nothing is done about it */

	bool continued;        /* the gate let this creation through */
	struct memory *memory; /* of a creation */

	struct slot *slot;    /* of a binding or its end */
	uint32_t guest_memfd; /* the memory's fd by its number in the VMM */

	struct slot_change *change; /* one step for each ioctl */

	struct conversion *conversion; /* one range for each ioctl */
	unsigned first;                /* of its ranges */
};

/*
 * Each submits a call. *ret is the VM's until call_free(). -ENOMEM, -EBUSY where too many wait to
 * be reported, or what the ioctl fails with where it is carried out at once.
 */
int call_new_create(struct memory *memory, struct call **ret);
/* guest_memfd: 0 for a slot without one. */
int call_new_bind(struct slot *slot, uint32_t guest_memfd, struct call **ret);
int call_new_unbind(struct slot *slot, struct call **ret);
/* The change is the call's where it succeeds. -E2BIG where the mailbox's free entries don't follow
 * one another. */
int call_new_change(struct slot_change *change, struct call **ret);
/* Of its ranges from first on, as many as the call has room for: call->count tells. */
int call_new_convert(
	struct vm *vm, struct conversion *conversion, unsigned first, struct call **ret);
/* One as a predecessor has left it, with its entries, which are claimed. -EBADMSG where there can
 * be no such call, -ENOMEM. */
int call_recover(struct vm *vm, const struct call_record *record, struct call **ret);
/* Takes NULL, returns NULL. */
struct call *call_free(struct call *call);

struct call *vm_call(struct vm *vm, uint64_t id);
/* The VM's first call with an id of at least that, or NULL. */
struct call *vm_call_from(struct vm *vm, uint64_t id);
/* The one that is about it, or NULL. */
struct call *vm_call_of_memory(struct vm *vm, const struct memory *memory);
struct call *vm_call_of_slot(struct vm *vm, const struct slot *slot);
/* The call whose creation is at that entry of the mailbox, or NULL. */
struct call *vm_call_of_create_entry(struct vm *vm, unsigned entry);

/* The area of its entries. */
enum mailbox_command call_command(const struct call *call);
/* Where its words are on its VM's report page. False where it can't be reported there. */
bool call_report_place(const struct call *call, struct report_place *ret);

union call_arguments {
	struct kvm_create_guest_memfd create;
	struct kvm_userspace_memory_region2 region;
	struct kvm_memory_attributes attributes;
};

/* What its ioctl of that index is given. */
void call_arguments(const struct call *call, unsigned index, union call_arguments *ret);
