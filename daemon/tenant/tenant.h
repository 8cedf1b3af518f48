/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tenants: whose VMs are, as a budget and a policy.
 *
 * They are those of the configuration (daemon/config/config_tenant.h); where that has none, each
 * user is one, named "uid:NUMBER". What a peer may see stays by its owner, also within one tenant.
 *
 * A tenant that the configuration has is there; any other as long as anybody refers to it. One that
 * the configuration has no more keeps what it has under the limit that it had, and nothing is
 * opened in it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/base/numa_node.h"
#include "daemon/budget/capacity.h"
#include "daemon/config/config_tenant.h"
#include "kernel/base/tree.h"

struct vm;

LIST_HEAD(tenant_vms, vm);
RB_HEAD(tenant_tree, tenant);

/* What it has of a NUMA node, within what all have of that; without a limit of its own. */
struct tenant_node {
	SLIST_ENTRY(tenant_node) link;
	unsigned number;
	struct budget budget;
};

SLIST_HEAD(tenant_nodes, tenant_node);

/* What an operator has set, which holds in place of what the configuration says. */
struct tenant_override {
	bool has_limit, has_reserve;
	uint64_t limit, reserve;
	uint32_t record; /* see daemon/override/overrides.h; 0: none */
};

struct tenant {
	RB_ENTRY(tenant) link;
	struct tenants *tenants;
	char name[TENANT_NAME_SIZE];
	uint64_t references;
	const struct config_tenant *config; /* NULL: the configuration has none of that name */
	struct budget budget;
	struct tenant_nodes nodes; /* of which it has, or has had, anything */
	/* What they are where nobody has set others. */
	uint64_t configured_limit, configured_reserve;
	struct tenant_override set;
	/* See daemon/pressure/tenant_pressure.h. */
	uint64_t resident, can_give; /* as last measured */
	bool stalled;                /* since it was last asked */
	bool under_pressure;
	bool is_watched;       /* the cgroup that it names */
	uint64_t ask_again;    /* not before */
	struct tenant_vms vms; /* that are seen, or hold anything */
	unsigned n_vms;
};

struct tenants {
	const struct config *config;
	struct capacity *capacity;
	struct tenant_tree all;
	bool lifted;
};

/* Both must outlive it. It has nothing to clear once tenants_clear() was called. */
void tenants_init(struct tenants *tenants, const struct config *config, struct capacity *capacity);
/* Those of the configuration are there no more, unless anybody refers to them. */
void tenants_clear(struct tenants *tenants);

/* Whose reserve can't be had, and where. */
struct tenants_refused {
	const struct config_tenant *tenant;
	int node; /* NODE_ANY: on the host */
};

/*
 * The tenants are those of the configuration from now on, on a host with so much memory; the one
 * that tenants_init() was told is to be, or to become, the same. -ENOSPC, and one whose reserve
 * can't be had, for others have it already; -ENOMEM. Then nothing has changed.
 */
int tenants_configure(struct tenants *tenants, const struct config *config, uint64_t memory_total,
	struct tenants_refused *ret_refused);

/* While what a predecessor had granted is taken back, no limit of theirs refuses. */
void tenants_lift_limits(struct tenants *tenants, bool lifted);

/* NULL where there is none. name may be "uid:NUMBER". */
struct tenant *tenants_find(struct tenants *tenants, const char *name);
/* The first whose name comes after that one, or is it; NULL for none. */
struct tenant *tenants_from(struct tenants *tenants, const char *name);
struct tenant *tenants_next(struct tenant *tenant);
/* A reference to the tenant of that name, "" for the user's own, whether it is configured or not.
 * -ENOMEM. */
int tenants_get(struct tenants *tenants, const char *name, uid_t uid, struct tenant **ret);
struct tenant *tenant_ref(struct tenant *tenant);
/* Takes NULL, returns NULL. */
struct tenant *tenant_unref(struct tenant *tenant);

/* What is charged for what its VMs have on that node, or have reserved there. *ret is NULL where
 * the host has not had such a node with memory. -ENOMEM. */
int tenant_of_node(struct tenant *tenant, unsigned number, struct budget **ret);
/* What of its reserve is by nodes, all together; and how much of that node's is not committed. */
uint64_t tenant_node_reserves(const struct tenant *tenant);
uint64_t tenant_node_left(const struct tenant *tenant, unsigned number);

/* Whether VMs may be opened in it. */
bool tenant_is_open(const struct tenant *tenant);

/* Limit and reserve are as they are set from now on, and the tenant is there as long as they are;
 * or as the configuration has them. No limit of the host's is looked at. */
void tenant_set_override(struct tenant *tenant, const struct tenant_override *set);
/* NULL, or who can't have the reserve that is wanted; then nothing has changed. */
const struct budget *tenant_reserve_refused(struct tenant *tenant, uint64_t reserve);
