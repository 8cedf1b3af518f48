/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trapped ioctls. See trapped_ioctl.h.
 */
#include "daemon/gate/trapped_ioctl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/gate/vm_creations.h"
#include "daemon/peerfd/taker_client.h"
#include "daemon/request/peer_ledger.h"
#include "daemon/vm/vm_ledger.h"
#include "kernel/kvm/gate.h"

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

/* What is decided must outlive gmemd before the call is answered: a successor can't see it
 * again. */
static void note_answer(struct vm *vm, const struct gate_trap *trap, enum trap_answer answer)
{
	vm->trap.id = trap->id;
	vm->trap.answer = answer;
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
}

static void refuse_trap(
	struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap, const char *reason)
{
	const char *name = ioctl_name(trap->request);

	note_answer(vm, trap, TRAP_REFUSE);
	STEP("trap: refusal decided");
	gate_refuse(vm->listener, trap->id);
	audit_write(&gmemd->audit,
		&(struct audit_entry){.act = ACT_IOCTL_REFUSED,
			.vm = vm,
			.also = {{"GMEMD_IOCTL", name}, {"GMEMD_REASON", reason}}},
		"refused %s of thread %d: %s", name, trap->thread, reason);
	events_gate_refused(&gmemd->events, vm, name, reason);
}

/* KVM_CREATE_VM */

static const char *create_vm_fault(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap)
{
	if (vm_is_released(vm))
		return "the VM has been released";
	if (!process_has_thread(vm->process.pid, trap->thread))
		return "the caller is not the VM's process";
	if (trap->argument != vm->type)
		return "its type is not the one the VM was opened with";
	return vm->gate == VM_GATE_ACTIVE ? creations_fault(gmemd->creations, vm, trap) : NULL;
}

/* What was found speaks against it: where it could not be found out, too. */
static const char *unfit_for_vm(const struct taking_result *found)
{
	switch (found->result) {
	case 0:
		return found->mapping < 0 ? found->reason : NULL;
	case -EBADF:
	case -EINVAL:
		return "the file descriptor is not /dev/kvm";
	case -ETIMEDOUT:
		return "gmemd could not look at its process in time";
	case -EDQUOT:
		return "every gmemd-taker that may look at its process hangs";
	default:
		return "gmemd could not check the mailbox's mapping";
	}
}

static void announce_vm(struct gmemd *gmemd, const struct vm *vm, bool again)
{
	if (again) {
		if (audit_admits_line(&gmemd->audit, &vm->process))
			log_vm_info(
				vm->id, "its KVM_CREATE_VM made no VM: it is let through again");
		return;
	}
	audit_vm(&gmemd->audit, ACT_VM_RUNNING, vm, "made behind its gate by process %d",
		vm->process.pid);
	events_vm(&gmemd->events, vm, EVENT_VM_RUNNING);
}

static void let_vm_be_made(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap)
{
	bool again = vm->gate == VM_GATE_ACTIVE;

	creations_note(gmemd->creations, vm, trap->thread);
	if (!again) {
		vm_gate_state_change(&vm->gate, VM_GATE_ACTIVE);
		vm_state_change(&vm->state, VM_RUNNING);
	}
	note_answer(vm, trap, TRAP_CONTINUE);
	STEP("trapped KVM_CREATE_VM: decided");
	if (gate_continue(vm->listener, trap->id) == 0) {
		STEP("trapped KVM_CREATE_VM: let through");
		announce_vm(gmemd, vm, again);
		return;
	}
	vm_gate_state_change(&vm->gate, VM_GATE_PENDING);
	vm_state_change(&vm->state, VM_OPENING);
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
}

/* Much may have changed since it was asked for. */
static void decide_on_vm(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap,
	const struct taking_result *found)
{
	const char *fault = create_vm_fault(gmemd, vm, trap);

	if (!fault)
		fault = unfit_for_vm(found);
	if (fault)
		refuse_trap(gmemd, vm, trap, fault);
	else
		let_vm_be_made(gmemd, vm, trap);
}

/* Finding out about one, by a taker. Meanwhile the VM's gate is not served. */

struct inquiry {
	struct gmemd *gmemd;
	struct vm *vm;
	struct gate_trap trap;
	struct taking *taking;
	void (*decided)(struct vm *vm);
};

static void found_out(void *context, struct taking_result *found)
{
	struct inquiry *inquiry = context;
	struct vm *vm = inquiry->vm;

	vm->trap.inquiry = NULL;
	/* Its id is still waited for: so what was read of the thread's memory map was its own. */
	if (gate_waits(vm->listener, inquiry->trap.id))
		decide_on_vm(inquiry->gmemd, vm, &inquiry->trap, found);
	inquiry->decided(vm);
	free(inquiry);
}

static struct taking_request question_for(
	const struct gmemd *gmemd, const struct vm *vm, const struct gate_trap *trap)
{
	const struct taker_file file = {
		.number = trap->fd, .kind = TAKER_KVM, .expected = gmemd->kvm_device};

	return (struct taking_request){.owner = vm->owner,
		.process = &vm->process,
		.n_files = 1,
		.files = {file},
		.verify = true,
		.thread = trap->thread,
		.mapping = {mailbox_address(vm->mailbox), mailbox_length(vm->mailbox),
			mailbox_identity(vm->mailbox)}};
}

static void find_out(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap,
	void (*decided)(struct vm *vm))
{
	const struct taking_request request = question_for(gmemd, vm, trap);
	struct taking_result failure = {.result = -ENOMEM};
	struct inquiry *inquiry = malloc(sizeof *inquiry);

	if (inquiry) {
		*inquiry = (struct inquiry){
			.gmemd = gmemd, .vm = vm, .trap = *trap, .decided = decided};
		failure.result = taking_start(
			gmemd->takings, &request, found_out, inquiry, &inquiry->taking);
	}
	if (failure.result < 0) {
		free(inquiry);
		decide_on_vm(gmemd, vm, trap, &failure);
		return;
	}
	vm->trap.inquiry = inquiry;
	STEP("trap: being found out about");
}

void trapped_ioctl_forget(struct vm *vm)
{
	if (!vm->trap.inquiry)
		return;
	taking_cancel(vm->trap.inquiry->taking);
	free(vm->trap.inquiry);
	vm->trap.inquiry = NULL;
}

static void serve_create_vm(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap,
	void (*decided)(struct vm *vm))
{
	const char *fault = create_vm_fault(gmemd, vm, trap);

	if (fault)
		refuse_trap(gmemd, vm, trap, fault);
	else
		find_out(gmemd, vm, trap, decided);
}

/* KVM_CREATE_GUEST_MEMFD */

static const char *create_memory_fault(
	const struct vm *vm, const struct gate_trap *trap, struct call **ret_call)
{
	unsigned entry;

	if (vm->state != VM_RUNNING)
		return "the VM is not running";
	if (!process_has_thread(vm->process.pid, trap->thread))
		return "the caller is not the VM's process";
	if (mailbox_entry_at(vm->mailbox, MAILBOX_CREATE, trap->argument, &entry) < 0)
		return "its pointer is not an entry of the mailbox";
	*ret_call = vm_call_of_create_entry((struct vm *)vm, entry);
	if (!*ret_call)
		return "gmemd has written no such entry";
	if ((*ret_call)->continued)
		return "the entry was used already";
	return NULL;
}

static void let_memory_be_made(struct vm *vm, const struct gate_trap *trap, struct call *call)
{
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

static void serve_create_memory(struct gmemd *gmemd, struct vm *vm, const struct gate_trap *trap)
{
	struct call *call;
	const char *fault = create_memory_fault(vm, trap, &call);

	if (fault)
		refuse_trap(gmemd, vm, trap, fault);
	else
		let_memory_be_made(vm, trap, call);
}

/* Any of them */

/* Where a successor finds the call, should this gmemd end before it has noted it. */
static struct seccomp_notif *trap_room(struct gmemd *gmemd, const struct vm *vm)
{
	static struct seccomp_notif alone;
	struct syscall_marks *marks;

	if (!gmemd->peer_ledger)
		return &alone;
	marks = peer_ledger_marks(gmemd->peer_ledger);
	marks->trap.notification.id = 0;
	atomic_signal_fence(memory_order_seq_cst);
	marks->trap.vm = vm->number;
	return &marks->trap.notification;
}

int trapped_ioctl_serve(struct gmemd *gmemd, struct vm *vm, void (*decided)(struct vm *vm))
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
		serve_create_vm(gmemd, vm, &trap, decided);
	else if (trap.request == KVM_CREATE_GUEST_MEMFD)
		serve_create_memory(gmemd, vm, &trap);
	else
		refuse_trap(gmemd, vm, &trap, "a gate traps no such ioctl");
	return 0;
}
