/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's ledger: what of it outlives gmemd.
 *
 * What changes is noted at once and committed at the end of the request, or before anything is done
 * that can't be taken back: so a gmemd that is killed between leaves a VM as it was before the
 * request or as it was after it. A VM without a ledger (the model's) is not noted.
 */
#pragma once

#include "daemon/vm/call.h"

/* Makes the VM's ledger, with itself in it. 0 or a negative errno. */
int vm_ledger_new(struct vm *vm);
/* Closes it. */
void vm_ledger_close(struct vm *vm);

/* The object as it is now; anew or again. */
void vm_ledger_note_vm(struct vm *vm);
/* The same of one that was taken over. Where nothing but its generation is new, that is noted with
 * what changes first: no call can be of that generation before. */
void vm_ledger_note_succession(struct vm *vm);
/* vm->minimum; read from a predecessor's ledger. */
void vm_ledger_note_minimum(struct vm *vm);
void vm_ledger_read_minimum(struct vm *vm, const struct ledger *ledger);
/* vm->tenant. Where it is in a predecessor's ledger must be known before it is noted anew: what it
 * says is what record_read_tenant() has read. */
void vm_ledger_note_tenant(struct vm *vm);
void vm_ledger_find_tenant(struct vm *vm, struct ledger *ledger);
/* vm->opened, of a predecessor's ledger. */
void vm_ledger_read_opened(struct vm *vm, const struct ledger *ledger);
/* vm->reserved, where it has any; the same. */
void vm_ledger_note_reserved(struct vm *vm);
int vm_ledger_read_reserved(struct vm *vm, const struct ledger *ledger);
void vm_ledger_note_memory(struct memory *memory);
void vm_ledger_note_slot(struct slot *slot);
void vm_ledger_note_call(struct call *call);
void vm_ledger_note_grant(struct vm *vm, struct grant *grant);

/* It is no more. */
void vm_ledger_forget_memory(struct memory *memory);
void vm_ledger_forget_slot(struct slot *slot);
void vm_ledger_forget_call(struct call *call);
void vm_ledger_forget_grant(struct vm *vm, struct grant *grant);

void vm_ledger_commit(struct vm *vm);
/* Of all VMs of which something was noted. */
void vm_ledgers_commit(struct registry *registry);
/* The same, by the request of that number. */
void vm_ledgers_commit_request(struct registry *registry, uint64_t request);
