/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMs and the set of all. See vm.h.
 */
#include "daemon/vm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "daemon/backend.h"
#include "daemon/capacity.h"
#include "kernel/cleanup.h"

static int vm_compare_id(struct vm *a, struct vm *b)
{
	return a->number < b->number ? -1 : a->number > b->number;
}

static int vm_compare_process(struct vm *a, struct vm *b)
{
	return a->process.pid < b->process.pid ? -1 : a->process.pid > b->process.pid;
}

RB_GENERATE(vm_tree, vm, by_id, vm_compare_id)
RB_GENERATE(vm_process_tree, vm, by_process, vm_compare_process)

/*
 * Ids must not repeat before the host reboots, though gmemd may restart: they begin with the time
 * since boot, which runs faster than VMs and memories can be made.
 */
static uint64_t first_id(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 10000 + (uint64_t)now.tv_nsec / 100000;
}

void registry_init(struct registry *registry, const struct backend *backend,
	const struct config *config, const struct host_offer *host, struct users *users,
	struct capacity *capacity)
{
	*registry = (struct registry){
		.backend = backend,
		.config = config,
		.host = host,
		.users = users,
		.capacity = capacity,
		.last_id = first_id(),
	};
}

void registry_clear(struct registry *registry)
{
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
	struct vm key = {.process = {.pid = process->pid}};
	struct vm *vm = RB_FIND(vm_process_tree, &registry->vms_by_process, &key);

	/* Its pid could be another's by now, who then is not the one that asks. */
	if (!vm || process_ended(process->pidfd) || process_ended(vm->process.pidfd))
		return NULL;
	return vm;
}

static void vm_set_uuid(struct vm *vm, const char *uuid)
{
	sd_id128_t id;

	if (!uuid || sd_id128_from_string(uuid, &id) < 0)
		sd_id128_randomize(&id);
	snprintf(vm->uuid, sizeof vm->uuid, SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(id));
}

static int vm_set_up(struct vm *vm, const struct process *process, const struct vm_request *request)
{
	int r;

	r = user_charge(vm->registry->users, process->uid, USER_VMS, &vm->user);
	if (r < 0)
		return r;
	vm->name = strdup(request->name);
	if (!vm->name)
		return -ENOMEM;
	vm->process = *process;
	vm->process.pidfd = fcntl(process->pidfd, F_DUPFD_CLOEXEC, 3);
	if (vm->process.pidfd < 0)
		return -errno;
	vm_set_uuid(vm, request->uuid);
	if (budget_promise(&vm->budget))
		return -ENOSPC;
	return vm->registry->backend->open(vm);
}

static struct budget budget_of_vm(struct registry *registry, uint64_t commit_limit)
{
	return (struct budget){
		.scope = "vm", .limit = commit_limit, .within = &registry->capacity->host};
}

const struct budget *registry_refuses(struct registry *registry, uint64_t commit_limit)
{
	struct budget budget = budget_of_vm(registry, commit_limit);
	const struct budget *refused = budget_promise(&budget);

	budget_end_promise(&budget);
	return refused;
}

int vm_new(struct registry *registry, const struct process *process,
	const struct vm_request *request, struct vm **ret)
{
	struct vm key = {.process = {.pid = process->pid}}, *vm;
	int r;

	if (RB_FIND(vm_process_tree, &registry->vms_by_process, &key))
		return -EEXIST;
	vm = calloc(1, sizeof *vm);
	if (!vm)
		return -ENOMEM;
	vm->registry = registry;
	vm->type = request->type;
	vm->initially_private = request->initially_private;
	vm->charge = request->charge;
	vm->gate = request->gate ? VM_GATE_PENDING : VM_GATE_NONE;
	vm->process.pidfd = -1;
	vm->listener = -1;
	vm->budget = budget_of_vm(registry, request->commit_limit);
	TAILQ_INIT(&vm->calls);
	r = vm_set_up(vm, process, request);
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	vm->number = registry_next_id(registry);
	snprintf(vm->id, sizeof vm->id, "vm-%" PRIu64, vm->number);
	RB_INSERT(vm_tree, &registry->vms, vm);
	RB_INSERT(vm_process_tree, &registry->vms_by_process, vm);
	*ret = vm;
	return 0;
}

void vm_stop(struct vm *vm)
{
	struct memory *memory;

	while (!TAILQ_EMPTY(&vm->calls))
		call_free(TAILQ_FIRST(&vm->calls));
	while (!RB_EMPTY(&vm->slots))
		slot_free(RB_MIN(slot_tree, &vm->slots));
	ranges_clear(&vm->private_ranges);
	ranges_clear(&vm->converting);
	ranges_clear(&vm->in_both);
	RB_FOREACH (memory, memory_tree, &vm->memories)
		memory->state = OBJECT_CLOSING;
	vm->state = VM_RELEASED;
}

void vm_drop(struct vm *vm)
{
	while (!RB_EMPTY(&vm->memories))
		memory_free(RB_MIN(memory_tree, &vm->memories));
	budget_end_promise(&vm->budget);
	vm->registry->backend->close(vm);
}

struct vm *vm_free(struct vm *vm)
{
	if (!vm)
		return NULL;
	assert(!vm->watch);
	vm_stop(vm);
	vm_drop(vm);
	if (vm->number > 0) {
		RB_REMOVE(vm_tree, &vm->registry->vms, vm);
		RB_REMOVE(vm_process_tree, &vm->registry->vms_by_process, vm);
	}
	fd_close(vm->listener);
	process_release(&vm->process);
	user_give_back(vm->user, USER_VMS);
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
