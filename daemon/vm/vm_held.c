/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the keeper holds for a VM. See vm_held.h.
 */
#include "daemon/vm/vm_held.h"

#include "daemon/base/privileges.h"
#include "daemon/vm/registry.h"
#include "kernel/kvm/report_page.h"
#include "kernel/store/ledger.h"

void vm_fix_mailbox(const struct vm *vm)
{
	if (mailbox_is_fixed(vm->mailbox))
		return;
	privileges_raise_to_fix();
	mailbox_fix(vm->mailbox);
	privileges_lower();
}

/* All that is held for a VM, but for its memories. What its ledger describes is put at once, so
 * that a successor has all of it or nothing. */
static const enum fdstore_kind held_kinds[] = {
	FDSTORE_VM_LEDGER,
	FDSTORE_VM_FRAMES,
	FDSTORE_VM_MAILBOX,
	FDSTORE_VM_REPORTS,
	FDSTORE_VM_GATE,
	FDSTORE_VM_PROCESS,
};

#define HELD_KINDS (sizeof held_kinds / sizeof *held_kinds)

/* -1: the VM has none. */
static int held_fd(const struct vm *vm, enum fdstore_kind kind)
{
	switch (kind) {
	case FDSTORE_VM_LEDGER:
		return ledger_fd(vm->ledger);
	case FDSTORE_VM_FRAMES:
		return vm->frames;
	case FDSTORE_VM_MAILBOX:
		return vm->mailbox ? mailbox_write_fd(vm->mailbox) : -1;
	case FDSTORE_VM_REPORTS:
		return vm->report_page ? report_page_fd(vm->report_page) : -1;
	case FDSTORE_VM_GATE:
		return vm->listener;
	default:
		return -1;
	}
}

void vm_put(struct vm *vm)
{
	struct keeper_id ids[HELD_KINDS];
	int fds[HELD_KINDS];
	size_t count = 0;

	if (!vm->ledger)
		return;
	fdstore_put_one(
		vm->registry->fdstore, FDSTORE_VM_PROCESS, vm->number, 0, vm->process.pidfd);
	for (size_t i = 0; i < HELD_KINDS; i++) {
		fds[count] = held_fd(vm, held_kinds[i]);
		if (fds[count] < 0)
			continue;
		ids[count++] = (struct keeper_id){held_kinds[i], vm->number, 0};
	}
	fdstore_put(vm->registry->fdstore, ids, fds, count);
}

void vm_drop_held(struct fdstore *fdstore, uint64_t number)
{
	for (size_t i = 0; i < HELD_KINDS; i++)
		fdstore_drop(fdstore, held_kinds[i], number, 0);
}
