/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of VMs and of memories. See vm_end.h.
 */
#include "daemon/vm/vm_end.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/slot_views.h"
#include "daemon/vm/vm_held.h"
#include "daemon/vm/vm_ledger.h"
#include "kernel/base/cleanup.h"

/* Memories */

void closed_memory_let_go(struct memory *memory)
{
	struct vm *vm = memory->vm;

	closed_memory_free(memory);
	if (vm->state == VM_REMAINING && vm->closed_counts.all == 0)
		vm_free(vm);
}

static void let_go_for_room(struct memory *memory)
{
	struct vm *vm = memory->vm;

	if (vm->state != VM_REMAINING && !vm->said_let_go)
		log_vm_info(vm->id,
			"it has closed more memories than gmemd watches: gmemd watches memory "
			"%" PRIu64 " no more, nor the next ones. Pages that somebody puts into "
			"such a file from now on are charged to its memory cgroup alone",
			memory->id);
	vm->said_let_go = true;
	closed_memory_let_go(memory);
}

void memory_close(struct memory *memory)
{
	const struct vm *vm = memory->vm;
	struct memory *oldest;

	if (!closed_memory_keep(memory)) {
		memory_free(memory);
		return;
	}
	STEP("memory: kept");
	while ((oldest = closed_memory_too_many(vm)))
		let_go_for_room(oldest);
}

/* VMs */

void vm_stop(struct vm *vm)
{
	struct memory *memory;

	if (!vm_is_released(vm))
		vm_state_change(&vm->state, VM_RELEASED);
	registry_unlist_creation(vm); /* it is let make none any more */
	vm_ledger_note_vm(vm);
	while (!TAILQ_EMPTY(&vm->calls))
		call_free(TAILQ_FIRST(&vm->calls));
	while (vm->n_slots > 0)
		slot_free(vm_slot_from(vm, 0));
	while (vm->first_leaving)
		slot_free(vm_leaving_slot(vm));
	views_forget(vm);
	ranges_clear(&vm->private_ranges);
	ranges_clear(&vm->converting);
	ranges_clear(&vm->discarding);
	ranges_clear(&vm->in_both);
	ranges_clear(&vm->uncertain);
	RB_FOREACH (memory, memory_tree, &vm->memories)
		memory->state = OBJECT_CLOSING;
	STEP("VM's end: noted");
	vm_ledger_commit(vm);
	STEP("VM's end: committed");
}

static void end_promises(struct vm *vm)
{
	budget_end_promise(&vm->budget);
	if (vm->reserved)
		budget_end_promise(&vm->reserved->of_node);
}

void vm_drop(struct vm *vm)
{
	while (!RB_EMPTY(&vm->memories))
		memory_close(RB_MIN(memory_tree, &vm->memories));
	STEP("VM's end: memories dropped");
	vm_ledgers_commit(vm->registry); /* of those, too, that it has made let something go */
	STEP("VM's end: their end committed");
	end_promises(vm);
}

static void close_vm_files(struct vm *vm)
{
	vm->registry->backend->close(vm);
	vm->frames = fd_close(vm->frames);
	vm->listener = fd_close(vm->listener);
}

/* Its ledger and its process stay, by which a successor finds its closed memories. */
static void vm_remain(struct vm *vm)
{
	static const enum fdstore_kind kinds[] = {
		FDSTORE_VM_FRAMES, FDSTORE_VM_MAILBOX, FDSTORE_VM_REPORTS, FDSTORE_VM_GATE};

	vm_state_change(&vm->state, VM_REMAINING);
	RB_REMOVE(vm_process_tree, &vm->registry->vms_by_process, vm);
	owner_ref(vm->owner);
	owner_give_back(vm->owner, OWNER_VMS);
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
	STEP("VM's end: it remains");
	for (size_t i = 0; vm->ledger && i < sizeof kinds / sizeof *kinds; i++)
		fdstore_drop(vm->registry->fdstore, kinds[i], vm->number, 0);
	close_vm_files(vm);
}

void vm_end(struct vm *vm)
{
	assert(!vm->watch);
	vm_stop(vm);
	vm_drop(vm);
	if (vm->closed_counts.all > 0)
		vm_remain(vm);
	else
		vm_free(vm);
}

struct vm *vm_free(struct vm *vm)
{
	if (!vm)
		return NULL;
	assert(!vm->watch);
	vm_stop(vm);
	while (!RB_EMPTY(&vm->memories))
		memory_free(RB_MIN(memory_tree, &vm->memories));
	while (!RB_EMPTY(&vm->closed))
		closed_memory_free(RB_MIN(memory_tree, &vm->closed));
	vm_ledger_commit(vm);
	end_promises(vm);
	registry_remove(vm);
	if (vm->ledger)
		vm_drop_held(vm->registry->fdstore, vm->number);
	STEP("VM's end: dropped");
	close_vm_files(vm);
	vm_ledger_close(vm);
	process_release(&vm->process);
	if (vm->state == VM_REMAINING)
		owner_unref(vm->owner);
	else
		owner_give_back(vm->owner, OWNER_VMS);
	tenant_unref(vm->tenant);
	free(vm->reserved);
	free(vm->name);
	free(vm);
	return NULL;
}

void vms_free(struct registry *registry)
{
	struct vm *vm;

	registry->forgetting = true;
	registry->fdstore = NULL;
	RB_FOREACH (vm, vm_tree, &registry->vms)
		vm_ledger_close(vm);
	while (!RB_EMPTY(&registry->vms))
		vm_free(RB_MIN(vm_tree, &registry->vms));
}

void vms_free_unseen(struct registry *registry)
{
	struct vm *vm, *next;

	RB_FOREACH_SAFE (vm, vm_tree, &registry->vms, next) {
		if (!vm_is_seen(vm))
			vm_free(vm);
	}
}
