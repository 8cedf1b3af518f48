/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.set.
 */
#include <inttypes.h>
#include <stdio.h>

#include "daemon/methods/methods.h"
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

/* What it has or is promised already. */
static uint64_t bytes_had(const struct budget *budget)
{
	return budget->is_promised && budget->limit > budget->committed ? budget->limit
									: budget->committed;
}

static int set_commit_limit(struct request *request, struct vm *vm, uint64_t limit)
{
	uint64_t before = vm->budget.limit, had = bytes_had(&vm->budget);
	const struct budget *refused = budget_set_limit(&vm->budget, limit);

	if (refused)
		return rpc_error_budget_exceeded(&request->error, refused->scope,
			budget_most(refused), refused->committed, refused->promised,
			limit > had ? limit - had : 0);
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

static int move(struct request *request, struct vm *vm, struct tenant *to)
{
	uint64_t wanted = budget_known_above(&vm->budget);
	const struct budget *refused = vm_move(vm, to);

	if (refused)
		return rpc_error_budget_exceeded(&request->error, refused->scope,
			budget_most(refused), refused->committed, refused->promised, wanted);
	return 0;
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

/* A limit that is refused leaves it where it was. */
static int set_by_operator(
	struct request *request, struct vm *vm, const struct vm_set_parameters *parameters)
{
	struct tenant *before = tenant_ref(vm->tenant), *to = NULL;
	int r = parameters->tenant ? find_tenant(request, &to) : 0;

	if (r == 0 && to)
		r = move(request, vm, to);
	if (r == 0 && parameters->commit_limit != FIELD_UNSET) {
		r = set_commit_limit(request, vm, parameters->commit_limit);
		if (r < 0 && to)
			vm_move(vm, before);
	}
	if (r == 0 && vm->tenant != before)
		tell_tenant(request, vm, before);
	tenant_unref(before);
	return r;
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
