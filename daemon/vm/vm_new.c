/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The beginning of VMs. See vm_new.h.
 */
#include "daemon/vm/vm_new.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/numa_node.h"
#include "daemon/budget/capacity.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/mailbox_label.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_held.h"
#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_record.h"
#include "kernel/kvm/report_page.h"
#include "kernel/store/frames.h"

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void vm_set_uuid(struct vm *vm, const char *uuid)
{
	sd_id128_t id;

	if (!uuid || sd_id128_from_string(uuid, &id) < 0)
		sd_id128_randomize(&id);
	sd_id128_to_uuid_string(id, vm->uuid);
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
	snprintf(name.tenant, sizeof name.tenant, "%s", recovery->tenant);
	r = owner_get(vm->registry->owners, &name, &owner);
	if (r == 0 && vm->state == VM_REMAINING)
		vm->owner = owner;
	else if (r == 0)
		r = vm_charge(vm, owner);
	return r < 0 ? r : vm_set_up(vm, process, recovery->name);
}

static struct budget budget_of_vm(struct tenant *tenant, uint64_t commit_limit)
{
	return (struct budget){.scope = "vm", .limit = commit_limit, .within = &tenant->budget};
}

/* tenant: a name as owners have it. */
static struct vm *vm_allocate(struct registry *registry, const char *tenant, uid_t uid,
	uint64_t number, unsigned type, uint64_t commit_limit)
{
	struct vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		return NULL;
	if (tenants_get(&registry->tenants, tenant, uid, &vm->tenant) < 0) {
		free(vm);
		return NULL;
	}
	vm->registry = registry;
	vm->number = number;
	vm->type = type;
	vm->process.pidfd = -1;
	vm->listener = -1;
	vm->frames = -1;
	vm->budget = budget_of_vm(vm->tenant, commit_limit);
	grants_init(&vm->grants);
	TAILQ_INIT(&vm->calls);
	TAILQ_INIT(&vm->closed_empty);
	return vm;
}

static int reserved_of_node(const struct vm *vm, int node, uint64_t size, struct budget *ret_budget)
{
	struct budget *within = NULL;
	int r = node == NODE_ANY ? 0 : tenant_of_node(vm->tenant, (unsigned)node, &within);

	*ret_budget = (struct budget){.scope = "node", .limit = size, .within = within};
	return r;
}

const struct budget *vm_reservation_refused(
	struct tenant *tenant, struct reservation *reservation, uint64_t commit_limit)
{
	const struct budget budget = budget_of_vm(tenant, commit_limit);

	return budget_hand_over_refused(&reservation->budget, &budget);
}

int vm_take_reservation(struct vm *vm, struct reservation *consume_reservation)
{
	struct vm_reserved *reserved = calloc(1, sizeof *reserved);
	int r;

	if (!reserved)
		return -ENOMEM;
	memcpy(reserved->id, consume_reservation->id, sizeof reserved->id);
	reserved->node = consume_reservation->node;
	r = reserved_of_node(vm, reserved->node, vm->budget.limit, &reserved->of_node);
	if (r == 0)
		r = reservations_use(vm->registry->reservations, consume_reservation, &vm->budget,
			&reserved->of_node);
	if (r < 0) {
		free(reserved);
		return r;
	}
	vm->reserved = reserved;
	vm_ledger_note_reserved(vm);
	return 0;
}

static int recover_reserved(struct vm *vm, const struct ledger *ledger)
{
	struct budget *of_node;
	int r = vm_ledger_read_reserved(vm, ledger);

	if (r < 0 || !vm->reserved)
		return r;
	of_node = &vm->reserved->of_node;
	r = reserved_of_node(vm, vm->reserved->node, of_node->limit, of_node);
	if (r == 0 && vm->state != VM_REMAINING)
		budget_promise(of_node);
	return r;
}

/* Makes what is put to the keeper. */
static int vm_outlive(struct vm *vm)
{
	int r = vm_ledger_new(vm);

	return r == 0 && vm_has_private_memory(vm) ? frames_new(&vm->frames) : r;
}

const struct budget *vm_promise_refused(struct tenant *tenant, uint64_t commit_limit)
{
	struct budget budget = budget_of_vm(tenant, commit_limit);
	const struct budget *refused = budget_promise(&budget);

	budget_end_promise(&budget);
	return refused;
}

/* What a gmemd that has lost the VM is to find there. */
static void note_in_mailbox(struct vm *vm)
{
	uint64_t made = mailbox_made(vm->mailbox);

	if (made > 0)
		vm->opened = made;
	mailbox_label_note_tenant(vm);
}

int vm_new(struct registry *registry, const struct process *process,
	const struct vm_request *request, struct vm **ret)
{
	struct process owned = *process;
	struct vm *vm;
	int r;

	if (registry_has_process(registry, process))
		return -EEXIST;
	vm = vm_allocate(registry, owner_name(request->opener).tenant, owner_uid(request->opener),
		registry_next_id(registry), request->type, request->commit_limit);
	if (!vm)
		return -ENOMEM;
	vm->initially_private = request->initially_private;
	vm->charge = request->charge;
	vm->gate = request->gate ? VM_GATE_PENDING : VM_GATE_NONE;
	vm_set_uuid(vm, request->uuid);
	vm->opened = now_us();
	owned.uid = owner_uid(request->opener);
	r = vm_set_up_for(vm, &owned, request->opener, request->name);
	if (r == 0)
		r = vm_dup_pidfd(vm, process->pidfd);
	if (r == 0 && !request->is_reserved && budget_promise(&vm->budget))
		r = -ENOSPC;
	if (r == 0) {
		registry_add(vm);
		r = registry->backend->open(vm);
	}
	if (r == 0 && vm->mailbox)
		note_in_mailbox(vm);
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

int vm_recover(struct registry *registry, const struct vm_recovery *recovery, struct vm **ret)
{
	const struct vm_record *record = recovery->record;
	struct process process = {.uid = record->uid};
	struct vm *vm = vm_allocate(registry, recovery->tenant, record->uid, record->number,
		record->type, record->commit_limit);
	int r;

	if (!vm)
		return -ENOMEM;
	record_read_vm(record, vm);
	vm_ledger_read_opened(vm, recovery->ledger);
	r = recover_reserved(vm, recovery->ledger);
	if (r == 0)
		/* The pid that the record has is for people, where the process has ended. */
		r = process_of_pidfd(recovery->pidfd, record->pid, &process.pid, &process.identity);
	if (r == 0 && vm->state != VM_REMAINING && registry_has_process(registry, &process))
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
	vm->report_page = recovery->report_page;
	vm->listener = recovery->listener;
	vm->frames = recovery->frames;
	succeed(vm);
	/* Its process may have told a predecessor that it goes on on another connection. */
	vm->resumption = registry->resumptions = 1;
	registry_add(vm);
	*ret = vm;
	return 0;
}

/* Later than that of each call that its process may have heard of: a report of one must not be
 * taken for that of a new call. */
static uint32_t late_generation(const struct registry *registry, const struct label *label)
{
	uint32_t late = registry_late_generation(registry);

	return label->generation < late ? late : label->generation + 1;
}

int vm_resume(struct registry *registry, const struct process *process, struct owner *opener,
	const struct label *label, struct mailbox *mailbox, struct vm **ret)
{
	struct process owned = *process;
	struct vm *vm;
	int r;

	if (registry_has_process(registry, process))
		return -EEXIST;
	vm = vm_allocate(registry, owner_name(opener).tenant, label->uid, label->number,
		label->type, label->commit_limit);
	if (!vm)
		return -ENOMEM;
	vm_set_uuid(vm, label->uuid);
	vm->opened = mailbox_made(mailbox);
	vm->gate = label->gate ? VM_GATE_LOST : VM_GATE_NONE;
	vm->initially_private = label->initially_private;
	vm->rebuilt = true;
	vm->generation = late_generation(registry, label);
	vm->last_call = (uint64_t)vm->generation << 32;
	owned.uid = label->uid; /* whatever its process has become since */
	r = vm_set_up_for(vm, &owned, opener, label->name);
	if (r == 0)
		r = vm_dup_pidfd(vm, process->pidfd);
	if (r == 0)
		r = report_page_new(&vm->report_page);
	if (r == 0) {
		/* Others may have it by now: then it has what the host has left. */
		budget_promise(&vm->budget);
		registry_add(vm);
		r = registry->fdstore ? vm_outlive(vm) : 0;
	}
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	vm->mailbox = mailbox;
	mailbox_label_note_tenant(vm);
	*ret = vm;
	return 0;
}
