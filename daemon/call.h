/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls: what a VMM was told to trigger and has not reported yet, each with its mailbox entry.
 */
#pragma once

#include "daemon/slot.h"

enum call_kind { CALL_CREATE, CALL_BIND, CALL_UNBIND };

struct call {
	TAILQ_ENTRY(call) link;
	struct vm *vm;
	uint64_t id; /* within its VM */
	enum call_kind kind;
	unsigned entry;
	bool continued;        /* the gate let this creation through */
	struct memory *memory; /* of a creation */
	struct slot *slot;     /* of a binding or its end */
};

/* Write the entry of each kind. -EBUSY where all entries wait to be reported, -ENOMEM. */
int call_new_create(struct memory *memory, struct call **ret);
/* guest_memfd: the memory's fd by its number in the VMM; 0 for a slot without one. */
int call_new_bind(struct slot *slot, uint32_t guest_memfd, struct call **ret);
int call_new_unbind(struct slot *slot, struct call **ret);
/* Clears the entry. Takes NULL, returns NULL. */
struct call *call_free(struct call *call);

struct call *vm_call(struct vm *vm, uint64_t id);
/* The call whose creation is at that entry of the mailbox, or NULL. */
struct call *vm_call_of_create_entry(struct vm *vm, unsigned entry);
/* The area of its entry. */
enum mailbox_command call_command(const struct call *call);
