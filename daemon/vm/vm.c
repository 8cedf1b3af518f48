/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMs and the set of all. See vm.h.
 */
#include "daemon/vm/vm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/privileges.h"
#include "daemon/budget/capacity.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/mailbox_label.h"
#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_record.h"
#include "kernel/base/cleanup.h"
#include "kernel/store/frames.h"
#include "kernel/store/ledger.h"

static int vm_compare_id(struct vm *a, struct vm *b)
{
	return a->number < b->number ? -1 : a->number > b->number;
}

static int vm_compare_process(struct vm *a, struct vm *b)
{
	return a->process.identity < b->process.identity
		       ? -1
		       : a->process.identity > b->process.identity;
}

RB_GENERATE(vm_tree, vm, by_id, vm_compare_id)
RB_GENERATE(vm_process_tree, vm, by_process, vm_compare_process)

/*
 * Ids must not repeat before the host reboots, though gmemd may restart: they begin with the time
 * since boot, which runs faster than VMs and memories can be made.
 */
#define IDS_PER_SECOND 10000

static uint64_t first_id(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * IDS_PER_SECOND +
	       (uint64_t)now.tv_nsec / (1000000000 / IDS_PER_SECOND);
}

void registry_init(struct registry *registry, const struct backend *backend,
	const struct config *config, const struct host_offer *host, struct owners *owners,
	struct capacity *capacity)
{
	*registry = (struct registry){
		.backend = backend,
		.config = config,
		.host = host,
		.owners = owners,
		.capacity = capacity,
		.last_id = first_id(),
	};
	registry->first_id = registry->last_id;
	TAILQ_INIT(&registry->noted);
	recounts_init(&registry->recounts);
	TAILQ_INIT(&registry->closed_changed);
}

void registry_clear(struct registry *registry)
{
	struct vm *vm;

	registry->forgetting = true;
	registry->fdstore = NULL;
	RB_FOREACH (vm, vm_tree, &registry->vms)
		vm_ledger_close(vm);
	while (!RB_EMPTY(&registry->vms))
		vm_free(RB_MIN(vm_tree, &registry->vms));
}

uint64_t registry_next_id(struct registry *registry)
{
	return ++registry->last_id;
}

struct vm *registry_vm_by_number(struct registry *registry, uint64_t number)
{
	struct vm key = {.number = number};

	return RB_FIND(vm_tree, &registry->vms, &key);
}

struct vm *registry_vm_from(struct registry *registry, uint64_t number)
{
	struct vm key = {.number = number};

	return RB_NFIND(vm_tree, &registry->vms, &key);
}

struct vm *registry_vm_by_id(struct registry *registry, const char *id)
{
	uint64_t number;
	struct vm *vm;

	if (sscanf(id, "vm-%" SCNu64, &number) != 1)
		return NULL;
	vm = registry_vm_by_number(registry, number);
	return vm && strcmp(vm->id, id) == 0 ? vm : NULL;
}

struct vm *registry_vm_of_process(struct registry *registry, const struct process *process)
{
	struct vm key = {.process = {.identity = process->identity}};
	struct vm *vm = RB_FIND(vm_process_tree, &registry->vms_by_process, &key);

	/* A connection of one that has ended is another's, who has inherited it. */
	return vm && !process_ended(process->pidfd) ? vm : NULL;
}

static void vm_set_uuid(struct vm *vm, const char *uuid)
{
	sd_id128_t id;

	if (!uuid || sd_id128_from_string(uuid, &id) < 0)
		sd_id128_randomize(&id);
	snprintf(vm->uuid, sizeof vm->uuid, SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(id));
}

static int vm_charge(struct vm *vm, struct owner *take_owner)
{
	int r = owner_charge(take_owner, OWNER_VMS);

	if (r == 0)
		vm->owner = take_owner;
	owner_unref(take_owner); /* the charge has it */
	return r;
}

static int vm_set_up(struct vm *vm, const struct process *process, const char *name)
{
	vm->name = strdup(name);
	if (!vm->name)
		return -ENOMEM;
	vm->process = *process;
	vm->process.pidfd = -1;
	return 0;
}

/* For one whose caller keeps its own. */
static int vm_dup_pidfd(struct vm *vm, int pidfd)
{
	vm->process.pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
	return vm->process.pidfd < 0 ? -errno : 0;
}

static int vm_set_up_for(
	struct vm *vm, const struct process *process, struct owner *opener, const char *name)
{
	struct owner *owner;
	int r;

	r = owner_get_of_vm(opener, process->uid, vm->number, &owner);
	if (r == 0)
		r = vm_charge(vm, owner);
	return r < 0 ? r : vm_set_up(vm, process, name);
}

static int vm_set_up_again(
	struct vm *vm, const struct process *process, const struct vm_recovery *recovery)
{
	struct owner_name name = {.uid = process->uid, .vm = vm->number};
	struct owner *owner;
	int r;

	owner_write_unit(name.unit, recovery->unit);
	r = owner_get(vm->registry->owners, &name, &owner);
	if (r == 0 && vm->state == VM_REMAINING)
		vm->owner = owner;
	else if (r == 0)
		r = vm_charge(vm, owner);
	return r < 0 ? r : vm_set_up(vm, process, recovery->name);
}

static struct budget budget_of_vm(struct registry *registry, uint64_t commit_limit)
{
	return (struct budget){
		.scope = "vm", .limit = commit_limit, .within = &registry->capacity->host};
}

static struct vm *vm_allocate(
	struct registry *registry, uint64_t number, unsigned type, uint64_t commit_limit)
{
	struct vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		return NULL;
	vm->registry = registry;
	vm->number = number;
	vm->type = type;
	vm->process.pidfd = -1;
	vm->listener = -1;
	vm->frames = -1;
	vm->budget = budget_of_vm(registry, commit_limit);
	TAILQ_INIT(&vm->calls);
	TAILQ_INIT(&vm->closed_empty);
	return vm;
}

static void vm_enlist(struct vm *vm)
{
	snprintf(vm->id, sizeof vm->id, "vm-%" PRIu64, vm->number);
	vm->registry->n_made++;
	RB_INSERT(vm_tree, &vm->registry->vms, vm);
	if (vm->state != VM_REMAINING)
		RB_INSERT(vm_process_tree, &vm->registry->vms_by_process, vm);
}

/* One that nobody has ever found is in no tree. */
static void vm_delist(struct vm *vm)
{
	struct registry *registry = vm->registry;

	if (registry_vm_by_number(registry, vm->number) != vm)
		return;
	RB_REMOVE(vm_tree, &registry->vms, vm);
	if (vm->state != VM_REMAINING)
		RB_REMOVE(vm_process_tree, &registry->vms_by_process, vm);
}

/* Makes what is put to the keeper. */
static int vm_outlive(struct vm *vm)
{
	int r = vm_ledger_new(vm);

	return r == 0 && vm_has_private_memory(vm) ? frames_new(&vm->frames) : r;
}

const struct budget *registry_refuses(struct registry *registry, uint64_t commit_limit)
{
	struct budget budget = budget_of_vm(registry, commit_limit);
	const struct budget *refused = budget_promise(&budget);

	budget_end_promise(&budget);
	return refused;
}

static bool process_has_vm(struct registry *registry, const struct process *process)
{
	struct vm key = {.process = {.identity = process->identity}};

	return RB_FIND(vm_process_tree, &registry->vms_by_process, &key);
}

int vm_new(struct registry *registry, const struct process *process,
	const struct vm_request *request, struct vm **ret)
{
	struct process owned = *process;
	struct vm *vm;
	int r;

	if (process_has_vm(registry, process))
		return -EEXIST;
	vm = vm_allocate(
		registry, registry_next_id(registry), request->type, request->commit_limit);
	if (!vm)
		return -ENOMEM;
	vm->initially_private = request->initially_private;
	vm->charge = request->charge;
	vm->gate = request->gate ? VM_GATE_PENDING : VM_GATE_NONE;
	vm_set_uuid(vm, request->uuid);
	owned.uid = owner_uid(request->opener);
	r = vm_set_up_for(vm, &owned, request->opener, request->name);
	if (r == 0)
		r = vm_dup_pidfd(vm, process->pidfd);
	if (r == 0 && budget_promise(&vm->budget))
		r = -ENOSPC;
	if (r == 0) {
		vm_enlist(vm);
		r = registry->backend->open(vm);
	}
	if (r == 0 && registry->fdstore)
		r = vm_outlive(vm);
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	STEP("VM: made");
	vm_put(vm);
	STEP("VM: put");
	*ret = vm;
	return 0;
}

/* Of what its predecessor knew of it, what is another's now: its calls are of another generation,
 * and a gate without its listener is lost. */
static void succeed(struct vm *vm)
{
	if (vm->gate == VM_GATE_ACTIVE && vm->listener < 0 && vm->state != VM_REMAINING)
		vm_gate_state_change(&vm->gate, VM_GATE_LOST);
	vm->generation++;
	vm->last_call = (uint64_t)vm->generation << 32;
	vm->inherited.call = vm->settled.call;
	vm->inherited.done = vm->settled.done;
}

/* The pid that the record has is for people, where the process has ended. */
static int process_of_recovery(const struct vm_recovery *recovery, struct process *process)
{
	if (process_pid(recovery->pidfd, &process->pid) < 0)
		process->pid = recovery->record->pid;
	return process_identity(recovery->pidfd, process->pid, &process->identity);
}

int vm_recover(struct registry *registry, const struct vm_recovery *recovery, struct vm **ret)
{
	const struct vm_record *record = recovery->record;
	struct process process = {.uid = record->uid};
	struct vm *vm = vm_allocate(registry, record->number, record->type, record->commit_limit);
	int r;

	if (!vm)
		return -ENOMEM;
	record_read_vm(record, vm);
	r = process_of_recovery(recovery, &process);
	if (r == 0 && vm->state != VM_REMAINING && process_has_vm(registry, &process))
		r = -EEXIST;
	if (r == 0)
		r = vm_set_up_again(vm, &process, recovery);
	if (r == 0 && vm->state != VM_REMAINING && budget_promise(&vm->budget))
		r = -ENOSPC;
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	vm->process.pidfd = recovery->pidfd;
	vm->mailbox = recovery->mailbox;
	vm->listener = recovery->listener;
	vm->frames = recovery->frames;
	succeed(vm);
	vm_enlist(vm);
	*ret = vm;
	return 0;
}

/* Calls of the earlier ones are not known: they must not be taken for this one's. */
static uint32_t late_generation(const struct registry *registry)
{
	return (uint32_t)(registry->first_id / IDS_PER_SECOND) + 1;
}

int vm_resume(struct registry *registry, const struct process *process, struct owner *opener,
	const struct label *label, struct mailbox *mailbox, struct vm **ret)
{
	struct process owned = *process;
	struct vm *vm;
	int r;

	if (process_has_vm(registry, process))
		return -EEXIST;
	vm = vm_allocate(registry, label->number, label->type, label->commit_limit);
	if (!vm)
		return -ENOMEM;
	vm_set_uuid(vm, label->uuid);
	vm->gate = label->gate ? VM_GATE_LOST : VM_GATE_NONE;
	vm->initially_private = label->initially_private;
	vm->rebuilt = true;
	vm->generation = late_generation(registry);
	vm->last_call = (uint64_t)vm->generation << 32;
	owned.uid = label->uid; /* whatever its process has become since */
	r = vm_set_up_for(vm, &owned, opener, label->name);
	if (r == 0)
		r = vm_dup_pidfd(vm, process->pidfd);
	if (r == 0) {
		/* Others may have it by now: then it has what the host has left. */
		budget_promise(&vm->budget);
		vm_enlist(vm);
		r = registry->fdstore ? vm_outlive(vm) : 0;
	}
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	vm->mailbox = mailbox;
	*ret = vm;
	return 0;
}

bool registry_has_had_id(const struct registry *registry, uint64_t id)
{
	struct vm key = {.number = id};

	return id > 0 && id <= registry->first_id &&
	       !RB_FIND(vm_tree, (struct vm_tree *)&registry->vms, &key) &&
	       !registry_memory((struct registry *)registry, id) &&
	       !registry_closed_memory((struct registry *)registry, id);
}

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

void vm_stop(struct vm *vm)
{
	struct memory *memory;

	if (!vm_is_released(vm))
		vm_state_change(&vm->state, VM_RELEASED);
	vm_ledger_note_vm(vm);
	while (!TAILQ_EMPTY(&vm->calls))
		call_free(TAILQ_FIRST(&vm->calls));
	while (!RB_EMPTY(&vm->slots))
		slot_free(RB_MIN(slot_tree, &vm->slots));
	ranges_clear(&vm->private_ranges);
	ranges_clear(&vm->converting);
	ranges_clear(&vm->discarding);
	ranges_clear(&vm->in_both);
	RB_FOREACH (memory, memory_tree, &vm->memories)
		memory->state = OBJECT_CLOSING;
	STEP("VM's end: noted");
	vm_ledger_commit(vm);
	STEP("VM's end: committed");
}

void vm_drop(struct vm *vm)
{
	while (!RB_EMPTY(&vm->memories))
		memory_close(RB_MIN(memory_tree, &vm->memories));
	STEP("VM's end: memories dropped");
	vm_ledgers_commit(vm->registry); /* of those, too, that it has made let something go */
	STEP("VM's end: their end committed");
	budget_end_promise(&vm->budget);
}

bool vm_is_released(const struct vm *vm)
{
	return vm->state >= VM_RELEASED;
}

bool vm_is_seen(const struct vm *vm)
{
	return vm->state != VM_REMAINING || vm->closed_resident > 0;
}

static void vm_close_files(struct vm *vm)
{
	vm->registry->backend->close(vm);
	vm->frames = fd_close(vm->frames);
	vm->listener = fd_close(vm->listener);
}

/* Its ledger and its process stay, by which a successor finds its closed memories. */
static void vm_remain(struct vm *vm)
{
	static const enum fdstore_kind kinds[] = {
		FDSTORE_VM_FRAMES, FDSTORE_VM_MAILBOX, FDSTORE_VM_GATE};

	vm_state_change(&vm->state, VM_REMAINING);
	RB_REMOVE(vm_process_tree, &vm->registry->vms_by_process, vm);
	owner_ref(vm->owner);
	owner_give_back(vm->owner, OWNER_VMS);
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
	STEP("VM's end: it remains");
	for (size_t i = 0; vm->ledger && i < sizeof kinds / sizeof *kinds; i++)
		fdstore_drop(vm->registry->fdstore, kinds[i], vm->number, 0);
	vm_close_files(vm);
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

static void vm_free_memories(struct memory_tree *memories)
{
	while (!RB_EMPTY(memories))
		memory_free(RB_MIN(memory_tree, memories));
}

struct vm *vm_free(struct vm *vm)
{
	if (!vm)
		return NULL;
	assert(!vm->watch);
	vm_stop(vm);
	vm_free_memories(&vm->memories);
	vm_free_memories(&vm->closed);
	vm_ledger_commit(vm);
	budget_end_promise(&vm->budget);
	vm_delist(vm);
	if (vm->ledger)
		vm_drop_held(vm->registry->fdstore, vm->number);
	STEP("VM's end: dropped");
	vm_close_files(vm);
	vm_ledger_close(vm);
	process_release(&vm->process);
	if (vm->state == VM_REMAINING)
		owner_unref(vm->owner);
	else
		owner_give_back(vm->owner, OWNER_VMS);
	free(vm->name);
	free(vm);
	return NULL;
}

const struct vm_type_offer *vm_offer(const struct vm *vm)
{
	return &vm->registry->host->vm_types[vm->type];
}

bool vm_has_private_memory(const struct vm *vm)
{
	return vm_offer(vm)->memory_attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

uint64_t vm_resident(const struct vm *vm)
{
	uint64_t resident = 0;
	struct memory *memory;

	RB_FOREACH (memory, memory_tree, (struct memory_tree *)&vm->memories)
		resident += memory->resident;
	return resident;
}
