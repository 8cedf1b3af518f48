/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery. See recovery.h.
 */
#include "daemon/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/commitment.h"
#include "daemon/conversion.h"
#include "daemon/custody.h"
#include "daemon/log.h"
#include "daemon/outcome.h"
#include "daemon/peer_ledger.h"
#include "daemon/record.h"
#include "daemon/release.h"
#include "daemon/step.h"
#include "daemon/vm_ledger.h"
#include "daemon/watch.h"
#include "kernel/cleanup.h"
#include "kernel/frames.h"
#include "kernel/gate.h"
#include "kernel/ledger.h"

/* Records */

/* The record of that kind at the index, NULL where there is another or none. It is as long as any:
 * what an older gmemd did not write is zero. */
static const void *record_at(
	const struct ledger *ledger, uint32_t index, enum record_kind kind, void *ret)
{
	const void *bytes;
	size_t length;
	uint16_t found;

	memset(ret, 0, RECORD_SIZE);
	if (ledger_get(ledger, index, &bytes, &length) < 0 || length < sizeof found)
		return NULL;
	memcpy(ret, bytes, length < RECORD_SIZE ? length : RECORD_SIZE);
	memcpy(&found, ret, sizeof found);
	return found == kind ? ret : NULL;
}

#define EACH_RECORD(ledger, index, kind, record)                                                   \
	for (uint32_t index = 0; index < ledger_end(ledger); index++)                              \
		if (record_at(ledger, index, kind, record))

union record {
	uint8_t bytes[RECORD_SIZE];
	struct vm_record vm;
	struct name_record name;
	struct memory_record memory;
	struct slot_record slot;
	struct call_record call;
};

/* "" where there is none. */
static void read_name(
	const struct ledger *ledger, uint64_t owner, char ret[static NAME_BYTES_MAX + 1])
{
	const size_t part_size = sizeof((struct name_record *)0)->bytes;
	union record record;

	memset(ret, 0, NAME_BYTES_MAX + 1);
	EACH_RECORD(ledger, index, RECORD_NAME, &record)
	{
		const struct name_record *name = &record.name;
		size_t at = name->part * part_size;

		if (name->owner == owner && name->part < NAME_RECORDS &&
			name->length <= part_size && at + name->length <= NAME_BYTES_MAX)
			memcpy(ret + at, name->bytes, name->length);
	}
}

/* What a VM has */

static struct memory *memory_of(struct vm *vm, uint64_t id)
{
	struct memory *memory = id ? registry_memory(vm->registry, id) : NULL;

	return memory && memory->vm == vm ? memory : NULL;
}

/* What the keeper is not to hold any more. */
static int discard(struct vm *vm, const struct memory_record *record, int fd)
{
	custody_drop(vm->registry->custody, CUSTODY_MEMORY, vm->number, record->id);
	return fd_close(fd);
}

static int recover_memory(struct vm *vm, const struct memory_record *record,
	struct inheritance *inheritance, struct memory **ret)
{
	int fd = inheritance_take(inheritance, CUSTODY_MEMORY, vm->number, record->id);
	bool pending = record->state == OBJECT_PENDING;
	int r;

	if (!pending && fd < 0)
		return -ENOENT; /* it was being freed */
	if (pending && fd >= 0)
		fd = discard(vm, record, fd); /* its adoption was not finished */
	r = memory_recover(vm, record, fd, ret);
	if (r < 0) {
		log_vm_warning(vm->id, "memory %" PRIu64 " could not be taken over: %s", record->id,
			strerror(-r));
		if (fd >= 0)
			discard(vm, record, fd);
		return r;
	}
	if (!pending)
		(*ret)->state = record->state;
	return 0;
}

static int recover_memory_name(struct vm *vm, const struct name_record *record, uint32_t index)
{
	const size_t part_size = sizeof record->bytes;
	struct memory *memory = memory_of(vm, record->owner);

	if (!memory || record->part >= NAME_RECORDS || memory->name_records[record->part] > 0 ||
		record->length > part_size ||
		record->part * part_size + record->length > NAME_BYTES_MAX)
		return -EBADMSG;
	if (!memory->name)
		memory->name = calloc(1, NAME_BYTES_MAX + 1);
	if (!memory->name)
		return -ENOMEM;
	memcpy(memory->name + record->part * part_size, record->bytes, record->length);
	memory->name_records[record->part] = index;
	return 0;
}

static int recover_slot(struct vm *vm, const struct slot_record *record, struct slot **ret)
{
	const struct slot_request request = {
		.number = record->number,
		.guest_phys_addr = record->guest_phys_addr,
		.memory_size = record->memory_size,
		.userspace_addr = record->userspace_addr,
		.memory = memory_of(vm, record->memory),
		.guest_memfd_offset = record->guest_memfd_offset,
		.shared_memory = memory_of(vm, record->shared_memory),
		.shared_offset = record->shared_offset,
		.flags = record->flags,
	};
	bool whole = !request.memory == !record->memory &&
		     !request.shared_memory == !record->shared_memory;
	struct slot *other;
	int r = -ENOENT;

	if (whole && slot_check(vm, &request, &other) == SLOT_FITS)
		r = slot_new(vm, &request, ret);

	if (r < 0)
		log_vm_warning(vm->id, "slot %u could not be taken over", record->number);
	else
		(*ret)->state = record->state;
	return r;
}

static int recover_call(struct vm *vm, const struct call_record *record, struct call **ret)
{
	int r = call_recover(vm, record, ret);

	if (r < 0)
		log_vm_warning(vm->id, "call %" PRIu64 " could not be taken over", record->id);
	return r;
}

static void recover_frames(struct vm *vm)
{
	uint64_t none;
	int r;

	if (vm->frames < 0)
		return;
	r = frames_read(vm->frames, FRAMES_PRIVATE, &vm->private_ranges);
	if (r == 0)
		r = frames_read(vm->frames, FRAMES_IN_BOTH, &vm->in_both);
	if (r < 0)
		log_vm_warning(
			vm->id, "its private frames could not be taken over: %s", strerror(-r));
	commitment_keep(vm, vm->in_both.total, &none);
}

static void recover_memories(struct vm *vm, struct ledger *ledger, struct inheritance *inheritance)
{
	struct memory *memory;
	union record record;

	EACH_RECORD(ledger, index, RECORD_MEMORY, &record)
	{
		if (recover_memory(vm, &record.memory, inheritance, &memory) == 0)
			memory->record = index;
		else
			ledger_delete(ledger, index);
	}
	EACH_RECORD(ledger, index, RECORD_NAME, &record)
	{
		if (record.name.owner > 0 && recover_memory_name(vm, &record.name, index) < 0)
			ledger_delete(ledger, index);
	}
}

static void recover_slots(struct vm *vm, struct ledger *ledger)
{
	union record record;
	struct slot *slot;

	EACH_RECORD(ledger, index, RECORD_SLOT, &record)
	{
		if (recover_slot(vm, &record.slot, &slot) == 0)
			slot->record = index;
		else
			ledger_delete(ledger, index);
	}
}

static void recover_calls(struct vm *vm, struct ledger *ledger)
{
	union record record;
	struct call *call;

	EACH_RECORD(ledger, index, RECORD_CALL, &record)
	{
		if (recover_call(vm, &record.call, &call) == 0)
			call->record = index;
		else
			ledger_delete(ledger, index);
	}
}

/* What can't be taken over is deleted from the ledger, when that is committed next. */
static void recover_content(struct vm *vm, struct ledger *ledger, struct inheritance *inheritance)
{
	recover_memories(vm, ledger, inheritance);
	recover_slots(vm, ledger);
	recover_frames(vm);
	recover_calls(vm, ledger);
	mailbox_clear_free(vm->mailbox);
}

static void interrupt_waiting(const struct vm *vm, uint64_t id)
{
	if (id > 0 && gate_waits(vm->listener, id))
		gate_interrupt(vm->listener, id);
}

/* One that the predecessor had received, and not noted yet. */
static uint64_t received_by_mark(const struct gmemd *gmemd, const struct vm *vm)
{
	const struct marks *marks = peer_ledger_marks(gmemd->peer_ledger);
	uint64_t id = marks->trap.notification.id;

	return marks->trap.vm == vm->number && id != vm->trap.id ? id : 0;
}

/* The calls that were trapped when the predecessor ended: those that it had received are never told
 * again. */
static void settle_traps(const struct gmemd *gmemd, struct vm *vm)
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

static void settle_calls(struct gmemd *gmemd, struct vm *vm)
{
	struct call *call, *next;
	uint64_t discarded;

	TAILQ_FOREACH_SAFE (call, &vm->calls, link, next) {
		if (call->settling)
			outcome_settle(&gmemd->events, call, call->done, &discarded);
	}
}

static void forget_records(struct vm *vm)
{
	struct memory *memory;
	struct slot *slot;
	struct call *call;

	RB_FOREACH (memory, memory_tree, &vm->memories) {
		memory->record = 0;
		memset(memory->name_records, 0, sizeof memory->name_records);
	}
	RB_FOREACH (slot, slot_tree, &vm->slots)
		slot->record = 0;
	TAILQ_FOREACH (call, &vm->calls, link)
		call->record = 0;
}

/* A ledger of its own, whose records are this gmemd's, takes the old one's place. */
static int renew_ledger(struct vm *vm)
{
	struct memory *memory;
	struct slot *slot;
	struct call *call;
	int r;

	forget_records(vm);
	r = vm_ledger_new(vm);
	if (r < 0)
		return r;
	RB_FOREACH (memory, memory_tree, &vm->memories)
		vm_ledger_note_memory(memory);
	RB_FOREACH (slot, slot_tree, &vm->slots)
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
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
	return 0;
}

static int watch(struct gmemd *gmemd, struct vm *vm)
{
	int r = watch_process(gmemd, vm);

	return r < 0 || vm->listener < 0 ? r : watch_gate(vm);
}

/* VMs */

static int open_mailbox(struct inheritance *inheritance, uint64_t number, struct mailbox **ret)
{
	int fd = inheritance_take(inheritance, CUSTODY_VM_MAILBOX, number, 0);
	int r = fd < 0 ? -ENOENT : mailbox_open(fd, ret);

	if (r < 0)
		fd_close(fd);
	return r;
}

static int make_vm(struct gmemd *gmemd, const struct ledger *ledger,
	struct inheritance *inheritance, struct vm **ret)
{
	cleanup_fd int pidfd = -1;
	char name[NAME_BYTES_MAX + 1];
	union record record;
	struct vm_recovery recovery = {.record = &record.vm, .name = name};
	int r;

	if (!record_at(ledger, 0, RECORD_VM, &record) || record.vm.type >= VM_TYPES_MAX)
		return -EBADMSG;
	if (record.vm.flags & RECORD_VM_UNFINISHED)
		return -ECANCELED;
	read_name(ledger, 0, name);
	pidfd = inheritance_take(inheritance, CUSTODY_VM_PROCESS, record.vm.number, 0);
	if (pidfd < 0)
		return -ENOENT;
	recovery.pidfd = pidfd;
	r = open_mailbox(inheritance, record.vm.number, &recovery.mailbox);
	if (r < 0)
		return r;
	/* A listener that its VM does not say it has is of a request that was not done. */
	recovery.listener = -1;
	if (record.vm.flags & RECORD_VM_LISTENER)
		recovery.listener =
			inheritance_take(inheritance, CUSTODY_VM_GATE, record.vm.number, 0);
	recovery.frames = inheritance_take(inheritance, CUSTODY_VM_FRAMES, record.vm.number, 0);
	r = vm_recover(&gmemd->registry, &recovery, ret);
	if (r < 0) {
		mailbox_free(recovery.mailbox);
		fd_close(recovery.listener);
		fd_close(recovery.frames);
		return r;
	}
	vm_fix_mailbox(*ret); /* as it is, unless its predecessor ended while it opened it again */
	return 0;
}

/* The ledger is the VM's from then on where it is NULL. */
static int recover_vm(struct gmemd *gmemd, struct ledger **ledger, struct inheritance *inheritance,
	struct recovered *recovered)
{
	struct vm *vm;
	int r;

	r = make_vm(gmemd, *ledger, inheritance, &vm);
	if (r < 0)
		return r;
	STEP("recovery of a VM: made");
	recover_content(vm, *ledger, inheritance);
	STEP("recovery of a VM: its content");
	recovered->vms++;
	recovered->memories += vm->n_memories;
	r = keep_ledger(vm, ledger);
	if (r == 0)
		r = watch(gmemd, vm);
	if (r < 0) {
		watch_stop(vm);
		vm_free(vm);
		return r;
	}
	STEP("recovery of a VM: ledger");
	settle_traps(gmemd, vm);
	STEP("recovery of a VM: traps");
	settle_calls(gmemd, vm);
	STEP("recovery of a VM: calls");
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
	return 0;
}

/* Its memories are dropped with all else that nobody has taken. */
static void drop_vm(struct custody *custody, uint64_t number)
{
	for (uint64_t kind = CUSTODY_VM_LEDGER; kind <= CUSTODY_VM_PROCESS; kind++)
		custody_drop(custody, kind, number, 0);
}

static void recover_all(
	struct gmemd *gmemd, struct inheritance *inheritance, struct recovered *recovered)
{
	const struct keeper_id *id;
	size_t position = 0;

	while ((id = inheritance_next(inheritance, CUSTODY_VM_LEDGER, &position))) {
		int fd = inheritance_take(inheritance, CUSTODY_VM_LEDGER, id->owner, 0);
		struct ledger *ledger = NULL;
		int r;

		STEP("recovery of a VM: begun");

		r = ledger_open(fd, &ledger);
		if (r < 0)
			fd_close(fd);
		else
			r = recover_vm(gmemd, &ledger, inheritance, recovered);
		/* Who asked for one that was not finished asks again. */
		if (r < 0 && r != -ECANCELED)
			log_warning("VM vm-%" PRIu64 " could not be taken over: %s", id->owner,
				strerror(-r));
		if (r < 0)
			drop_vm(gmemd->custody, id->owner);
		ledger_free(ledger);
	}
}

void recovery_put_vms(struct gmemd *gmemd)
{
	struct custody *custody = gmemd->registry.custody;
	struct memory *memory;
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &gmemd->registry.vms) {
		RB_FOREACH (memory, memory_tree, &vm->memories) {
			if (memory->fd >= 0)
				custody_put_one(custody, CUSTODY_MEMORY, vm->number, memory->id,
					memory->fd);
		}
		vm_put(vm); /* the last: where its ledger is, all else is */
	}
}

void recover_vms(struct gmemd *gmemd, struct inheritance *inheritance)
{
	struct custody *custody = gmemd->custody;

	custody_hold(custody, true);
	recover_all(gmemd, inheritance, &gmemd->recovered);
	custody_hold(custody, false);
}

/* What the predecessor was amid: pages that were to go. */
void recovery_finish(struct gmemd *gmemd)
{
	struct vm *vm, *next_vm;
	struct memory *memory, *next;

	RB_FOREACH_SAFE (vm, vm_tree, &gmemd->registry.vms, next_vm) {
		if (process_ended(vm->process.pidfd)) {
			gmemd->recovered.released++;
			watch_stop(vm);
			release_ended_vm(gmemd, vm);
			continue;
		}
		if (vm->state == VM_RELEASED) {
			release_rest(gmemd, vm);
			continue;
		}
		RB_FOREACH_SAFE (memory, memory_tree, &vm->memories, next) {
			if (memory->state == OBJECT_CLOSING)
				release_closing_memory(gmemd, memory);
		}
	}
}
