/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery. See recover_vm.h.
 */
#include "daemon/start/recover_vm.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/gate/gate_watch.h"
#include "daemon/release/call_reports.h"
#include "daemon/release/release.h"
#include "daemon/release/settlement.h"
#include "daemon/release/vm_watch.h"
#include "daemon/request/peer_ledger.h"
#include "daemon/start/recover_content.h"
#include "daemon/vm/call.h"
#include "daemon/vm/vm_check.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_held.h"
#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_new.h"
#include "daemon/vm/vm_record.h"
#include "kernel/base/cleanup.h"
#include "kernel/kvm/gate.h"
#include "kernel/kvm/report_page.h"
#include "kernel/store/ledger.h"

/* What was under way */

static void interrupt_waiting(const struct vm *vm, uint64_t id)
{
	if (id > 0 && gate_waits(vm->listener, id))
		gate_interrupt(vm->listener, id);
}

/* One that the predecessor had received, and not noted yet. */
static uint64_t received_by_mark(const struct gmemd *gmemd, const struct vm *vm)
{
	const struct syscall_marks *marks = peer_ledger_marks(gmemd->peer_ledger);
	uint64_t id = marks->trap.notification.id;

	return marks->trap.vm == vm->number && id != vm->trap.id ? id : 0;
}

/* The calls that were trapped when the predecessor ended: those that it had received are never told
 * again. */
static void recover_trapped(const struct gmemd *gmemd, struct vm *vm)
{
	uint64_t id = vm->trap.id;

	if (vm->listener < 0)
		return;
	interrupt_waiting(vm, received_by_mark(gmemd, vm));
	interrupt_waiting(vm, vm->trap.verifying);
	vm->trap.verifying = 0;
	if (id == 0 || !gate_waits(vm->listener, id))
		return;
	if (vm->trap.answer == TRAP_CONTINUE)
		gate_continue(vm->listener, id);
	else if (vm->trap.answer == TRAP_REFUSE)
		gate_refuse(vm->listener, id);
	else
		gate_interrupt(vm->listener, id);
}

static void finish_calls(struct gmemd *gmemd, struct vm *vm)
{
	struct call *call, *next;
	uint64_t discarded;

	TAILQ_FOREACH_SAFE (call, &vm->calls, link, next) {
		if (call->settling)
			settlement_begin(gmemd, call, call->done, &discarded);
	}
}

/* The ledger */

static void forget_memory_records(struct memory *memory)
{
	memory->record = 0;
	memset(memory->name_records, 0, sizeof memory->name_records);
}

static void forget_records(struct vm *vm)
{
	struct memory *memory;
	struct grant *grant;
	struct call *call;

	vm->minimum_record = 0;
	memset(vm->tenant_records, 0, sizeof vm->tenant_records);
	if (vm->reserved)
		vm->reserved->record = 0;
	TAILQ_FOREACH (grant, &vm->grants.all, link)
		grant->record = 0;
	RB_FOREACH (memory, memory_tree, &vm->memories)
		forget_memory_records(memory);
	RB_FOREACH (memory, memory_tree, &vm->closed)
		forget_memory_records(memory);
	vm->slots_with_room = 0;
	EACH_SLOT (slot, vm)
		slot->record = 0;
	EACH_LEAVING_SLOT (slot, vm)
		slot->record = 0;
	TAILQ_FOREACH (call, &vm->calls, link)
		call->record = 0;
}

/* A ledger of its own, whose records are this gmemd's, takes the old one's place. */
static int renew_ledger(struct vm *vm)
{
	struct memory *memory;
	struct grant *grant;
	struct call *call;
	int r;

	forget_records(vm);
	r = vm_ledger_new(vm);
	if (r < 0)
		return r;
	vm_ledger_note_minimum(vm);
	vm_ledger_note_reserved(vm);
	TAILQ_FOREACH (grant, &vm->grants.all, link)
		vm_ledger_note_grant(vm, grant);
	RB_FOREACH (memory, memory_tree, &vm->memories)
		vm_ledger_note_memory(memory);
	RB_FOREACH (memory, memory_tree, &vm->closed)
		vm_ledger_note_memory(memory);
	EACH_SLOT (slot, vm)
		vm_ledger_note_slot(slot);
	EACH_LEAVING_SLOT (slot, vm)
		vm_ledger_note_slot(slot);
	TAILQ_FOREACH (call, &vm->calls, link)
		vm_ledger_note_call(call);
	vm_ledger_commit(vm);
	vm_put(vm);
	return 0;
}

/* Goes on in the ledger where it is as large as this gmemd's; it is NULL then. */
static int keep_ledger(struct vm *vm, struct ledger **ledger)
{
	if (ledger_record_size(*ledger) < RECORD_SIZE || ledger_capacity(*ledger) < RECORDS_MAX)
		return renew_ledger(vm);
	vm->ledger = *ledger;
	*ledger = NULL;
	vm_ledger_note_succession(vm);
	vm_ledger_commit(vm);
	return 0;
}

/* They begin later: recover_rest.h. */
static int prepare_watches(struct gmemd *gmemd, struct vm *vm)
{
	int r = vm->state == VM_REMAINING ? 0 : watch_prepare(gmemd, vm);

	return r < 0 || vm->listener < 0 ? r : gate_watch_prepare(gmemd, vm);
}

/* VMs */

static int open_mailbox(struct inherited_fds *inherited, uint64_t number, struct mailbox **ret)
{
	int fd = inherited_fds_take(inherited, FDSTORE_VM_MAILBOX, number, 0);
	int r = fd < 0 ? -ENOENT : mailbox_open(fd, ret);

	if (r < 0)
		fd_close(fd);
	return r;
}

/* Without it nobody would read what the VMM is writing there. */
static int open_report_page(
	struct inherited_fds *inherited, uint64_t number, struct report_page **ret)
{
	int fd = inherited_fds_take(inherited, FDSTORE_VM_REPORTS, number, 0);
	int r = fd < 0 ? -ENOENT : report_page_open(fd, ret);

	if (r < 0)
		fd_close(fd);
	return r;
}

/* A listener that its VM does not say it has is of a request that was not done. */
static int take_files(struct inherited_fds *inherited, struct vm_recovery *recovery)
{
	uint64_t number = recovery->record->number;
	int r;

	recovery->pidfd = inherited_fds_take(inherited, FDSTORE_VM_PROCESS, number, 0);
	if (recovery->pidfd < 0)
		return -ENOENT;
	if (recovery->record->flags & RECORD_VM_REMAINS)
		return 0;
	r = open_mailbox(inherited, number, &recovery->mailbox);
	if (r == 0 && recovery->record->flags & RECORD_VM_REPORTS)
		r = open_report_page(inherited, number, &recovery->report_page);
	if (r < 0)
		return r;
	if (recovery->record->flags & RECORD_VM_LISTENER)
		recovery->listener = inherited_fds_take(inherited, FDSTORE_VM_GATE, number, 0);
	recovery->frames = inherited_fds_take(inherited, FDSTORE_VM_FRAMES, number, 0);
	return 0;
}

static int refused(const struct vm_record *record, const char *what, const char *must)
{
	log_warning("VM vm-%" PRIu64 ": its ledger is refused: %s must be %s", record->number, what,
		must);
	return -EBADMSG;
}

/* What the record has and a request has not. */
static const char *record_fault(
	const struct registry *registry, const struct vm_record *record, uint64_t number)
{
	if (record->number != number || !registry_has_had_id(registry, number))
		return "number";
	if (record_vm_state(record) == VM_STATES)
		return "state";
	if (record->gate >= VM_GATE_STATES)
		return "gate";
	return record->generation == UINT32_MAX ? "generation" : NULL;
}

static int check_record(struct registry *registry, const struct vm_record *record, uint64_t number,
	const char *name)
{
	const struct vm_open_parameters told = {
		.name = name,
		.commit_limit = record->commit_limit,
		.initial_state = record->flags & RECORD_VM_INITIALLY_PRIVATE ? INITIAL_STATE_PRIVATE
									     : INITIAL_STATE_SHARED,
	};
	const char *what = record_fault(registry, record, number);
	struct vm_fault fault;

	if (what)
		return refused(record, what, "what a VM can have");
	if (vm_check_told(registry, &told, record->type, &fault) < 0)
		return refused(record, fault.param, fault.expected);
	if (record->state != RECORD_VM_RELEASED &&
		vm_name_conflict(registry, record->uid, name, NULL))
		return refused(record, "name", "no other VM's of the user");
	return 0;
}

static int read_record(struct registry *registry, const struct ledger *ledger, uint64_t number,
	union record *record, char name[static NAME_BYTES_MAX + 1])
{
	if (!record_at(ledger, 0, RECORD_VM, record))
		return -EBADMSG;
	if (record->vm.flags & RECORD_VM_UNFINISHED)
		return -ECANCELED;
	record_read_name(ledger, 0, name);
	return check_record(registry, &record->vm, number, name);
}

static int make_vm(struct gmemd *gmemd, const struct ledger *ledger, uint64_t number,
	struct inherited_fds *inherited, struct vm **ret)
{
	char name[NAME_BYTES_MAX + 1], unit[NAME_BYTES_MAX + 1], tenant[NAME_BYTES_MAX + 1];
	union record record;
	struct vm_recovery recovery = {.record = &record.vm,
		.ledger = ledger,
		.name = name,
		.unit = unit,
		.tenant = tenant,
		.pidfd = -1,
		.listener = -1,
		.frames = -1};
	int r;

	r = read_record(&gmemd->registry, ledger, number, &record, name);
	if (r < 0)
		return r;
	record_read_unit(ledger, unit);
	record_read_tenant(ledger, tenant);
	r = take_files(inherited, &recovery);
	if (r == 0)
		r = vm_recover(&gmemd->registry, &recovery, ret);
	if (r == -EEXIST && record.vm.state == RECORD_VM_RELEASED)
		r = -ECANCELED;
	if (r < 0) {
		mailbox_free(recovery.mailbox);
		report_page_free(recovery.report_page);
		fd_close(recovery.pidfd);
		fd_close(recovery.listener);
		fd_close(recovery.frames);
	}
	return r;
}

/* The ledger is the VM's from then on where it is NULL. */
static int recover_vm(struct gmemd *gmemd, struct ledger **ledger, uint64_t number,
	struct inherited_fds *inherited, struct recovered *recovered)
{
	struct vm *vm;
	int r;

	r = make_vm(gmemd, *ledger, number, inherited, &vm);
	if (r < 0)
		return r;
	STEP("recovery of a VM: made");
	r = recovery_content(vm, *ledger, inherited);
	STEP("recovery of a VM: its content");
	if (vm->state == VM_REMAINING && vm->closed_counts.all == 0) {
		vm_free(vm); /* the last was being let go */
		return -ECANCELED;
	}
	recovered->vms += vm->state != VM_REMAINING;
	recovered->memories += vm->n_memories;
	if (r == 0)
		r = keep_ledger(vm, ledger);
	if (r == 0)
		r = prepare_watches(gmemd, vm);
	if (inheriting_lacks(r))
		return r; /* it stays as it is until this gmemd ends */
	if (r < 0) {
		watch_stop(vm);
		vm_free(vm);
		return r;
	}
	STEP("recovery of a VM: ledger");
	recover_trapped(gmemd, vm);
	STEP("recovery of a VM: traps");
	finish_calls(gmemd, vm);
	call_reports_await(gmemd, vm);
	STEP("recovery of a VM: calls");
	vm_ledger_note_succession(vm);
	vm_ledger_commit(vm);
	return 0;
}

static int take_over_vm(struct gmemd *gmemd, uint64_t number, struct inherited_fds *inherited)
{
	int fd = inherited_fds_take(inherited, FDSTORE_VM_LEDGER, number, 0);
	struct ledger *ledger = NULL;
	int r;

	STEP("recovery of a VM: begun");

	r = ledger_open(fd, &ledger);
	if (r < 0)
		fd_close(fd);
	else
		r = recover_vm(gmemd, &ledger, number, inherited, &gmemd->recovered);
	/* One that was not finished is asked for again, one that was closed is not. */
	if (r == -EPROTONOSUPPORT)
		log_error("VM vm-%" PRIu64
			  " is a newer gmemd's, in whose ledger this one can't read: it "
			  "ends, and leaves all as it is for that one",
			number);
	else if (r < 0 && r != -ECANCELED)
		log_warning("VM vm-%" PRIu64 " could not be taken over: %s", number, strerror(-r));
	ledger_free(ledger);
	return r;
}

/*
 * The youngest first: a process has one VM, and has closed all others before it has opened that, of
 * which the keeper may not have been told yet.
 */
int recover_vms(struct gmemd *gmemd, struct inherited_fds *inherited)
{
	const struct keeper_id *id;
	size_t position = 0;

	while ((id = inherited_fds_previous(inherited, FDSTORE_VM_LEDGER, &position))) {
		int r = take_over_vm(gmemd, id->owner, inherited);

		if (inheriting_lacks(r) || r == -EPROTONOSUPPORT)
			return r;
		if (r < 0)
			vm_drop_held(gmemd->fdstore, id->owner);
	}
	return 0;
}

static void finish_vm(struct gmemd *gmemd, struct vm *vm, bool ended)
{
	struct memory *memory, *next;

	call_reports_settle(gmemd, vm);
	if (vm->state == VM_REMAINING) {
		vm_stop(vm);
		vm_drop(vm);
		return;
	}
	if (ended) {
		if (watch_may_linger(gmemd, vm))
			return;
		gmemd->recovered.released++;
		watch_stop(vm);
		release_ended_vm(gmemd, vm);
		return;
	}
	if (vm_is_released(vm)) {
		release_rest(gmemd, vm);
		return;
	}
	RB_FOREACH_SAFE (memory, memory_tree, &vm->memories, next) {
		if (memory->state == OBJECT_CLOSING)
			release_closing_memory(gmemd, memory);
	}
}

/* VMs whose processes are asked after at once. */
#define ASKED_TOGETHER 64

/* Those from *number on, which is the next one's then. Returns how many there were. */
static size_t finish_some(struct gmemd *gmemd, uint64_t *number)
{
	struct pollfd processes[ASKED_TOGETHER];
	uint64_t numbers[ASKED_TOGETHER];
	struct vm *vm = registry_vm_from(&gmemd->registry, *number);
	size_t count = 0;

	for (; vm && count < ASKED_TOGETHER; vm = registry_vm_from(&gmemd->registry, *number)) {
		processes[count] = (struct pollfd){.fd = vm->process.pidfd, .events = POLLIN};
		numbers[count++] = vm->number;
		*number = vm->number + 1;
	}
	poll(processes, count, 0);
	/* What one releases may be another's end. */
	for (size_t i = 0; i < count; i++) {
		vm = registry_vm_by_number(&gmemd->registry, numbers[i]);
		if (vm)
			finish_vm(gmemd, vm, processes[i].revents != 0);
	}
	return count;
}

/* What the predecessor was amid: reports that it has not read, pages that were to go. */
void recovery_finish(struct gmemd *gmemd)
{
	uint64_t number = 0;

	while (finish_some(gmemd, &number) > 0)
		;
}
