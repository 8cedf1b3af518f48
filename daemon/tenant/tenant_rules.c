/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which tenant a peer is of. See tenant_rules.h.
 */
#include "daemon/tenant/tenant_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum match { MATCHES, MATCHES_NOT, MATCH_UNKNOWN };

static const char *const part_names[IDENTITY_PARTS] = {
	[IDENTITY_GROUPS] = "groups",
	[IDENTITY_UNIT] = "systemd unit",
	[IDENTITY_CGROUP] = "cgroup",
	[IDENTITY_LABEL] = "security label",
};

static bool has_group(const struct config_list *list, const struct identity *identity)
{
	bool has = config_list_has(list, identity->process->gid);

	for (size_t i = 0; !has && i < identity->n_groups; i++)
		has = config_list_has(list, identity->groups[i]);
	return has;
}

static bool says(
	const struct config_list *list, enum identity_part part, const struct identity *identity)
{
	switch (part) {
	case IDENTITY_GROUPS:
		return has_group(list, identity);
	case IDENTITY_UNIT:
		return config_list_matches(list, identity->told_unit);
	case IDENTITY_CGROUP:
		return config_list_matches(list, identity->cgroup);
	case IDENTITY_LABEL:
		return config_list_matches(list, identity->label);
	case IDENTITY_PARTS:
		break;
	}
	return false;
}

/* Of one that names the user, if any. What is easy to have comes first: who is not of its unit need
 * not have a label. */
static enum match match_tenant(const struct config_tenant *tenant, struct identity *identity,
	enum identity_part *ret_missing)
{
	const struct config_list *const lists[IDENTITY_PARTS] = {
		[IDENTITY_GROUPS] = &tenant->groups,
		[IDENTITY_UNIT] = &tenant->units,
		[IDENTITY_CGROUP] = &tenant->cgroups,
		[IDENTITY_LABEL] = &tenant->labels,
	};
	enum match match = MATCHES;

	if (!config_tenant_has_rules(tenant))
		return MATCHES_NOT;
	for (enum identity_part part = 0; part < IDENTITY_PARTS; part++) {
		if (lists[part]->count == 0)
			continue;
		if (identity_take(identity, part) != IDENTITY_KNOWN) {
			*ret_missing = part;
			match = MATCH_UNKNOWN;
		} else if (!says(lists[part], part, identity)) {
			return MATCHES_NOT;
		}
	}
	return match;
}

static int refuse_unknown(const struct config_tenant *tenant, const struct identity *identity,
	enum identity_part missing, char ret_reason[static TENANT_REASON_SIZE])
{
	if (identity->states[missing] == IDENTITY_GONE)
		return -ESRCH;
	snprintf(ret_reason, TENANT_REASON_SIZE,
		"its %s can't be had, which the rules of tenant %s need", part_names[missing],
		tenant->name);
	return -EACCES;
}

int tenant_of_peer(const struct config *config, struct identity *identity,
	char ret[static TENANT_NAME_SIZE], char ret_reason[static TENANT_REASON_SIZE])
{
	const struct config_tenants *tenants = &config->tenants;
	enum identity_part missing = IDENTITY_PARTS;
	uid_t uid = identity->process->uid;
	unsigned i;

	ret[0] = '\0';
	if (tenants->count == 0)
		return 0;
	for (i = config_tenant_of_user(tenants, uid, 0); i < tenants->count;
		i = config_tenant_of_user(tenants, uid, i + 1)) {
		const struct config_tenant *tenant = tenants->all[i];
		enum match match = match_tenant(tenant, identity, &missing);

		if (match == MATCH_UNKNOWN)
			return refuse_unknown(tenant, identity, missing, ret_reason);
		if (match == MATCHES) {
			strcpy(ret, tenant->name);
			return 0;
		}
	}
	if (config->others == OTHERS_REFUSED) {
		snprintf(ret_reason, TENANT_REASON_SIZE, "it is of no tenant");
		return -EACCES;
	}
	strcpy(ret, TENANT_DEFAULT);
	return 0;
}

/* Not a section's. */
static bool is_of_user(const char *name)
{
	return strchr(name, ':');
}

int tenant_of_lost_vm(const struct config *config, const struct lost_vm_tenant *vm,
	char ret[static TENANT_NAME_SIZE])
{
	bool of_user = !vm->noted || is_of_user(vm->noted);
	char own[TENANT_NAME_SIZE];

	tenant_name_of_user(vm->uid, own);
	if (config->tenants.count > 0) {
		snprintf(ret, TENANT_NAME_SIZE, "%s", of_user ? vm->of_peer : vm->noted);
		return config_tenant_find(&config->tenants, ret) ? 0 : -EACCES;
	}
	/* An operator may have brought it to another user's. */
	if (vm->noted && of_user && strcmp(vm->noted, own) != 0)
		snprintf(ret, TENANT_NAME_SIZE, "%s", vm->noted);
	else
		ret[0] = '\0';
	return 0;
}
