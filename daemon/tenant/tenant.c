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

void tenants_init(struct tenants *tenants, const struct config *config, struct capacity *capacity)
{
	*tenants = (struct tenants){.config = config, .capacity = capacity};
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
		.within = &tenants->capacity->host};
	tenant->configured_limit = BUDGET_UNLIMITED;
	LIST_INIT(&tenant->vms);
	SLIST_INIT(&tenant->nodes);
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

static void free_nodes(struct tenant *tenant)
{
	struct tenant_node *node;

	while ((node = SLIST_FIRST(&tenant->nodes))) {
		assert(node->budget.committed == 0);
		SLIST_REMOVE_HEAD(&tenant->nodes, link);
		free(node);
	}
}

struct tenant *tenant_unref(struct tenant *tenant)
{
	if (!tenant || --tenant->references > 0)
		return NULL;
	assert(tenant->budget.committed == 0);
	free_nodes(tenant);
	RB_REMOVE(tenant_tree, &tenant->tenants->all, tenant);
	free(tenant);
	return NULL;
}

bool tenant_is_open(const struct tenant *tenant)
{
	return tenant->config || tenant->tenants->config->tenants.count == 0;
}

/* Nodes */

static struct tenant_node *find_node(const struct tenant *tenant, unsigned number)
{
	struct tenant_node *node;

	SLIST_FOREACH (node, &tenant->nodes, link) {
		if (node->number == number)
			return node;
	}
	return NULL;
}

/* By their numbers. */
static void insert_node(struct tenant *tenant, struct tenant_node *node)
{
	struct tenant_node *one, *before = NULL;

	SLIST_FOREACH (one, &tenant->nodes, link) {
		if (one->number < node->number)
			before = one;
	}
	if (before)
		SLIST_INSERT_AFTER(before, node, link);
	else
		SLIST_INSERT_HEAD(&tenant->nodes, node, link);
}

int tenant_of_node(struct tenant *tenant, unsigned number, struct budget **ret)
{
	struct budget *of_all = capacity_of_node(tenant->tenants->capacity, number);
	struct tenant_node *node = find_node(tenant, number);

	*ret = NULL;
	if (!of_all)
		return 0;
	if (!node) {
		node = malloc(sizeof *node);
		if (!node)
			return -ENOMEM;
		*node = (struct tenant_node){.number = number,
			.budget = {.scope = "tenant", .limit = BUDGET_UNLIMITED, .within = of_all}};
		insert_node(tenant, node);
	}
	*ret = &node->budget;
	return 0;
}

uint64_t tenant_node_reserves(const struct tenant *tenant)
{
	const struct tenant_node *node;
	uint64_t sum = 0;

	SLIST_FOREACH (node, &tenant->nodes, link)
		sum += node->budget.reserve;
	return sum;
}

uint64_t tenant_node_left(const struct tenant *tenant, unsigned number)
{
	const struct tenant_node *node = find_node(tenant, number);

	return node ? budget_known_above(&node->budget) - node->budget.committed : 0;
}

/* What the configuration says. */

static uint64_t reserve_of(const struct config_tenant *config, uint64_t memory_total)
{
	return config ? config_bytes(&config->reserve, memory_total) : 0;
}

static void follow_settings(struct tenant *tenant)
{
	const struct tenant_override *set = &tenant->set;

	tenant->budget.limit = set->has_limit ? set->limit : tenant->configured_limit;
	budget_set_reserve_anyway(
		&tenant->budget, set->has_reserve ? set->reserve : tenant->configured_reserve);
}

/* NULL stands for one that has nothing. */
static uint64_t known_with(const struct budget *budget, uint64_t reserve)
{
	return budget && budget->committed > reserve ? budget->committed : reserve;
}

static const struct budget *budget_of(const struct tenant *tenant, int node)
{
	struct tenant_node *found;

	if (!tenant || node == NODE_ANY)
		return tenant ? &tenant->budget : NULL;
	found = find_node(tenant, (unsigned)node);
	return found ? &found->budget : NULL;
}

static uint64_t reserve_there(const struct config_tenant *config, int node, uint64_t memory_total)
{
	return node == NODE_ANY ? reserve_of(config, memory_total)
				: config_tenant_node_reserve(config, (unsigned)node);
}

/* Whether the host, or its node, whose limit will be that, has what it would have to give beyond
 * what it has given; else whose reserve grows. */
static bool fits(struct tenants *tenants, const struct config *config, uint64_t memory_total,
	const struct budget *level, int node, uint64_t limit, struct tenants_refused *ret_refused)
{
	const struct config_tenant *grows = NULL;
	uint64_t committed = level->committed;
	struct tenant *tenant;

	RB_FOREACH (tenant, tenant_tree, &tenants->all) {
		const struct budget *budget = budget_of(tenant, node);

		committed -= budget ? budget_known_above(budget) - budget->committed : 0;
	}
	for (unsigned i = 0; i < config->tenants.count; i++) {
		const struct config_tenant *next = config->tenants.all[i];
		const struct budget *budget = budget_of(tenants_find(tenants, next->name), node);
		uint64_t reserve = reserve_there(next, node, memory_total);

		committed += known_with(budget, reserve) - known_with(budget, 0);
		if (reserve > (budget ? budget->reserve : 0))
			grows = next;
	}
	if (!grows || level->lifted || committed <= limit)
		return true;
	*ret_refused = (struct tenants_refused){grows, node};
	return false;
}

static bool all_fit(struct tenants *tenants, const struct config *config, uint64_t memory_total,
	struct tenants_refused *ret_refused)
{
	const struct capacity *capacity = tenants->capacity;
	bool fit = fits(tenants, config, memory_total, &capacity->host, NODE_ANY,
		config_capacity(config, memory_total), ret_refused);

	for (size_t i = 0; fit && i < capacity->n_nodes; i++) {
		const struct capacity_node *node = capacity->nodes[i];

		fit = fits(tenants, config, memory_total, &node->budget, (int)node->number,
			capacity_node_limit(capacity, node, config, memory_total), ret_refused);
	}
	return fit;
}

static int make_nodes(struct tenant *tenant, const struct config_tenant *config)
{
	const struct config_list *list = &config->node_reserve;
	struct budget *budget;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < list->count; i++)
		r = tenant_of_node(tenant, list->ids[i], &budget);
	return r;
}

static int make_missing(struct tenants *tenants, const struct config *config)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < config->tenants.count; i++) {
		const struct config_tenant *next = config->tenants.all[i];
		struct tenant *tenant = tenants_find(tenants, next->name);

		if (!tenant)
			tenant = tenant_new(tenants, next->name);
		r = tenant ? make_nodes(tenant, next) : -ENOMEM;
	}
	return r;
}

/* config: NULL where there is none any more. */
static void reserve_nodes(struct tenant *tenant, const struct config_tenant *config)
{
	struct tenant_node *node;

	SLIST_FOREACH (node, &tenant->nodes, link)
		budget_set_reserve_anyway(&node->budget,
			config ? config_tenant_node_reserve(config, node->number) : 0);
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
		reserve_nodes(tenant, config);
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
		reserve_nodes(tenant, NULL);
		tenant_unref(tenant);
	}
}

int tenants_configure(struct tenants *tenants, const struct config *config, uint64_t memory_total,
	struct tenants_refused *ret_refused)
{
	if (!all_fit(tenants, config, memory_total, ret_refused))
		return -ENOSPC;
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
		reserve_nodes(tenant, NULL);
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
		budget_set_reserve_anyway(&tenant->budget, before);
	return refused;
}
