/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a tenant lets its VMs do. See request_tenant.h.
 */
#include "daemon/request/request_tenant.h"

#include <stdio.h>

#include "daemon/vm/memory.h"

uint64_t tenant_vms_seen(const struct tenant *tenant)
{
	const struct vm *vm;
	uint64_t count = 0;

	LIST_FOREACH (vm, &tenant->vms, of_tenant)
		count += vm_is_seen(vm);
	return count;
}

/* What remains of a VM for its closed memories alone is nobody's to see. */
bool tenant_is_seen(const struct tenant *tenant)
{
	return tenant->config || tenant->set.has_limit || tenant->set.has_reserve ||
	       tenant->budget.committed > 0 || tenant_vms_seen(tenant) > 0;
}

int request_tenant_not_open(struct request *request, const char *name)
{
	char what[TENANT_NAME_SIZE + 64];

	snprintf(what, sizeof what, "tenant %s, which the configuration does not have any more",
		name);
	return rpc_error_not_permitted(&request->error, what);
}

int request_tenant(struct request *request, struct tenant **ret)
{
	const struct owner_name name = owner_name(request->caller->owner);
	struct tenant *tenant;

	if (tenants_get(&request->gmemd->registry.tenants, name.tenant, name.uid, &tenant) < 0)
		return rpc_error_internal(&request->error, "no memory");
	if (!tenant_is_open(tenant)) {
		request_tenant_not_open(request, tenant->name);
		tenant_unref(tenant);
		return request->error.code;
	}
	*ret = tenant;
	return 0;
}

/* What gmemd's own command line demands of every VM holds for a tenant's, too. */
bool request_needs_gate(const struct request *request, const struct config_tenant *tenant)
{
	const struct config *config = &request->gmemd->config;
	const struct config_origin *origin = &config->origins[0];
	bool of_all = config->gate_policy == GATE_POLICY_REQUIRED;

	origin += config_setting_at(offsetof(struct config, gate_policy)) - config_settings;
	if (!tenant || !config_tenant_is_set(tenant, &tenant->gate))
		return of_all;
	return tenant->gate == GATE_POLICY_REQUIRED ||
	       (of_all && origin->source == CONFIG_FROM_COMMAND_LINE);
}

/* It may have those of what in the list alone. */
static int not_of(struct request *request, const struct config_tenant *tenant, const char *what,
	const struct config_list *list)
{
	char all[256], missing[400];

	config_list_print(list, all, sizeof all);
	snprintf(missing, sizeof missing, "a %s that tenant %s may have: %s", what, tenant->name,
		all);
	return rpc_error_not_permitted(&request->error, missing);
}

static int check_type(struct request *request, const struct config_tenant *tenant, unsigned type)
{
	if (tenant->types.count == 0 || config_list_has(&tenant->types, type))
		return 0;
	return not_of(request, tenant, "VM type", &tenant->types);
}

static int check_vm_limit(struct request *request, const struct config_tenant *tenant,
	uint64_t bytes, const char *why)
{
	uint64_t most = config_bytes(&tenant->vm_limit, request->gmemd->host.memory_total);

	if (bytes == BUDGET_UNLIMITED || bytes <= most)
		return 0;
	return rpc_error_limit(&request->error, why, "vm-limit", most, "tenant");
}

static int check_promise(
	struct request *request, const struct config_tenant *tenant, uint64_t commit_limit)
{
	return check_vm_limit(
		request, tenant, commit_limit, "A VM of the tenant may be promised less");
}

int request_tenant_lets_open(struct request *request, unsigned type, uint64_t commit_limit)
{
	const struct config_tenant *tenant = owner_tenant_config(request->caller->owner);
	int r;

	if (!tenant)
		return 0;
	r = check_type(request, tenant, type);
	return r < 0 ? r : check_promise(request, tenant, commit_limit);
}

/* Of several, the one with the most left; NODE_ANY where the host has none of them. */
static int roomiest_node(
	struct gmemd *gmemd, const struct tenant *tenant, const struct config_list *nodes)
{
	int node = NODE_ANY;
	uint64_t most = 0;

	for (unsigned i = 0; i < nodes->count; i++) {
		const struct budget *budget = capacity_of_node(&gmemd->capacity, nodes->ids[i]);
		uint64_t left = budget && budget->committed < budget->limit
					? budget->limit - budget->committed
					: 0;

		left += tenant_node_left(tenant, nodes->ids[i]);
		if (budget && (node == NODE_ANY || left > most)) {
			most = left;
			node = (int)nodes->ids[i];
		}
	}
	return node;
}

static int wrong_node(struct request *request, const struct config_tenant *tenant)
{
	return not_of(request, tenant, "NUMA node", &tenant->nodes);
}

static int check_counts(struct request *request, const struct vm *vm, const struct tenant *tenant)
{
	const struct config *config = &request->gmemd->config;
	const struct {
		enum limit limit;
		uint64_t count;
		const char *why;
	} rows[] = {
		{LIMIT_MEMORIES_PER_VM, vm->n_memories,
			"The VM has more memories than one of the tenant may have"},
		{LIMIT_SLOTS_PER_VM, vm->n_slots,
			"The VM has more slots than one of the tenant may have"},
		{LIMIT_PRIVATE_RANGES_PER_VM,
			ranges_count(&vm->private_ranges) + ranges_count(&vm->converting),
			"The VM has more private ranges than one of the tenant may have"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].count > limit_value_for(config, tenant->config, rows[i].limit))
			return limit_error_for(&request->error, config, tenant->config,
				rows[i].limit, rows[i].why);
	}
	return 0;
}

static int check_nodes(struct request *request, struct vm *vm, const struct config_tenant *tenant)
{
	struct memory *memory;

	if (tenant->nodes.count == 0)
		return 0;
	RB_FOREACH (memory, memory_tree, &vm->memories) {
		if (memory->node != NODE_ANY &&
			!config_list_has(&tenant->nodes, (uint32_t)memory->node))
			return wrong_node(request, tenant);
	}
	return 0;
}

int request_tenant_lets_have(
	struct request *request, struct vm *vm, const struct tenant *tenant, uint64_t commit_limit)
{
	const struct config_tenant *config = tenant->config;
	int r = check_counts(request, vm, tenant);

	if (r < 0 || !config)
		return r;
	if (vm->gate == VM_GATE_NONE && request_needs_gate(request, config))
		return rpc_error_not_permitted(
			&request->error, "a gate, which every VM of that tenant must have");
	r = check_type(request, config, vm->type);
	if (r == 0)
		r = check_promise(request, config, commit_limit);
	if (r == 0)
		r = check_vm_limit(request, config, vm->budget.used,
			"A VM of the tenant may have less memory");
	return r < 0 ? r : check_nodes(request, vm, config);
}

int request_tenant_lets_create(struct request *request, const struct vm *vm, int *node)
{
	const struct config_tenant *tenant = vm->tenant->config;

	if (!tenant || tenant->nodes.count == 0)
		return 0;
	if (*node == NODE_ANY) {
		*node = roomiest_node(request->gmemd, vm->tenant, &tenant->nodes);
		return *node == NODE_ANY ? wrong_node(request, tenant) : 0;
	}
	return config_list_has(&tenant->nodes, (uint32_t)*node) ? 0 : wrong_node(request, tenant);
}
