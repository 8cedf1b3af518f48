/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.set.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/methods/methods.h"
#include "daemon/peer/quiet_peers.h"
#include "daemon/release/lingering.h"
#include "daemon/request/request.h"
#include "daemon/request/request_tenant.h"
#include "daemon/vm/vm_ledger.h"

/* What a VM can do without it says itself, what it may have its operators. */
static int check_setter(struct request *request, const struct vm_set_parameters *parameters)
{
	bool is_operator = request->caller->access == ACCESS_OPERATOR;

	if (is_operator && parameters->minimum != FIELD_UNSET)
		return rpc_error_not_permitted(
			&request->error, "the VM's own connection, which tells its minimum");
	if (!is_operator && parameters->tenant)
		return rpc_error_not_permitted(
			&request->error, "an operator's connection, which sets tenants");
	if (!is_operator && parameters->commit_limit != FIELD_UNSET)
		return rpc_error_not_permitted(
			&request->error, "an operator's connection, which sets commit limits");
	return 0;
}

static void print_limit(uint64_t limit, char *ret, size_t size)
{
	if (limit == BUDGET_UNLIMITED)
		snprintf(ret, size, "none");
	else
		snprintf(ret, size, "%" PRIu64, limit);
}

static void tell_commit_limit(const struct request *request, const struct vm *vm, uint64_t before)
{
	char old[24], new[24];

	print_limit(before, old, sizeof old);
	print_limit(vm->budget.limit, new, sizeof new);
	audit_write(&request->gmemd->audit,
		&(struct audit_entry){.act = ACT_LIMIT_CHANGED,
			.also = {{"GMEMD_SCOPE", vm->id}, {"GMEMD_LIMIT", "commit_limit"},
				{"GMEMD_OLD", old}, {"GMEMD_NEW", new}}},
		"%s: its commit limit is %s now; it was %s", vm->id, new, old);
}

/* What it would have of its tenant with that limit. */
static uint64_t bytes_with(const struct vm *vm, uint64_t limit)
{
	uint64_t committed = vm->budget.committed;

	return limit != BUDGET_UNLIMITED && limit > committed ? limit : committed;
}

/* What it has or is promised already. */
static uint64_t bytes_had(const struct budget *budget)
{
	return budget->is_promised && budget->limit > budget->committed ? budget->limit
									: budget->committed;
}

static int budget_error(struct request *request, const struct budget *refused, uint64_t requested)
{
	int r;

	request->refused_by = refused;
	r = rpc_error_budget_exceeded(&request->error, refused->scope, budget_most(refused),
		refused->committed, refused->promised, requested);
	return request_before_lingering(request, r);
}

static int set_commit_limit(struct request *request, struct vm *vm, uint64_t limit)
{
	uint64_t before = vm->budget.limit, had = bytes_had(&vm->budget);
	const struct budget *refused = budget_set_limit(&vm->budget, limit);

	if (refused)
		return budget_error(request, refused, limit > had ? limit - had : 0);
	vm_ledger_note_vm(vm);
	tell_commit_limit(request, vm, before);
	return 0;
}

static int find_tenant(struct request *request, struct tenant **ret)
{
	const char *name = request->parameters.vm_set.tenant;
	struct tenant *tenant = tenants_find(&request->gmemd->registry.tenants, name);

	if (!tenant || !tenant_is_seen(tenant) || !tenant_is_open(tenant))
		return rpc_error_not_found(&request->error, "tenant", name);
	*ret = tenant;
	return 0;
}

static int tell_no_room(
	struct request *request, const struct tenant *to, const struct vm_move_refused *refused)
{
	return limit_error_for(&request->error, &request->gmemd->config, to->config, refused->limit,
		"The tenant has no room for all that gmemd holds for the VM");
}

static void tell_tenant(const struct request *request, struct vm *vm, const struct tenant *before)
{
	vm_ledger_note_tenant(vm);
	vm_ledger_note_vm(vm);
	audit_write(&request->gmemd->audit,
		&(struct audit_entry){.act = ACT_LIMIT_CHANGED,
			.also = {{"GMEMD_SCOPE", vm->id}, {"GMEMD_LIMIT", "tenant"},
				{"GMEMD_OLD", before->name}, {"GMEMD_NEW", vm->tenant->name}}},
		"%s: its tenant is %s now; it was %s", vm->id, vm->tenant->name, before->name);
}

/* All of it, with the limit that it is to have, or nothing. */
static int move(struct request *request, struct vm *vm, struct tenant *to, uint64_t limit)
{
	struct tenant *before = tenant_ref(vm->tenant);
	uint64_t limit_before = vm->budget.limit;
	struct vm_move_refused refused;
	int r;

	quiet_peers_recover_all(request->gmemd->quiet_peers);
	r = request_tenant_lets_have(request, vm, to, limit);
	if (r == 0)
		r = vm_move(vm, to, limit, &refused);
	if (r == -EDQUOT)
		r = refused.budget ? budget_error(request, refused.budget, bytes_with(vm, limit))
				   : tell_no_room(request, to, &refused);
	else if (r == -ENOMEM)
		r = rpc_error_internal(&request->error, "no memory");
	if (r == 0)
		tell_tenant(request, vm, before);
	if (r == 0 && limit != limit_before)
		tell_commit_limit(request, vm, limit_before);
	tenant_unref(before);
	return r;
}

static int set_by_operator(
	struct request *request, struct vm *vm, const struct vm_set_parameters *parameters)
{
	bool has_limit = parameters->commit_limit != FIELD_UNSET;
	struct tenant *to = vm->tenant;
	int r = parameters->tenant ? find_tenant(request, &to) : 0;

	if (r == 0 && to != vm->tenant)
		return move(
			request, vm, to, has_limit ? parameters->commit_limit : vm->budget.limit);
	return r == 0 && has_limit ? set_commit_limit(request, vm, parameters->commit_limit) : r;
}

int handle_vm_set(struct request *request)
{
	const struct vm_set_parameters *parameters = &request->parameters.vm_set;
	struct vm *vm;
	int r;

	r = check_setter(request, parameters);
	if (r == 0)
		r = request_vm(request, parameters->vm, &vm);
	if (r == 0)
		r = set_by_operator(request, vm, parameters);
	if (r == 0 && parameters->minimum != FIELD_UNSET) {
		vm->minimum = parameters->minimum;
		vm_ledger_note_minimum(vm);
	}
	return r;
}
