/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tenants. See tenant.h.
 */
#include "daemon/tenant/tenant.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tenant_compare(struct tenant *a, struct tenant *b)
{
	return strcmp(a->name, b->name);
}

RB_GENERATE_LOCAL(tenant_tree, tenant, link, tenant_compare)

void tenants_init(struct tenants *tenants, const struct config *config, struct budget *host)
{
	*tenants = (struct tenants){.config = config, .host = host};
}

/* Finding */

static struct tenant *find_from(struct tenants *tenants, const char *name, bool exactly)
{
	struct tenant key;

	if (strlen(name) >= sizeof key.name)
		return NULL;
	strcpy(key.name, name);
	return exactly ? RB_FIND(tenant_tree, &tenants->all, &key)
		       : RB_NFIND(tenant_tree, &tenants->all, &key);
}

struct tenant *tenants_find(struct tenants *tenants, const char *name)
{
	return find_from(tenants, name, /* exactly= */ true);
}

struct tenant *tenants_from(struct tenants *tenants, const char *name)
{
	return find_from(tenants, name, /* exactly= */ false);
}

struct tenant *tenants_next(struct tenant *tenant)
{
	return RB_NEXT(tenant_tree, &tenant->tenants->all, tenant);
}

static struct tenant *tenant_new(struct tenants *tenants, const char *name)
{
	struct tenant *tenant = calloc(1, sizeof *tenant);

	if (!tenant)
		return NULL;
	tenant->tenants = tenants;
	snprintf(tenant->name, sizeof tenant->name, "%s", name);
	tenant->budget = (struct budget){.scope = "tenant",
		.limit = BUDGET_UNLIMITED,
		.bounds_reserves = true,
		.lifted = tenants->lifted,
		.within = tenants->host};
	tenant->configured_limit = BUDGET_UNLIMITED;
	LIST_INIT(&tenant->vms);
	RB_INSERT(tenant_tree, &tenants->all, tenant);
	return tenant;
}

int tenants_get(struct tenants *tenants, const char *name, uid_t uid, struct tenant **ret)
{
	char own[TENANT_NAME_SIZE];
	struct tenant *tenant;

	tenant_name_of_user(uid, own);
	if (!name[0])
		name = own;
	tenant = tenants_find(tenants, name);
	if (!tenant)
		tenant = tenant_new(tenants, name);
	if (!tenant)
		return -ENOMEM;
	*ret = tenant_ref(tenant);
	return 0;
}

struct tenant *tenant_ref(struct tenant *tenant)
{
	tenant->references++;
	return tenant;
}

struct tenant *tenant_unref(struct tenant *tenant)
{
	if (!tenant || --tenant->references > 0)
		return NULL;
	assert(tenant->budget.committed == 0);
	RB_REMOVE(tenant_tree, &tenant->tenants->all, tenant);
	free(tenant);
	return NULL;
}

bool tenant_is_open(const struct tenant *tenant)
{
	return tenant->config || tenant->tenants->config->tenants.count == 0;
}

/* What the configuration says. */

static uint64_t reserve_of(const struct config_tenant *config, uint64_t memory_total)
{
	return config ? config_bytes(&config->reserve, memory_total) : 0;
}

/* The host is not asked. */
static void set_reserve(struct tenant *tenant, uint64_t reserve)
{
	struct budget *host = tenant->tenants->host;
	bool lifted = host->lifted;

	host->lifted = true;
	budget_set_reserve(&tenant->budget, reserve);
	host->lifted = lifted;
}

static void follow_settings(struct tenant *tenant)
{
	const struct tenant_override *set = &tenant->set;

	tenant->budget.limit = set->has_limit ? set->limit : tenant->configured_limit;
	set_reserve(tenant, set->has_reserve ? set->reserve : tenant->configured_reserve);
}

static uint64_t known_with(const struct tenant *tenant, uint64_t reserve)
{
	return tenant && tenant->budget.committed > reserve ? tenant->budget.committed : reserve;
}

/* Whether the host has what it would have to give beyond what it has given. */
static bool fits(struct tenants *tenants, const struct config *config, uint64_t memory_total,
	const struct config_tenant **ret_refused)
{
	uint64_t committed = tenants->host->committed;
	struct tenant *tenant;

	RB_FOREACH (tenant, tenant_tree, &tenants->all)
		committed -= budget_known_above(&tenant->budget) - tenant->budget.committed;
	for (unsigned i = 0; i < config->tenants.count; i++) {
		const struct config_tenant *next = config->tenants.all[i];
		uint64_t reserve = reserve_of(next, memory_total);

		tenant = tenants_find(tenants, next->name);
		committed += known_with(tenant, reserve) - known_with(tenant, 0);
		if (reserve > (tenant ? tenant->budget.reserve : 0))
			*ret_refused = next;
	}
	return !*ret_refused || tenants->host->lifted ||
	       committed <= config_capacity(config, memory_total);
}

static int make_missing(struct tenants *tenants, const struct config *config)
{
	for (unsigned i = 0; i < config->tenants.count; i++) {
		const char *name = config->tenants.all[i]->name;

		if (!tenants_find(tenants, name) && !tenant_new(tenants, name))
			return -ENOMEM;
	}
	return 0;
}

/* Those that nobody refers to, and that the configuration has not had so far. */
static void drop_unused(struct tenants *tenants)
{
	struct tenant *tenant, *next;

	RB_FOREACH_SAFE (tenant, tenant_tree, &tenants->all, next) {
		if (tenant->references == 0)
			tenant_unref(tenant_ref(tenant));
	}
}

/* 0 would be no limit: a byte is less than any page. */
static uint64_t each_of(const struct config_tenant *config, uint64_t total)
{
	uint64_t most = config_bytes(&config->vm_limit, total);

	return most > 0 ? most : 1;
}

static void configure(struct tenant *tenant, const struct config_tenant *config, uint64_t total)
{
	bool was = tenant->config;

	tenant->config = config;
	if (config) {
		tenant->configured_limit = config_bytes(&config->limit, total);
		tenant->configured_reserve = reserve_of(config, total);
		tenant->budget.each = each_of(config, total);
		tenant->references += !was;
		follow_settings(tenant);
	}
}

static void forget(struct tenants *tenants, const struct config *config)
{
	struct tenant *tenant, *next;

	RB_FOREACH_SAFE (tenant, tenant_tree, &tenants->all, next) {
		if (!tenant->config || config_tenant_find(&config->tenants, tenant->name))
			continue;
		tenant->config = NULL;
		tenant->configured_reserve = 0;
		follow_settings(tenant);
		tenant_unref(tenant);
	}
}

int tenants_configure(struct tenants *tenants, const struct config *config, uint64_t memory_total,
	const struct config_tenant **ret_refused)
{
	const struct config_tenant *refused = NULL;

	if (!fits(tenants, config, memory_total, &refused)) {
		*ret_refused = refused;
		return -ENOSPC;
	}
	if (make_missing(tenants, config) < 0) {
		drop_unused(tenants);
		return -ENOMEM;
	}
	forget(tenants, config);
	for (unsigned i = 0; i < config->tenants.count; i++) {
		const struct config_tenant *next = config->tenants.all[i];

		configure(tenants_find(tenants, next->name), next, memory_total);
	}
	return 0;
}

void tenants_lift_limits(struct tenants *tenants, bool lifted)
{
	struct tenant *tenant;

	tenants->lifted = lifted;
	RB_FOREACH (tenant, tenant_tree, &tenants->all)
		tenant->budget.lifted = lifted;
}

void tenants_clear(struct tenants *tenants)
{
	static const struct tenant_override none = {.has_limit = false};
	struct tenant *tenant, *next;

	RB_FOREACH_SAFE (tenant, tenant_tree, &tenants->all, next) {
		bool configured = tenant->config;

		tenant_ref(tenant);
		tenant->config = NULL;
		tenant->configured_reserve = 0;
		tenant_set_override(tenant, &none);
		if (configured)
			tenant_unref(tenant);
		tenant_unref(tenant);
	}
}

/* What operators set */

static bool is_set(const struct tenant_override *set)
{
	return set->has_limit || set->has_reserve;
}

void tenant_set_override(struct tenant *tenant, const struct tenant_override *set)
{
	bool was = is_set(&tenant->set);

	if (is_set(set) && !was)
		tenant_ref(tenant);
	tenant->set = *set;
	follow_settings(tenant);
	if (!is_set(set) && was)
		tenant_unref(tenant);
}

const struct budget *tenant_reserve_refused(struct tenant *tenant, uint64_t reserve)
{
	uint64_t before = tenant->budget.reserve;
	const struct budget *refused = budget_set_reserve(&tenant->budget, reserve);

	if (!refused)
		set_reserve(tenant, before);
	return refused;
}
