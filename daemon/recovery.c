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
#include "daemon/record.h"
#include "daemon/release.h"
#include "daemon/vm_ledger.h"
#include "daemon/watch.h"
#include "kernel/cleanup.h"
#include "kernel/frames.h"
#include "kernel/gate.h"
#include "kernel/ledger.h"

struct held_file {
	struct keeper_id id;
	int fd; /* -1: taken */
};

/* What the keeper holds, by id. */
struct holding {
	struct held_file *files;
	size_t count, room;
};

static int collect(const struct keeper_id *id, int fd, void *context)
{
	struct holding *holding = context;

	if (holding->count == holding->room) {
		size_t room = 2 * holding->room + 64;
		struct held_file *files = reallocarray(holding->files, room, sizeof *files);

		if (!files) {
			fd_close(fd);
			return -ENOMEM;
		}
		holding->files = files;
		holding->room = room;
	}
	holding->files[holding->count++] = (struct held_file){*id, fd};
	return 0;
}

/* Half of what the keeper held says nothing: its VMs are as those of a keeper that is gone. */
static void take_all(struct custody *custody, struct holding *holding)
{
	int r = custody_take(custody, collect, holding);

	if (r == 0)
		return;
	log_warning("what gmemd-keeper holds could not be taken: %s", strerror(-r));
	while (holding->count > 0)
		fd_close(holding->files[--holding->count].fd);
}

static int compare(const void *left, const void *right)
{
	const struct keeper_id *a = &((const struct held_file *)left)->id;
	const struct keeper_id *b = &((const struct held_file *)right)->id;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	return a->member < b->member ? -1 : a->member > b->member;
}

/* The file, which is the caller's from then on; -1 where there is none. */
static int take(struct holding *holding, enum custody_kind kind, uint64_t owner, uint64_t member)
{
	struct held_file key = {.id = {kind, owner, member}};
	struct held_file *file = bsearch(&key, holding->files, holding->count, sizeof key, compare);
	int fd;

	if (!file)
		return -1;
	fd = file->fd;
	file->fd = -1; /* the caller's */
	return fd;
}

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

static void recover_memory(struct vm *vm, const struct ledger *ledger,
	const struct memory_record *record, struct holding *holding)
{
	int fd = take(holding, CUSTODY_MEMORY, vm->number, record->id);
	bool pending = record->state == OBJECT_PENDING;
	char name[NAME_BYTES_MAX + 1];
	struct memory *memory;
	int r;

	/* One that was being freed, or whose adoption was not finished. */
	if (pending != (fd < 0)) {
		if (!pending)
			return;
		fd = fd_close(fd);
	}
	read_name(ledger, record->id, name);
	r = memory_recover(vm, record, name[0] ? name : NULL, fd, &memory);
	if (r < 0) {
		log_vm_warning(vm->id, "memory %" PRIu64 " could not be taken over: %s", record->id,
			strerror(-r));
		fd_close(fd);
		return;
	}
	if (!pending)
		memory->state = record->state;
}

static struct memory *memory_of(struct vm *vm, uint64_t id)
{
	struct memory *memory = id ? registry_memory(vm->registry, id) : NULL;

	return memory && memory->vm == vm ? memory : NULL;
}

static void recover_slot(struct vm *vm, const struct slot_record *record)
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
	struct slot *slot, *other;

	if (whole && slot_check(vm, &request, &other) == SLOT_FITS &&
		slot_new(vm, &request, &slot) == 0)
		slot->state = record->state;
	else
		log_vm_warning(vm->id, "slot %u could not be taken over", record->number);
}

static void recover_call(struct vm *vm, const struct call_record *record)
{
	struct call *call;

	if (call_recover(vm, record, &call) < 0)
		log_vm_warning(vm->id, "call %" PRIu64 " could not be taken over", record->id);
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

static void recover_content(struct vm *vm, const struct ledger *ledger, struct holding *holding)
{
	union record record;

	EACH_RECORD(ledger, index, RECORD_MEMORY, &record)
	recover_memory(vm, ledger, &record.memory, holding);
	EACH_RECORD(ledger, index, RECORD_SLOT, &record)
	recover_slot(vm, &record.slot);
	recover_frames(vm);
	EACH_RECORD(ledger, index, RECORD_CALL, &record)
	recover_call(vm, &record.call);
	mailbox_clear_free(vm->mailbox);
}

/* The calls that were trapped when the predecessor ended: those that it had received are never told
 * again, but their ids run on by one. */
static void settle_traps(struct vm *vm)
{
	uint64_t id = vm->trap.id;

	if (vm->listener < 0)
		return;
	if (vm->trap.verifying && gate_waits(vm->listener, vm->trap.verifying))
		gate_interrupt(vm->listener, vm->trap.verifying);
	vm->trap.verifying = 0;
	if (id == 0)
		return;
	if (gate_waits(vm->listener, id)) {
		if (vm->trap.answer == TRAP_CONTINUE)
			gate_continue(vm->listener, id);
		else if (vm->trap.answer == TRAP_REFUSE)
			gate_refuse(vm->listener, id);
		else
			gate_interrupt(vm->listener, id);
	}
	if (gate_waits(vm->listener, id + 1)) {
		gate_interrupt(vm->listener, id + 1);
		vm->trap.id = id + 1;
		vm->trap.answer = TRAP_REFUSE;
	}
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

/* A ledger of its own, whose records are this gmemd's, takes the old one's place. */
static int renew_ledger(struct vm *vm)
{
	struct memory *memory;
	struct slot *slot;
	struct call *call;
	int r;

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
	return 0;
}

static int watch(struct gmemd *gmemd, struct vm *vm)
{
	int r = watch_process(gmemd, vm);

	return r < 0 || vm->listener < 0 ? r : watch_gate(vm);
}

/* VMs */

static int open_mailbox(struct holding *holding, uint64_t number, struct mailbox **ret)
{
	int fd = take(holding, CUSTODY_VM_MAILBOX, number, 0);
	int r = fd < 0 ? -ENOENT : mailbox_open(fd, ret);

	if (r < 0)
		fd_close(fd);
	return r;
}

static int make_vm(
	struct gmemd *gmemd, const struct ledger *ledger, struct holding *holding, struct vm **ret)
{
	cleanup_fd int pidfd = -1;
	char name[NAME_BYTES_MAX + 1];
	union record record;
	struct vm_recovery recovery = {.record = &record.vm, .name = name};
	int r;

	if (!record_at(ledger, 0, RECORD_VM, &record) || record.vm.type >= VM_TYPES_MAX)
		return -EBADMSG;
	read_name(ledger, 0, name);
	pidfd = take(holding, CUSTODY_VM_PROCESS, record.vm.number, 0);
	if (pidfd < 0)
		return -ENOENT;
	recovery.pidfd = pidfd;
	r = open_mailbox(holding, record.vm.number, &recovery.mailbox);
	if (r < 0)
		return r;
	recovery.listener = take(holding, CUSTODY_VM_GATE, record.vm.number, 0);
	recovery.frames = take(holding, CUSTODY_VM_FRAMES, record.vm.number, 0);
	r = vm_recover(&gmemd->registry, &recovery, ret);
	if (r < 0) {
		mailbox_free(recovery.mailbox);
		fd_close(recovery.listener);
		fd_close(recovery.frames);
	}
	return r;
}

static int recover_vm(struct gmemd *gmemd, const struct ledger *ledger, struct holding *holding,
	struct recovered *recovered)
{
	struct vm *vm;
	int r;

	r = make_vm(gmemd, ledger, holding, &vm);
	if (r < 0)
		return r;
	recover_content(vm, ledger, holding);
	recovered->vms++;
	recovered->memories += vm->n_memories;
	settle_traps(vm);
	settle_calls(gmemd, vm);
	r = renew_ledger(vm);
	if (r == 0)
		r = watch(gmemd, vm);
	if (r < 0) {
		watch_stop(vm);
		vm_free(vm);
		return r;
	}
	return 0;
}

static void recover_all(struct gmemd *gmemd, struct holding *holding, struct recovered *recovered)
{
	for (size_t i = 0; i < holding->count; i++) {
		const struct keeper_id *id = &holding->files[i].id;
		struct ledger *ledger = NULL;
		int fd, r;

		if (id->kind != CUSTODY_VM_LEDGER)
			continue;
		fd = take(holding, CUSTODY_VM_LEDGER, id->owner, 0);
		r = ledger_open(fd, &ledger);
		if (r < 0)
			fd_close(fd);
		else
			r = recover_vm(gmemd, ledger, holding, recovered);
		if (r < 0)
			log_warning("VM vm-%" PRIu64 " could not be taken over: %s", id->owner,
				strerror(-r));
		ledger_free(ledger);
	}
}

static void drop_rest(struct gmemd *gmemd, struct holding *holding, struct recovered *recovered)
{
	for (size_t i = 0; i < holding->count; i++) {
		const struct held_file *file = &holding->files[i];

		if (file->fd < 0 || file->id.kind < CUSTODY_VM_LEDGER)
			continue;
		custody_drop(
			gmemd->registry.custody, file->id.kind, file->id.owner, file->id.member);
		fd_close(file->fd);
		recovered->dropped++;
	}
}

/* What the predecessor was amid: pages that were to go. */
static void finish_releases(struct gmemd *gmemd, struct recovered *recovered)
{
	struct vm *vm, *next_vm;
	struct memory *memory, *next;

	RB_FOREACH_SAFE (vm, vm_tree, &gmemd->registry.vms, next_vm) {
		if (process_ended(vm->process.pidfd)) {
			recovered->released++;
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

void recover_vms(struct gmemd *gmemd, struct recovered *ret)
{
	struct custody *custody = gmemd->registry.custody;
	struct holding holding = {.count = 0};

	*ret = (struct recovered){.vms = 0};
	if (!custody)
		return;
	take_all(custody, &holding);
	if (holding.count > 0)
		qsort(holding.files, holding.count, sizeof *holding.files, compare);
	/* What was granted stays so. */
	users_lift_limits(gmemd->users, true);
	capacity_lift_limits(&gmemd->capacity, true);
	custody_hold(custody, true);
	recover_all(gmemd, &holding, ret);
	recovery_put_vms(gmemd);
	custody_hold(custody, false);
	drop_rest(gmemd, &holding, ret);
	users_lift_limits(gmemd->users, false);
	capacity_lift_limits(&gmemd->capacity, false);
	finish_releases(gmemd, ret);
	free(holding.files);
}
