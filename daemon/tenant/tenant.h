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

#include "daemon/budget/budget.h"
#include "daemon/config/config_tenant.h"
#include "kernel/base/tree.h"

struct vm;

LIST_HEAD(tenant_vms, vm);
RB_HEAD(tenant_tree, tenant);

struct tenant {
	RB_ENTRY(tenant) link;
	struct tenants *tenants;
	char name[TENANT_NAME_SIZE];
	uint64_t references;
	const struct config_tenant *config; /* NULL: the configuration has none of that name */
	struct budget budget;
	struct tenant_vms vms; /* that are seen, or hold anything */
	unsigned n_vms;
};

struct tenants {
	const struct config *config;
	struct budget *host;
	struct tenant_tree all;
	bool lifted;
};

/* Both must outlive it. It has nothing to clear once tenants_clear() was called. */
void tenants_init(struct tenants *tenants, const struct config *config, struct budget *host);
/* Those of the configuration are there no more, unless anybody refers to them. */
void tenants_clear(struct tenants *tenants);

/*
 * The tenants are those of the configuration from now on, on a host with so much memory; the one
 * that tenants_init() was told is to be, or to become, the same. -ENOSPC, and one whose reserve
 * can't be had, for others have it already; -ENOMEM. Then nothing has changed.
 */
int tenants_configure(struct tenants *tenants, const struct config *config, uint64_t memory_total,
	const struct config_tenant **ret_refused);

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

/* Whether VMs may be opened in it. */
bool tenant_is_open(const struct tenant *tenant);
