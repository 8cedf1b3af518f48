/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pressure of a tenant's own: its VMs have more pages than its limit allows, as where that was
 * lowered, or tasks of the cgroup that it names have waited for memory. Then its VMs alone are
 * asked, at most once in each deadline of [pressure], for what is beyond the limit, or for a
 * twentieth of what they have.
 *
 * And what its reserve and its priority are worth where the host has pressure.
 */
#pragma once

#include "daemon/gmemd.h"

struct tenant_pressure;

/* It watches no cgroup before it follows the configuration. -ENOMEM. */
int tenant_pressure_new(struct gmemd *gmemd, struct tenant_pressure **ret);
/* No job for the page worker may be left. Takes NULL, returns NULL. */
struct tenant_pressure *tenant_pressure_free(struct tenant_pressure *pressure);

/* To be called about each second. */
void tenant_pressure_look(struct tenant_pressure *pressure);
/* The tenant is looked at now. */
void tenant_pressure_ask(struct tenant_pressure *pressure, struct tenant *tenant);
/* The settings of tenants have changed. A cgroup whose pressure can't be watched is named in the
 * log. */
void tenant_pressure_follow_config(struct tenant_pressure *pressure);
/* No successor is to find any of it. */
void tenant_pressure_drop(struct tenant_pressure *pressure);

/* What a VM can give: not what it has said that it can't do without. */
uint64_t vm_can_give(const struct vm *vm);
/* How many pages the VMs of each tenant have, and can give, as they were last counted. */
void tenants_measure(struct tenants *tenants);
/* Its part, since then, of what its tenant has beyond the reserve. */
uint64_t vm_gives_beyond_reserve(const struct vm *vm);
unsigned tenant_priority(const struct tenant *tenant);
