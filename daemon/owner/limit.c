/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits. See limit.h.
 */
#include "daemon/owner/limit.h"

#include <stddef.h>

static const struct {
	const char *name, *scope;
	size_t setting;        /* where it is in the configuration, unless */
	uint64_t fixed;        /* it has this value; CONFIG_NO_NUMBER: there is none */
	size_t tenant_setting; /* where a tenant has its own; 0: it has none */
} limits[LIMITS] = {
	[LIMIT_PEERS_PER_USER] = {"peers-per-user", "user",
		.setting = offsetof(struct config, peers_per_user)},
	[LIMIT_VMS_PER_USER] = {"vms-per-user", "user",
		.setting = offsetof(struct config, vms_per_user)},
	[LIMIT_MEMORIES_PER_USER] = {"memories-per-user", "user",
		.setting = offsetof(struct config, memories_per_user)},
	[LIMIT_PREALLOCATIONS_PER_USER] = {"preallocations-per-user", "user",
		.setting = offsetof(struct config, preallocations_per_user)},
	[LIMIT_MEMORIES_PER_VM] = {"memories-per-vm", "vm",
		.setting = offsetof(struct config, memories_per_vm),
		.tenant_setting = offsetof(struct config_tenant, memories_per_vm)},
	[LIMIT_CLOSED_MEMORIES_PER_VM] = {"closed-memories-per-vm", "vm",
		.setting = offsetof(struct config, closed_memories_per_vm)},
	[LIMIT_CLOSED_MEMORIES_PER_USER] = {"closed-memories-per-user", "user",
		.setting = offsetof(struct config, closed_memories_per_user)},
	[LIMIT_SLOTS_PER_VM] = {"slots-per-vm", "vm",
		.setting = offsetof(struct config, slots_per_vm),
		.tenant_setting = offsetof(struct config_tenant, slots_per_vm)},
	[LIMIT_GRANTS_PER_VM] = {"grants-per-vm", "vm",
		.setting = offsetof(struct config, grants_per_vm)},
	[LIMIT_PRIVATE_RANGES_PER_VM] = {"private-ranges-per-vm", "vm",
		.setting = offsetof(struct config, private_ranges_per_vm),
		.tenant_setting = offsetof(struct config_tenant, private_ranges_per_vm)},
	[LIMIT_PREALLOCATIONS_PER_VM] = {"preallocations-per-vm", "vm",
		.setting = offsetof(struct config, preallocations_per_vm)},
	[LIMIT_PREALLOCATIONS_ON_HOST] = {"preallocations-on-host", "host",
		.setting = offsetof(struct config, preallocations_on_host)},
	[LIMIT_TAKERS_PER_OWNER] = {"takers-per-owner", "user",
		.setting = offsetof(struct config, takers_per_owner)},
	[LIMIT_TAKERS_PER_USER] = {"takers-per-user", "user",
		.setting = offsetof(struct config, takers_per_user)},
	[LIMIT_TAKERS_ON_HOST] = {"takers-on-host", "host",
		.setting = offsetof(struct config, takers_on_host)},
	[LIMIT_RESERVATIONS_ON_HOST] = {"reservations-on-host", "host",
		.setting = offsetof(struct config, reservations_on_host)},
	/* The rest is for the peers themselves. */
	[LIMIT_PEER_RECORDS] = {"peer-records", "host", .fixed = PEER_RECORDS_MAX / 4 * 3},
	[LIMIT_CONNECTIONS_OF_TENANT] = {"connections", "tenant", .fixed = CONFIG_NO_NUMBER,
		.tenant_setting = offsetof(struct config_tenant, connections)},
	[LIMIT_VMS_OF_TENANT] = {"vms", "tenant", .fixed = CONFIG_NO_NUMBER,
		.tenant_setting = offsetof(struct config_tenant, vms)},
	[LIMIT_MEMORIES_OF_TENANT] = {"memories", "tenant", .fixed = CONFIG_NO_NUMBER,
		.tenant_setting = offsetof(struct config_tenant, memories)},
	[LIMIT_REQUESTS_OF_TENANT] = {"requests", "tenant", .fixed = CONFIG_NO_NUMBER,
		.tenant_setting = offsetof(struct config_tenant, requests)},
};

uint64_t limit_value(const struct config *config, enum limit limit)
{
	if (limits[limit].fixed > 0)
		return limits[limit].fixed;
	return *(const uint64_t *)((const char *)config + limits[limit].setting);
}

/* CONFIG_NO_NUMBER: none. */
static uint64_t own_value(const struct config_tenant *tenant, enum limit limit)
{
	if (!tenant || limits[limit].tenant_setting == 0)
		return CONFIG_NO_NUMBER;
	return *(const uint64_t *)((const char *)tenant + limits[limit].tenant_setting);
}

uint64_t limit_value_for(
	const struct config *config, const struct config_tenant *tenant, enum limit limit)
{
	uint64_t value = limit_value(config, limit), own = own_value(tenant, limit);

	return own < value ? own : value;
}

int limit_error_for(struct rpc_error *error, const struct config *config,
	const struct config_tenant *tenant, enum limit limit, const char *why)
{
	uint64_t own = own_value(tenant, limit);

	if (own >= limit_value(config, limit))
		return limit_error(error, config, limit, why);
	return rpc_error_limit(error, why, limits[limit].name, own, "tenant");
}

int limit_error(
	struct rpc_error *error, const struct config *config, enum limit limit, const char *why)
{
	return rpc_error_limit(
		error, why, limits[limit].name, limit_value(config, limit), limits[limit].scope);
}
