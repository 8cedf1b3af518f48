/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The beginning of VMs: opened, taken over from a predecessor, or made again of what their process
 * still has.
 */
#pragma once

#include "daemon/vm/registry.h"

struct label;
struct mailbox;
struct report_page;
struct vm_record;

struct vm_request {
	const char *name;
	const char *uuid; /* NULL: one is made */
	unsigned type;
	uint64_t commit_limit; /* promised to it; BUDGET_UNLIMITED: it has what the host has */
	bool is_reserved;      /* vm_take_reservation() is to promise it that */
	bool initially_private;
	enum vm_charge charge;
	bool gate;
	struct owner *opener; /* whose connection asks for it */
};

/* Who can't promise a VM of the tenant so much, NULL where it can be promised. */
const struct budget *vm_promise_refused(struct tenant *tenant, uint64_t commit_limit);

/*
 * A new VM of a process, VM_MAKING. The process's pidfd is duplicated. -EEXIST where the process
 * has a VM, -EDQUOT where its user has too many, -ENOSPC where vm_promise_refused(), -ENOMEM, or
 * why the back end can't have it.
 */
int vm_new(struct registry *registry, const struct process *process,
	const struct vm_request *request, struct vm **ret);
/* Which level of the tenant's can't promise a VM of its so much that is reserved, NULL where it
 * can. */
const struct budget *vm_reservation_refused(
	struct tenant *tenant, struct reservation *reservation, uint64_t commit_limit);
/* What the VM was opened for is the promise of it from now on: the last that can fail when it is
 * opened. -ENOMEM: nothing has changed. */
int vm_take_reservation(struct vm *vm, struct reservation *consume_reservation);
/* What a predecessor has left of a VM. All is the VM's where it succeeds, but the record, the
 * ledger and the name. */
struct vm_recovery {
	const struct vm_record *record;
	const struct ledger *ledger;
	const char *name;
	const char *unit;   /* of its owner */
	const char *tenant; /* "": its user's own */
	int pidfd;
	int listener; /* -1: none */
	int frames;   /* -1: none */
	struct mailbox *mailbox;
	struct report_page *report_page; /* NULL: none */
};

/* A VM as it was, with nothing of what it has yet. -ENOMEM, -EMFILE. */
int vm_recover(struct registry *registry, const struct vm_recovery *recovery, struct vm **ret);

/*
 * A VM that gmemd has lost, VM_MAKING, as its mailbox's label describes it, with nothing of what it
 * has yet. The mailbox is the VM's where it succeeds, and its report page a new one. What it was
 * promised is promised again where nobody else has it. Errors are vm_new()'s, but for -ENOSPC.
 */
int vm_resume(struct registry *registry, const struct process *process, struct owner *opener,
	const struct label *label, struct mailbox *mailbox, struct vm **ret);
