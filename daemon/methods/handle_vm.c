/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.open, vm.gate, vm.close.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/base/kill_step.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/gate/gate_watch.h"
#include "daemon/methods/handle_vm.h"
#include "daemon/methods/methods.h"
#include "daemon/methods/type_lack.h"
#include "daemon/release/lingering.h"
#include "daemon/release/release.h"
#include "daemon/release/vm_watch.h"
#include "daemon/report/reservation_report.h"
#include "daemon/request/answer_files.h"
#include "daemon/request/request.h"
#include "daemon/request/request_files.h"
#include "daemon/request/request_tenant.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/vm_check.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_new.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/machine_cgroup.h"
#include "kernel/kvm/gate.h"
#include "protocol/json.h"

static int type_unsupported(struct request *request, const char *capability)
{
	return rpc_error_unsupported(
		&request->error, capability, request->gmemd->host.kernel_release);
}

static int fault_error(struct request *request, const struct vm_fault *fault, unsigned type)
{
	if (fault->kind == VM_FAULT_UNSUPPORTED)
		return request_type_lacks(request, type, fault->capability, 0);
	return rpc_error_invalid_param(&request->error, fault->param, fault->expected);
}

/* What the kernel and the policy say to a VM as it is told of. */
int request_may_offer_vm(struct request *request, const struct owner *owner,
	const struct vm_open_parameters *told, unsigned type)
{
	const struct gmemd *gmemd = request->gmemd;
	struct vm_fault fault;

	if (vm_check_told(&gmemd->registry, told, type, &fault) < 0)
		return fault_error(request, &fault, type);
	if (told->gate == GATE_WANTED_NONE &&
		request_needs_gate(request, owner_tenant_config(owner)))
		return rpc_error_not_permitted(
			&request->error, "a gate, which gmemd's policy requires");
	return 0;
}

static int check_offer(struct request *request, unsigned *ret_type)
{
	const struct vm_open_parameters *parameters = &request->parameters.vm_open;
	const struct gmemd *gmemd = request->gmemd;
	unsigned type = 0;
	int r;

	if (vm_type_by_name(parameters->type, &type) < 0)
		return request_no_type(request);
	r = request_may_offer_vm(request, request->caller->owner, parameters, type);
	if (r == 0)
		r = request_tenant_lets_open(request, type, parameters->commit_limit);
	if (r < 0)
		return r;
	if (parameters->gate == GATE_WANTED_REQUIRED && gmemd->registry.backend->needs_gate &&
		!gmemd->host.gate)
		return type_unsupported(request, gmemd->host.gate_missing);
	*ret_type = type;
	return 0;
}

static int check_names(struct request *request, uid_t uid, const char *name, const char *uuid)
{
	const char *with = vm_name_conflict(&request->gmemd->registry, uid, name, uuid);
	bool is_name = with && strcmp(with, "name") == 0;

	if (!with)
		return 0;
	rpc_error_conflict(&request->error, with,
		is_name ? "The user has a VM of this name" : "The user has a VM of this UUID");
	rpc_error_detail_string(&request->error, with, is_name ? name : uuid);
	return request->error.code;
}

static bool makes_room(const struct vm *vm)
{
	return vm->state == VM_RELEASED && vm->listener < 0;
}

/* A process has one VM, for its address space holds one mailbox; a closed one without a gate makes
 * room for the next. */
static int check_process(struct request *request)
{
	const struct process *process = &request->caller->process;
	struct vm *vm = registry_vm_of_process(&request->gmemd->registry, process);

	if (process->pid == 0)
		return request_process_unseen(request);
	if (process_ended(process->pidfd))
		return rpc_error_gone(&request->error, "process", "that connected");
	if (!vm || makes_room(vm))
		return 0;
	rpc_error_conflict(&request->error, "vm", "This process has opened its VM already");
	rpc_error_detail_string(&request->error, "vm", vm->id);
	return request->error.code;
}

int request_may_have_vm(struct request *request, uid_t uid, const char *name, const char *uuid)
{
	int r = check_process(request);

	return r == 0 ? check_names(request, uid, name, uuid) : r;
}

int request_vm_error(struct request *request, const struct owner *opener, int r)
{
	if (r == -EEXIST)
		return rpc_error_conflict(
			&request->error, "vm", "This process has opened its VM already");
	if (r == -EDQUOT)
		return request_owner_limit_error(request, opener, OWNER_VMS,
			"The user has as many VMs as it may have",
			"The tenant has as many VMs as it may have");
	return rpc_error_kernel(&request->error, -r, "setting up what a VM needs");
}

/* Only once nothing speaks against the next any more: a refusal changes nothing. */
static int make_room(struct request *request)
{
	struct vm *vm =
		registry_vm_of_process(&request->gmemd->registry, &request->caller->process);
	const struct owner *opener = request->caller->owner;

	if (!vm)
		return 0;
	if (owner_is_full_without(opener, OWNER_VMS, vm->owner))
		return request_vm_error(request, opener, -EDQUOT);
	watch_stop(vm);
	vm_end(vm);
	return 0;
}

static int start_vm(struct request *request, struct vm *vm)
{
	int r = request_answer_vm(request, vm);

	if (r == 0 && watch_process(request->gmemd, vm) < 0)
		r = rpc_error_internal(&request->error, "no memory");
	return r;
}

static void announce_opened(struct request *request, struct vm *vm)
{
	vm_state_change(&vm->state, vm->registry->backend->runs_at_once ? VM_RUNNING : VM_OPENING);
	vm_ledger_note_vm(vm);
	audit_vm(&request->gmemd->audit, ACT_VM_OPENED, vm,
		"opened as \"%s\" by process %d of user %u", vm->name, vm->process.pid,
		vm->process.uid);
	events_vm(&request->gmemd->events, vm, EVENT_VM_OPENED);
	if (vm->state == VM_RUNNING)
		events_vm(&request->gmemd->events, vm, EVENT_VM_RUNNING);
}

/* The same, whatever the reason: others' are not to be told from none. */
static int no_reservation(struct request *request, const char *named)
{
	rpc_error_not_found(&request->error, "reservation", named);
	rpc_error_describe(&request->error,
		"There is no reservation \"%s\": none of this id that this process may use, nor of "
		"this name for its tenant. It may be used or cancelled, or have lapsed.",
		named);
	return request->error.code;
}

static int too_small(struct request *request, uint64_t size, uint64_t wanted)
{
	rpc_error_budget_exceeded(&request->error, "reservation", size, 0, 0, wanted);
	rpc_error_describe(&request->error,
		"commit_limit asks for %" PRIu64 " bytes, and %" PRIu64 " are reserved.", wanted,
		size);
	return request->error.code;
}

static int other_tenant(
	struct request *request, const struct tenant *reserved, const struct tenant *tenant)
{
	rpc_error_not_permitted(&request->error, "a process of the reservation's tenant");
	rpc_error_detail_string(&request->error, "tenant", reserved->name);
	rpc_error_describe(&request->error,
		"What is reserved for this VM is tenant %s's, and its process is of tenant %s by "
		"gmemd's configuration.",
		reserved->name, tenant->name);
	return request->error.code;
}

static int promise_error(struct request *request, const struct budget *refused, uint64_t wanted)
{
	request->refused_by = refused;
	return rpc_error_budget_exceeded(&request->error, refused->scope, budget_most(refused),
		refused->committed, refused->promised, wanted);
}

static int check_reservation(struct request *request, unsigned type, struct tenant *tenant,
	struct reservation *reservation)
{
	uint64_t wanted = request->parameters.vm_open.commit_limit;
	uint64_t size = reservation->budget.limit;
	const struct budget *refused;
	int r;

	if (wanted == FIELD_UNSET)
		wanted = size;
	if (wanted > size)
		return too_small(request, size, wanted);
	r = request_tenant_lets_open(request, type, wanted);
	if (r < 0)
		return r;
	refused = vm_reservation_refused(tenant, reservation, wanted);
	return refused ? promise_error(request, refused, wanted) : 0;
}

static int find_reservation(
	struct request *request, unsigned type, struct tenant *tenant, struct reservation **ret)
{
	const char *named = request->parameters.vm_open.reservation;

	*ret = reservations_find_for(&request->gmemd->reservations, named, tenant);
	return *ret ? check_reservation(request, type, tenant, *ret)
		    : no_reservation(request, named);
}

static bool is_named(const struct reservation *reservation, const char *named)
{
	return !named || strcmp(named, reservation->id) == 0 ||
	       strcmp(named, reservation->name) == 0;
}

/* The process is looked at once more when its cgroup was: till then its pid was its own. */
static int take_of_machine(struct request *request, unsigned type, struct tenant *tenant,
	struct reservation *reservation)
{
	const struct process *process = &request->caller->process;

	if (!machine_has_process(process->pid, reservation->machine) ||
		process_ended(process->pidfd))
		return rpc_error_not_permitted(&request->error,
			"a process in the cgroup of the machine that this UUID is reserved for");
	if (!is_named(reservation, request->parameters.vm_open.reservation))
		return no_reservation(request, request->parameters.vm_open.reservation);
	if (reservation->tenant && reservation->tenant != tenant)
		return other_tenant(request, reservation->tenant, tenant);
	return check_reservation(request, type, tenant, reservation);
}

/* *ret: the reservation of the UUID's machine, or that the request names, or NULL. */
static int check_promise(struct request *request, unsigned type, struct reservation **ret)
{
	const struct vm_open_parameters *parameters = &request->parameters.vm_open;
	const struct budget *refused = NULL;
	struct tenant *tenant;
	int r;

	*ret = parameters->uuid
		       ? reservations_of_machine(&request->gmemd->reservations, parameters->uuid)
		       : NULL;
	r = request_tenant(request, &tenant);
	if (r < 0)
		return r;
	if (*ret)
		r = take_of_machine(request, type, tenant, *ret);
	else if (parameters->reservation)
		r = find_reservation(request, type, tenant, ret);
	else
		refused = vm_promise_refused(tenant, parameters->commit_limit);
	tenant_unref(tenant);
	return refused ? promise_error(request, refused, parameters->commit_limit) : r;
}

static void set_minimum(struct vm *vm, uint64_t minimum)
{
	vm->minimum = minimum;
	vm_ledger_note_minimum(vm);
}

static struct vm_request wanted_vm(
	const struct request *request, unsigned type, const struct reservation *reservation)
{
	const struct vm_open_parameters *parameters = &request->parameters.vm_open;
	bool all_reserved = reservation && parameters->commit_limit == FIELD_UNSET;

	return (struct vm_request){
		.name = parameters->name,
		.uuid = parameters->uuid,
		.type = type,
		.commit_limit = all_reserved ? reservation->budget.limit : parameters->commit_limit,
		.is_reserved = reservation,
		.initially_private = parameters->initial_state == INITIAL_STATE_PRIVATE,
		.charge = parameters->charge,
		.gate = parameters->gate == GATE_WANTED_REQUIRED &&
			request->gmemd->registry.backend->needs_gate,
		.opener = request->caller->owner,
	};
}

/* consume_reservation: NULL where it has none. */
static int open_finally(
	struct request *request, struct vm *vm, struct reservation *consume_reservation)
{
	struct reservation used;

	if (!consume_reservation) {
		announce_opened(request, vm);
		return 0;
	}
	used = *consume_reservation;
	if (vm_take_reservation(vm, consume_reservation) < 0)
		return rpc_error_internal(&request->error, "no memory");
	used.tenant = vm->tenant;
	announce_opened(request, vm);
	report_reservation(&request->gmemd->audit, &request->gmemd->events,
		&(struct reservation_report){
			.turn = RESERVATION_USED, .reservation = &used, .vm = vm});
	return 0;
}

static int open_vm(struct request *request, unsigned type, struct reservation *reservation)
{
	const struct vm_request wanted = wanted_vm(request, type, reservation);
	struct vm *vm;
	int r;

	r = make_room(request);
	if (r < 0)
		return r;
	r = vm_new(&request->gmemd->registry, &request->caller->process, &wanted, &vm);
	if (r < 0)
		return request_vm_error(request, request->caller->owner, r);
	set_minimum(vm, request->parameters.vm_open.minimum);
	r = start_vm(request, vm);
	if (r == 0)
		r = open_finally(request, vm, reservation);
	if (r < 0)
		vm_free(vm);
	return r;
}

static int open_if_allowed(struct request *request)
{
	const struct vm_open_parameters *parameters = &request->parameters.vm_open;
	struct reservation *reservation = NULL;
	unsigned type = 0;
	int r;

	r = check_offer(request, &type);
	if (r == 0)
		r = request_may_have_vm(request, owner_uid(request->caller->owner),
			parameters->name, parameters->uuid);
	if (r == 0)
		r = check_promise(request, type, &reservation);
	return r < 0 ? r : open_vm(request, type, reservation);
}

int handle_vm_open(struct request *request)
{
	return request_before_lingering(request, open_if_allowed(request));
}

static int check_gate(struct request *request, const struct vm *vm)
{
	struct rpc_error *error = &request->error;

	if (vm->gate == VM_GATE_NONE)
		return rpc_error_conflict(error, "gate", "The VM was opened to do without a gate");
	if (vm->gate == VM_GATE_LOST)
		return rpc_error_conflict(error, "gate",
			"The VM's gate has lost its listener, and can't have another");
	if (vm->listener >= 0)
		return rpc_error_conflict(error, "listener",
			"The listener of the VM's gate has been handed over already");
	return 0;
}

/* 0 where the VM has it. */
static int take_listener(struct request *request, struct vm *vm)
{
	const struct file_wish wish = {.param = "listener",
		.number = request->parameters.vm_gate.listener,
		.kind = TAKER_LISTENER,
		.expected = "the number of the gate's seccomp listener"};
	int r = request_take_file(request, vm->owner, &wish, &vm->listener);

	if (r != 0)
		return r;
	if (gate_watch_new(request->gmemd, vm) < 0) {
		vm->listener = -1; /* stays the request's */
		return rpc_error_internal(&request->error, "no memory");
	}
	request_take_over(request, 0);
	return 0;
}

int handle_vm_gate(struct request *request)
{
	struct vm *vm;
	int r;

	r = request_vm(request, request->parameters.vm_gate.vm, &vm);
	if (r == 0)
		r = check_gate(request, vm);
	if (r == 0)
		r = take_listener(request, vm);
	if (r != 0)
		return r;
	fdstore_put_one(vm->registry->fdstore, FDSTORE_VM_GATE, vm->number, 0, vm->listener);
	STEP("gate: listener put");
	vm_ledger_note_vm(vm);
	gate_wake_in_sync(vm->listener);
	audit_vm(&request->gmemd->audit, ACT_GATE_SET, vm, "process %d has its gate",
		vm->process.pid);
	return 0;
}

int handle_vm_close(struct request *request)
{
	struct vm *vm;
	int r;

	r = request_vm(request, request->parameters.vm_close.vm, &vm);
	if (r < 0)
		return request_was_done(request) ? release_nothing(request) : r;
	r = release_vm(request, vm);
	/* Nobody ends any more whom that would wait for. */
	watch_end_linger(vm);
	return r;
}
