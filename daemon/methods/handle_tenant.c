/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant.list, tenant.get, tenant.set.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/methods/counted_answer.h"
#include "daemon/methods/methods.h"
#include "daemon/pressure/watch.h"
#include "daemon/release/lingering.h"
#include "daemon/request/page_cursor.h"
#include "daemon/request/request_tenant.h"
#include "daemon/tenant/tenant.h"
#include "protocol/json.h"

#define CURSOR "tenant:"

/* What is asked for, as it outlives the request. */
struct tenant_context {
	char name[TENANT_NAME_SIZE]; /* that the page begins with, or that alone */
	uint64_t limit;
};

static struct tenants *tenants_of(struct gmemd *gmemd)
{
	return &gmemd->registry.tenants;
}

static void add_limit(struct json_object *object, const char *name, uint64_t limit)
{
	if (limit == CONFIG_NO_NUMBER)
		json_add_null(object, name);
	else
		json_add_uint(object, name, limit);
}

static uint64_t resident_of(const struct tenant *tenant)
{
	const struct vm *vm;
	uint64_t sum = 0;

	LIST_FOREACH (vm, &tenant->vms, of_tenant)
		sum += vm_resident(vm);
	return sum;
}

static struct tenant *seen_from(struct tenant *tenant)
{
	while (tenant && !tenant_is_seen(tenant))
		tenant = tenants_next(tenant);
	return tenant;
}

static struct tenant *first_of(struct gmemd *gmemd, const struct tenant_context *context)
{
	return seen_from(tenants_from(tenants_of(gmemd), context->name));
}

static struct tenant *find_seen(struct gmemd *gmemd, const char *name)
{
	struct tenant *tenant = tenants_find(tenants_of(gmemd), name);

	return tenant && tenant_is_seen(tenant) ? tenant : NULL;
}

static void describe_nodes(struct json_object *list, const struct tenant *tenant)
{
	const struct tenant_node *node;

	SLIST_FOREACH (node, &tenant->nodes, link) {
		struct json_object *object;

		if (node->budget.reserve == 0)
			continue;
		object = json_append_object(list);
		json_add_uint(object, "node", node->number);
		json_add_uint(object, "reserve", node->budget.reserve);
		json_add_uint(object, "committed", node->budget.used);
	}
}

static void describe_tenant(struct json_object *object, const struct tenant *tenant)
{
	const struct budget *budget = &tenant->budget;

	json_add_string(object, "tenant", tenant->name);
	json_add_bool(object, "configured", tenant->config);
	add_limit(object, "limit", budget->limit);
	json_add_uint(object, "reserve", budget->reserve);
	describe_nodes(json_add_array(object, "node_reserves"), tenant);
	json_add_uint(object, "promised", budget->promised);
	json_add_uint(object, "committed", budget->used);
	json_add_uint(object, "resident", resident_of(tenant));
	json_add_uint(object, "vms", tenant_vms_seen(tenant));
	json_add_bool(object, "under_pressure", tenant->under_pressure);
}

/* Counted before it is told */

static int add_vms(struct page_count *count, const struct tenant *tenant)
{
	struct vm *vm;
	int r = 0;

	LIST_FOREACH (vm, &tenant->vms, of_tenant) {
		if (r == 0)
			r = page_count_add(count, vm);
	}
	return r;
}

static int answer_counted(struct request *request, struct page_count *count, int r,
	counted_fill *fill, const struct tenant_context *context)
{
	if (r == 0 && count)
		return request_answer_counted(request, count, fill, context, sizeof *context);
	page_count_free(count);
	return rpc_error_internal(&request->error, "no memory");
}

/* What one takes in an answer at most, and what each of its nodes does. */
#define TENANT_BYTES 400
#define NODE_BYTES   100

static size_t bytes_of(const struct tenant *tenant)
{
	const struct tenant_node *node;
	size_t bytes = TENANT_BYTES;

	SLIST_FOREACH (node, &tenant->nodes, link)
		bytes += node->budget.reserve > 0 ? NODE_BYTES : 0;
	return bytes;
}

static int fill_list(struct gmemd *gmemd, const struct caller *caller, const void *what,
	struct json_object *result, struct rpc_error *error)
{
	const struct tenant_context *context = what;
	struct json_object *list = json_add_array(result, "tenants");
	struct tenant *tenant = first_of(gmemd, context);
	char cursor[sizeof CURSOR + TENANT_NAME_SIZE];
	size_t bytes = 0;

	(void)caller;
	(void)error;
	for (uint64_t listed = 0; tenant; tenant = seen_from(tenants_next(tenant)), listed++) {
		bytes += bytes_of(tenant);
		if (listed == context->limit || bytes > PAGE_BYTES_MAX) {
			snprintf(cursor, sizeof cursor, CURSOR "%s", tenant->name);
			json_add_string(result, "cursor", cursor);
			break;
		}
		describe_tenant(json_append_object(list), tenant);
	}
	return 0;
}

int handle_tenant_list(struct request *request)
{
	const struct tenant_list_parameters *parameters = &request->parameters.tenant_list;
	struct tenant_context context = {.limit = parameters->limit};
	struct page_count *count;
	struct tenant *tenant;
	int r = 0;

	if (parameters->cursor &&
		(strncmp(parameters->cursor, CURSOR, strlen(CURSOR)) != 0 ||
			strlen(parameters->cursor + strlen(CURSOR)) >= sizeof context.name))
		return page_cursor_error(request);
	if (parameters->cursor)
		strcpy(context.name, parameters->cursor + strlen(CURSOR));
	count = page_count_new(&request->gmemd->registry, request->caller->owner);
	tenant = first_of(request->gmemd, &context);
	for (uint64_t i = 0; count && r == 0 && tenant && i < context.limit; i++) {
		r = add_vms(count, tenant);
		tenant = seen_from(tenants_next(tenant));
	}
	return answer_counted(request, count, r, fill_list, &context);
}

static void describe_policy(struct json_object *object, const struct config_tenant *config)
{
	json_add_uint(object, "priority", config->priority);
	add_limit(object, "vms_max", config->vms);
	add_limit(object, "memories_max", config->memories);
	add_limit(object, "connections_max", config->connections);
	add_limit(object, "requests_max", config->requests);
	add_limit(object, "memories_per_vm", config->memories_per_vm);
	add_limit(object, "slots_per_vm", config->slots_per_vm);
	add_limit(object, "private_ranges_per_vm", config->private_ranges_per_vm);
}

static int not_found(struct rpc_error *error, const char *name)
{
	return rpc_error_not_found(error, "tenant", name);
}

static int fill_one(struct gmemd *gmemd, const struct caller *caller, const void *what,
	struct json_object *result, struct rpc_error *error)
{
	const struct tenant_context *context = what;
	const struct tenant *tenant = find_seen(gmemd, context->name);

	(void)caller;
	if (!tenant)
		return not_found(error, context->name);
	describe_tenant(result, tenant);
	if (tenant->config)
		describe_policy(result, tenant->config);
	return 0;
}

int handle_tenant_get(struct request *request)
{
	const char *name = request->parameters.tenant_get.tenant;
	const struct tenant *tenant = find_seen(request->gmemd, name);
	struct tenant_context context = {.limit = 1};
	struct page_count *count;

	if (!tenant)
		return not_found(&request->error, name);
	strcpy(context.name, tenant->name);
	count = page_count_new(&request->gmemd->registry, request->caller->owner);
	return answer_counted(
		request, count, count ? add_vms(count, tenant) : 0, fill_one, &context);
}

/* tenant.set */

/* A user by itself has VMs, or is told of before it has any. */
static int find_to_set(struct request *request, struct tenant **ret)
{
	const char *name = request->parameters.tenant_set.tenant;
	struct tenants *tenants = &request->gmemd->registry.tenants;
	char own[TENANT_NAME_SIZE];
	unsigned uid;

	*ret = tenants_find(tenants, name);
	if (*ret && tenant_is_seen(*ret)) {
		tenant_ref(*ret);
		return 0;
	}
	if (tenants->config->tenants.count > 0 || sscanf(name, "uid:%u", &uid) != 1)
		return rpc_error_not_found(&request->error, "tenant", name);
	tenant_name_of_user(uid, own);
	if (strcmp(own, name) != 0)
		return rpc_error_not_found(&request->error, "tenant", name);
	if (tenants_get(tenants, name, uid, ret) < 0)
		return rpc_error_internal(&request->error, "no memory");
	return 0;
}

static struct tenant_override wanted_of(const struct request *request, const struct tenant *tenant)
{
	const struct tenant_set_parameters *parameters = &request->parameters.tenant_set;
	struct tenant_override wanted = tenant->set;

	if (parameters->limit != FIELD_UNSET) {
		wanted.has_limit = true;
		wanted.limit = parameters->limit;
	}
	if (parameters->reserve != FIELD_UNSET) {
		wanted.has_reserve = true;
		wanted.reserve = parameters->reserve;
	}
	return wanted;
}

static int check_wanted(
	struct request *request, struct tenant *tenant, const struct tenant_override *wanted)
{
	uint64_t limit = wanted->has_limit ? wanted->limit : tenant->budget.limit;
	uint64_t reserve = wanted->has_reserve ? wanted->reserve : tenant->budget.reserve;
	uint64_t had = budget_known_above(&tenant->budget);
	const struct budget *refused;
	char expected[80];

	if (reserve > limit) {
		snprintf(expected, sizeof expected,
			"so that the reserve, %" PRIu64 " bytes, is at most the limit", reserve);
		return rpc_error_invalid_param(&request->error,
			request->parameters.tenant_set.reserve == FIELD_UNSET ? "limit" : "reserve",
			expected);
	}
	if (reserve < tenant_node_reserves(tenant) && wanted->has_reserve) {
		snprintf(expected, sizeof expected,
			"at least what of the reserve is by nodes, %" PRIu64 " bytes",
			tenant_node_reserves(tenant));
		return rpc_error_invalid_param(&request->error, "reserve", expected);
	}
	refused = reserve > tenant->budget.reserve ? tenant_reserve_refused(tenant, reserve) : NULL;
	if (!refused)
		return 0;
	request->refused_by = refused;
	return request_before_lingering(request,
		rpc_error_budget_exceeded(&request->error, refused->scope, refused->limit,
			refused->committed, refused->promised, reserve > had ? reserve - had : 0));
}

static void tell_change(const struct request *request, const struct tenant *tenant,
	const char *name, uint64_t before, uint64_t now)
{
	char old[24] = "none", new[24] = "none", scope[TENANT_NAME_SIZE + 8];

	if (before == now)
		return;
	if (before != BUDGET_UNLIMITED)
		snprintf(old, sizeof old, "%" PRIu64, before);
	if (now != BUDGET_UNLIMITED)
		snprintf(new, sizeof new, "%" PRIu64, now);
	snprintf(scope, sizeof scope, TENANT_SECTION "%s", tenant->name);
	audit_write(&request->gmemd->audit,
		&(struct audit_entry){.act = ACT_LIMIT_CHANGED,
			.also = {{"GMEMD_SCOPE", scope}, {"GMEMD_LIMIT", name}, {"GMEMD_OLD", old},
				{"GMEMD_NEW", new}}},
		"tenant %s: its %s is %s now; it was %s", tenant->name, name, new, old);
}

static int set(struct request *request, struct tenant *tenant, const struct tenant_override *wanted)
{
	const struct tenant_override before = tenant->set;
	const struct budget was = tenant->budget;

	tenant_set_override(tenant, wanted);
	if (overrides_note(&request->gmemd->overrides, tenant) < 0) {
		tenant_set_override(tenant, &before);
		return rpc_error_internal(&request->error, "no memory");
	}
	tell_change(request, tenant, "limit", was.limit, tenant->budget.limit);
	tell_change(request, tenant, "reserve", was.reserve, tenant->budget.reserve);
	return 0;
}

static void answer(struct request *request, struct tenant *tenant)
{
	const struct budget *budget = &tenant->budget;
	bool beyond = budget->used > budget->limit;

	if (budget->limit == BUDGET_UNLIMITED)
		json_add_null(request->result, "limit");
	else
		json_add_uint(request->result, "limit", budget->limit);
	json_add_uint(request->result, "reserve", budget->reserve);
	json_add_uint(request->result, "committed", budget->used);
	json_add_uint(request->result, "beyond", beyond ? budget->used - budget->limit : 0);
	if (beyond)
		pressure_watch_ask_tenant(request->gmemd->pressure, tenant);
}

int handle_tenant_set(struct request *request)
{
	struct tenant_override wanted;
	struct tenant *tenant;
	int r;

	r = find_to_set(request, &tenant);
	if (r < 0)
		return r;
	wanted = wanted_of(request, tenant);
	r = check_wanted(request, tenant, &wanted);
	if (r == 0 && (wanted.has_limit || wanted.has_reserve))
		r = set(request, tenant, &wanted);
	if (r == 0)
		answer(request, tenant);
	tenant_unref(tenant);
	return r;
}
