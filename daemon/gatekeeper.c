/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gatekeeper. See gatekeeper.h.
 */
#include "daemon/gatekeeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/peer_ledger.h"
#include "daemon/step.h"
#include "daemon/verification.h"
#include "daemon/vm_ledger.h"
#include "kernel/cleanup.h"
#include "kernel/gate.h"

/* So many of a VM's refusals are logged; what comes then is only told as events. */
#define REFUSALS_LOGGED 16

static const char *ioctl_name(uint32_t request)
{
	switch (request) {
	case KVM_CREATE_VM:
		return "KVM_CREATE_VM";
	case KVM_CREATE_GUEST_MEMFD:
		return "KVM_CREATE_GUEST_MEMFD";
	default:
		return "ioctl";
	}
}

/* What is decided must outlive gmemd before the call is answered: a successor can't see it again.
 */
static void note_answer(struct vm *vm, const struct gate_trap *trap, enum trap_answer answer)
{
	if (vm->trap.verifying == trap->id && answer != TRAP_UNDECIDED)
		vm->trap.verifying = 0;
	vm->trap.id = trap->id;
	vm->trap.answer = answer;
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
}

static void refuse(
	struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap, const char *reason)
{
	const char *name = ioctl_name(trap->request);

	note_answer(vm, trap, TRAP_REFUSE);
	STEP("trap: refusal decided");
	gate_refuse(vm->listener, trap->id);
	vm->refusals++;
	if (vm->refusals <= REFUSALS_LOGGED)
		log_vm_warning(vm->id, "refused %s of thread %d: %s%s", name, trap->thread, reason,
			vm->refusals == REFUSALS_LOGGED ? " (further ones are not logged)" : "");
	events_gate_refused(&gmemd->events, vm, name, reason);
}

/* What is looked at here is a VMM's file, which may wait for the VMM: no file system is asked. */
static bool is_kvm(const struct gmemd *gmemd, int fd)
{
	struct statx status;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) == 0 &&
	       S_ISCHR(status.stx_mode) &&
	       makedev(status.stx_rdev_major, status.stx_rdev_minor) == gmemd->kvm_device;
}

static bool is_vm(const struct gmemd *gmemd, int fd)
{
	char target[64];

	(void)gmemd;
	return process_file_target(getpid(), fd, target, sizeof target) == 0 &&
	       strcmp(target, "anon_inode:kvm-vm") == 0;
}

/*
 * Whether the VMM's fd is what the ioctl is for. It could be another by the time that the ioctl
 * runs, which then fails by itself: so this only keeps a mistake from using up what is let through
 * once. Where it can't be looked at, it passes.
 */
static bool file_is(struct gmemd *gmemd, const struct vm *vm, const struct gate_trap *trap,
	bool (*expected)(const struct gmemd *gmemd, int fd))
{
	bool is;
	int fd;
	int r;

	r = process_duplicate_file(vm->process.pidfd, trap->fd, &fd);
	if (r < 0)
		return r != -EBADF;
	is = expected(gmemd, fd);
	fd_close(fd);
	return is;
}

static const char *create_vm_fault(
	struct gmemd *gmemd, const struct vm *vm, const struct gate_trap *trap)
{
	if (vm->state == VM_RELEASED)
		return "the VM has been released";
	if (vm->gate == VM_GATE_ACTIVE || vm->trap.verifying)
		return "it would be the process's second VM";
	if (!process_has_thread(vm->process.pid, trap->thread))
		return "the caller is not the VM's process";
	if (trap->argument != vm->type)
		return "its type is not the one the VM was opened with";
	if (!file_is(gmemd, vm, trap, is_kvm))
		return "the file descriptor is not /dev/kvm";
	return NULL;
}

static void let_vm_be_made(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap)
{
	vm->gate = VM_GATE_ACTIVE;
	vm->state = VM_RUNNING;
	note_answer(vm, trap, TRAP_CONTINUE);
	STEP("trapped KVM_CREATE_VM: decided");
	if (gate_continue(vm->listener, trap->id) == 0) {
		STEP("trapped KVM_CREATE_VM: let through");
		log_vm_info(vm->id, "made behind its gate by process %d", vm->process.pid);
		events_vm(&gmemd->events, vm, EVENT_VM_RUNNING);
		return;
	}
	vm->gate = VM_GATE_PENDING;
	vm->state = VM_OPENING;
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
}

static void verified(struct gmemd *gmemd, const struct verification *verification)
{
	struct vm *vm = registry_vm_by_id(&gmemd->registry, verification->vm);

	if (!vm)
		return;
	vm->trap.verifying = 0;
	/* The id is still waited for: so what was read of the thread's memory map was its own. */
	if (!gate_waits(vm->listener, verification->trap.id))
		return;
	if (vm->state == VM_RELEASED)
		refuse(gmemd, vm, &verification->trap, "the VM has been released");
	else if (verification->result < 0)
		refuse(gmemd, vm, &verification->trap, verification->reason);
	else
		let_vm_be_made(gmemd, vm, &verification->trap);
}

static void serve_create_vm(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap)
{
	const char *fault = create_vm_fault(gmemd, vm, trap);
	struct verification verification;

	if (fault) {
		refuse(gmemd, vm, trap, fault);
		return;
	}
	verification = (struct verification){
		.trap = *trap,
		.expected = {mailbox_address(vm->mailbox), mailbox_length(vm->mailbox),
			mailbox_identity(vm->mailbox)},
	};
	memcpy(verification.vm, vm->id, sizeof verification.vm);
	if (verification_start(gmemd, &verification, verified) < 0) {
		refuse(gmemd, vm, trap, "gmemd could not check the mailbox's mapping");
		return;
	}
	vm->trap.verifying = trap->id;
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
	STEP("trapped KVM_CREATE_VM: being verified");
}

static const char *create_memory_fault(struct gmemd *gmemd, const struct vm *vm,
	const struct gate_trap *trap, struct call **ret_call)
{
	unsigned entry;

	if (vm->state != VM_RUNNING)
		return "the VM is not running";
	if (!process_has_thread(vm->process.pid, trap->thread))
		return "the caller is not the VM's process";
	if (!file_is(gmemd, vm, trap, is_vm))
		return "the file descriptor is not a VM";
	if (mailbox_entry_at(vm->mailbox, MAILBOX_CREATE, trap->argument, &entry) < 0)
		return "its pointer is not an entry of the mailbox";
	*ret_call = vm_call_of_create_entry((struct vm *)vm, entry);
	if (!*ret_call)
		return "gmemd has written no such entry";
	if ((*ret_call)->continued)
		return "the entry was used already";
	return NULL;
}

static void serve_create_memory(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap)
{
	struct call *call;
	const char *fault = create_memory_fault(gmemd, vm, trap, &call);

	if (fault) {
		refuse(gmemd, vm, trap, fault);
		return;
	}
	call->continued = true;
	vm_ledger_note_call(call);
	note_answer(vm, trap, TRAP_CONTINUE);
	STEP("trapped KVM_CREATE_GUEST_MEMFD: decided");
	if (gate_continue(vm->listener, trap->id) == 0) {
		STEP("trapped KVM_CREATE_GUEST_MEMFD: let through");
		return;
	}
	call->continued = false;
	vm_ledger_note_call(call);
	vm_ledger_commit(vm);
}

/* Where a successor finds the call, should this gmemd end before it has noted it. */
static struct seccomp_notif *trap_room(struct gmemd *gmemd, const struct vm *vm)
{
	static struct seccomp_notif alone;
	struct marks *marks;

	if (!gmemd->peer_ledger)
		return &alone;
	marks = peer_ledger_marks(gmemd->peer_ledger);
	marks->trap.notification.id = 0;
	atomic_signal_fence(memory_order_seq_cst);
	marks->trap.vm = vm->number;
	return &marks->trap.notification;
}

int gatekeeper_serve(struct gmemd *gmemd, struct vm *vm)
{
	struct gate_trap trap;
	int r;

	r = gate_receive(vm->listener, trap_room(gmemd, vm), &trap);
	if (r < 0)
		return r;
	STEP("trap: received");
	note_answer(vm, &trap, TRAP_UNDECIDED);
	STEP("trap: noted");
	if (trap.request == KVM_CREATE_VM)
		serve_create_vm(gmemd, vm, &trap);
	else if (trap.request == KVM_CREATE_GUEST_MEMFD)
		serve_create_memory(gmemd, vm, &trap);
	else
		refuse(gmemd, vm, &trap, "a gate traps no such ioctl");
	return 0;
}
