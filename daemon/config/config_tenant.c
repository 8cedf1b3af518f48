/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tenants in the configuration. See config_tenant.h.
 */
#include "daemon/config/config_tenant.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_reserve.h"
#include "daemon/config/config_setting.h"

#define AT(member) offsetof(struct config_tenant, member)
#define LIST(name, member, of, max, expected)                                                      \
	{                                                                                          \
		"tenant", name, CONFIG_LIST, AT(member), of, max, expected, false                  \
	}
#define COUNT(name, member)                                                                        \
	{                                                                                          \
		"tenant", name, CONFIG_NUMBER, AT(member), 0, INT64_MAX, "a number", false         \
	}
#define AMOUNT(name, member)                                                                       \
	{                                                                                          \
		"tenant", name, CONFIG_AMOUNT, AT(member), 0, 0,                                   \
			"a number of bytes, such as 2147483648 or 2G, or 0% to 100%", false        \
	}

const struct config_setting config_tenant_settings[] = {
	LIST("users", users, CONFIG_LIST_USERS, CONFIG_LIST_MAX,
		"names of users that /etc/passwd has, or their numbers"),
	LIST("groups", groups, CONFIG_LIST_GROUPS, CONFIG_LIST_MAX,
		"names of groups that /etc/group has, or their numbers"),
	LIST("units", units, CONFIG_LIST_PATTERNS, CONFIG_LIST_MAX, "patterns"),
	LIST("cgroups", cgroups, CONFIG_LIST_PATTERNS, CONFIG_LIST_MAX, "patterns"),
	LIST("labels", labels, CONFIG_LIST_PATTERNS, CONFIG_LIST_MAX, "patterns"),
	AMOUNT("limit", limit),
	AMOUNT("reserve", reserve),
	LIST("node-reserve", node_reserve, CONFIG_LIST_NODE_BYTES, CONFIG_RESERVE_NODES_MAX,
		"numbers of NUMA nodes, each with a number of bytes, such as 0:8G 1:8G"),
	AMOUNT("vm-limit", vm_limit),
	COUNT("vms", vms),
	COUNT("memories", memories),
	COUNT("connections", connections),
	COUNT("requests", requests),
	COUNT("memories-per-vm", memories_per_vm),
	COUNT("slots-per-vm", slots_per_vm),
	COUNT("private-ranges-per-vm", private_ranges_per_vm),
	LIST("types", types, CONFIG_LIST_VM_TYPES, CONFIG_LIST_MAX,
		"names of VM types, or their numbers"),
	{"tenant", "gate", CONFIG_GATE, AT(gate), 0, 0, "required or preferred", false},
	LIST("nodes", nodes, CONFIG_LIST_NODES, CONFIG_LIST_MAX, "numbers of NUMA nodes"),
	{"tenant", "priority", CONFIG_NUMBER, AT(priority), 0, 100, "a number from 0 to 100",
		false},
	LIST("pressure-cgroup", pressure_cgroup, CONFIG_LIST_PATHS, 1,
		"a cgroup's path, as /gold.slice"),
};

const unsigned config_tenant_settings_count =
	sizeof config_tenant_settings / sizeof *config_tenant_settings;

_Static_assert(sizeof config_tenant_settings / sizeof *config_tenant_settings <=
		       CONFIG_TENANT_SETTINGS_MAX,
	"origins");

static const struct config_tenant tenant_defaults = {
	.limit = {CONFIG_NO_NUMBER, /* percent= */ false},
	.vm_limit = {CONFIG_NO_NUMBER, /* percent= */ false},
	.vms = CONFIG_NO_NUMBER,
	.memories = CONFIG_NO_NUMBER,
	.connections = CONFIG_NO_NUMBER,
	.requests = CONFIG_NO_NUMBER,
	.memories_per_vm = CONFIG_NO_NUMBER,
	.slots_per_vm = CONFIG_NO_NUMBER,
	.private_ranges_per_vm = CONFIG_NO_NUMBER,
	.priority = CONFIG_PRIORITY_DEFAULT,
};

static void tenant_free(struct config_tenant *tenant)
{
	for (unsigned i = 0; i < config_tenant_settings_count; i++) {
		const struct config_setting *setting = &config_tenant_settings[i];

		if (setting->type == CONFIG_LIST)
			config_list_clear((void *)((char *)tenant + setting->at));
	}
	free(tenant);
}

void config_tenants_clear(struct config_tenants *tenants)
{
	for (unsigned i = 0; i < tenants->count; i++)
		tenant_free(tenants->all[i]);
	free(tenants->all);
	free(tenants->by_name);
	free(tenants->users);
	*tenants = (struct config_tenants){.count = 0};
}

/* Sections */

bool config_section_is_tenant(const char *section)
{
	return strncmp(section, TENANT_SECTION, strlen(TENANT_SECTION)) == 0;
}

static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	return name[0] && strlen(name) <= TENANT_NAME_MAX && name[strspn(name, allowed)] == '\0';
}

/* The section that goes on is mostly the last. */
static struct config_tenant *find(const struct config_tenants *tenants, const char *name)
{
	for (unsigned i = tenants->count; i > 0; i--) {
		if (strcmp(tenants->all[i - 1]->name, name) == 0)
			return tenants->all[i - 1];
	}
	return NULL;
}

static struct config_tenant *add(struct config_tenants *tenants, const char *name)
{
	struct config_tenant **all = reallocarray(tenants->all, tenants->count + 1, sizeof *all);
	struct config_tenant *tenant;

	if (!all)
		return NULL;
	tenants->all = all;
	tenant = malloc(sizeof *tenant);
	if (!tenant)
		return NULL;
	*tenant = tenant_defaults;
	strcpy(tenant->name, name);
	all[tenants->count++] = tenant;
	return tenant;
}

struct config_tenant *config_tenants_section(struct config_tenants *tenants, const char *section,
	const struct config_origin *origin, struct config_faults *faults)
{
	const char *name = section + strlen(TENANT_SECTION);
	struct config_tenant *tenant;

	name += strspn(name, " \t");
	if (!is_name(name)) {
		config_faults_add(faults, origin->line, "",
			"must be [tenant NAME], a name of 1 to %d letters, digits, '.', '_' and "
			"'-'",
			TENANT_NAME_MAX);
		return NULL;
	}
	tenant = find(tenants, name);
	if (tenant)
		return tenant;
	if (tenants->count == CONFIG_TENANTS_MAX)
		config_faults_add(faults, origin->line, "", "there must be at most %d tenants",
			CONFIG_TENANTS_MAX);
	else if (!(tenant = add(tenants, name)))
		config_faults_add(faults, origin->line, "", "%s", strerror(ENOMEM));
	else
		tenant->origin = *origin;
	return tenant;
}

/* All together */

static int compare_names(const void *a, const void *b)
{
	const struct config_tenant *const *one = a, *const *other = b;

	return strcmp((*one)->name, (*other)->name);
}

static bool sort(struct config_tenants *tenants)
{
	struct config_tenant **sorted;

	if (tenants->count == 0)
		return true;
	sorted = reallocarray(NULL, tenants->count, sizeof *sorted);
	if (!sorted)
		return false;
	memcpy(sorted, tenants->all, tenants->count * sizeof *sorted);
	qsort(sorted, tenants->count, sizeof *sorted, compare_names);
	tenants->by_name = sorted;
	return true;
}

static int compare_users(const void *a, const void *b)
{
	const struct config_user *one = a, *other = b;

	if (one->uid != other->uid)
		return one->uid < other->uid ? -1 : 1;
	return one->tenant < other->tenant ? -1 : one->tenant > other->tenant;
}

static unsigned count_users(const struct config_tenants *tenants)
{
	unsigned count = 0;

	for (unsigned i = 0; i < tenants->count; i++) {
		unsigned named = tenants->all[i]->users.count;

		count += named > 0 ? named : 1;
	}
	return count;
}

static void list_users(
	const struct config_tenant *tenant, unsigned place, struct config_tenants *tenants)
{
	struct config_user *next = &tenants->users[tenants->n_users];

	if (tenant->users.count == 0) {
		*next = (struct config_user){CONFIG_ANY_USER, place};
		tenants->n_users++;
	}
	for (unsigned i = 0; i < tenant->users.count; i++)
		*next++ = (struct config_user){tenant->users.ids[i], place};
	tenants->n_users += tenant->users.count;
}

/* So that a peer is not compared with each tenant. */
static bool sort_users(struct config_tenants *tenants)
{
	if (tenants->count == 0)
		return true;
	tenants->users = reallocarray(NULL, count_users(tenants), sizeof *tenants->users);
	if (!tenants->users)
		return false;
	for (unsigned i = 0; i < tenants->count; i++)
		list_users(tenants->all[i], i, tenants);
	qsort(tenants->users, tenants->n_users, sizeof *tenants->users, compare_users);
	return true;
}

static void check_default(struct config *config, struct config_faults *faults)
{
	const struct config_tenant *tenant = find(&config->tenants, TENANT_DEFAULT);

	if (!tenant || !config_tenant_has_rules(tenant))
		return;
	config_faults_of_file(faults, config->paths.all[tenant->origin.file]);
	config_faults_add(faults, tenant->origin.line, "",
		"[tenant " TENANT_DEFAULT "] must not say who it is: whoever is of no other "
		"tenant is of it");
}

/* Whoever is of no other tenant is of one, unless they are refused. */
static bool add_default(struct config *config)
{
	struct config_tenants *tenants = &config->tenants;

	return tenants->count == 0 || config->others == OTHERS_REFUSED ||
	       find(tenants, TENANT_DEFAULT) || add(tenants, TENANT_DEFAULT);
}

void config_tenants_check(struct config *config, struct config_faults *faults)
{
	check_default(config, faults);
	if (!add_default(config) || !sort(&config->tenants) || !sort_users(&config->tenants))
		config_faults_add(faults, 0, "", "%s", strerror(ENOMEM));
	if (config->tenants.count > 0)
		config_reserves_check(config, faults);
}

/* What they say */

/* Of that number, the first from that place on. */
static unsigned find_user(const struct config_tenants *tenants, uint32_t uid, unsigned from_place)
{
	const struct config_user wanted = {uid, from_place};
	unsigned from = 0, to = tenants->n_users;

	while (from < to) {
		unsigned middle = from + (to - from) / 2;

		if (compare_users(&tenants->users[middle], &wanted) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from < tenants->n_users && tenants->users[from].uid == uid
		       ? tenants->users[from].tenant
		       : tenants->count;
}

unsigned config_tenant_of_user(const struct config_tenants *tenants, uint32_t uid, unsigned from)
{
	unsigned named = find_user(tenants, uid, from);
	unsigned any = find_user(tenants, CONFIG_ANY_USER, from);

	return named < any ? named : any;
}

const struct config_tenant *config_tenant_find(
	const struct config_tenants *tenants, const char *name)
{
	unsigned from = 0, to = tenants->count;

	while (from < to) {
		unsigned middle = from + (to - from) / 2;
		int order = strcmp(name, tenants->by_name[middle]->name);

		if (order == 0)
			return tenants->by_name[middle];
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
}

void tenant_name_of_user(uid_t uid, char ret[static TENANT_NAME_SIZE])
{
	snprintf(ret, TENANT_NAME_SIZE, "uid:%u", uid);
}

const struct config_setting *config_tenant_setting_find(const char *name)
{
	for (unsigned i = 0; i < config_tenant_settings_count; i++) {
		if (strcmp(config_tenant_settings[i].name, name) == 0)
			return &config_tenant_settings[i];
	}
	return NULL;
}

void config_tenant_setting_names(char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < config_tenant_settings_count && used < size; i++)
		used += (size_t)snprintf(ret + used, size - used, "%s%s", used > 0 ? ", " : "",
			config_tenant_settings[i].name);
}

uint64_t config_tenant_node_reserve(const struct config_tenant *tenant, unsigned node)
{
	for (unsigned i = 0; i < tenant->node_reserve.count; i++) {
		if (tenant->node_reserve.ids[i] == node)
			return config_list_bytes(&tenant->node_reserve, i);
	}
	return 0;
}

bool config_tenant_is_set(const struct config_tenant *tenant, const void *member)
{
	size_t at = (size_t)((const char *)member - (const char *)tenant);

	for (unsigned i = 0; i < config_tenant_settings_count; i++) {
		if (config_tenant_settings[i].at == at)
			return tenant->origins[i].source == CONFIG_FROM_FILE;
	}
	return false;
}

bool config_tenant_has_rules(const struct config_tenant *tenant)
{
	return tenant->users.count + tenant->groups.count + tenant->units.count +
		       tenant->cgroups.count + tenant->labels.count >
	       0;
}
