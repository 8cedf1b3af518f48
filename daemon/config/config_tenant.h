/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tenants, as the sections [tenant NAME] have them: who each is, and what it may have.
 *
 * A peer is of the first tenant, in the order in which their sections first appear, of which it has
 * all that is said: one of its users, if any are named, one of its groups, and so on. One of which
 * nothing is said has only what operators bring to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config/config.h"
#include "daemon/config/config_fault.h"
#include "daemon/config/config_list.h"
#include "daemon/config/config_setting.h"

/* libinih keeps 49 bytes of a section's name. */
#define CONFIG_SECTION_MAX 49
#define TENANT_SECTION     "tenant "
#define TENANT_NAME_MAX    (CONFIG_SECTION_MAX - 7)
#define TENANT_NAME_SIZE   (TENANT_NAME_MAX + 1)
/* The one of those that are of no other. */
#define TENANT_DEFAULT "default"

#define CONFIG_TENANTS_MAX         4096
#define CONFIG_TENANT_SETTINGS_MAX 24
/* A tenant's reserve may be there by nodes on so many. */
#define CONFIG_RESERVE_NODES_MAX 256
/* Of a number: it is not set. */
#define CONFIG_NO_NUMBER UINT64_MAX

#define CONFIG_PRIORITY_DEFAULT 50

struct config_tenant {
	char name[TENANT_NAME_SIZE];
	struct config_origin origin; /* of its section */
	/* Who it is. */
	struct config_list users, groups, units, cgroups, labels;
	/* What it may have. */
	struct config_amount limit, reserve, vm_limit;
	uint64_t vms, memories, connections, requests;
	uint64_t memories_per_vm, slots_per_vm, private_ranges_per_vm;
	struct config_list node_reserve; /* what of the reserve is there on which node */
	struct config_list types, nodes;
	enum gate_policy gate;
	/* Under pressure, those of a lower one are asked first. */
	uint64_t priority;
	struct config_list pressure_cgroup; /* one, or none */
	struct config_origin origins[CONFIG_TENANT_SETTINGS_MAX];
};

/* The settings of each, in struct config_tenant. */
extern const struct config_setting config_tenant_settings[];
extern const unsigned config_tenant_settings_count;

/* Frees what was read into it. */
void config_tenants_clear(struct config_tenants *tenants);

/* Whether the section is a tenant's. */
bool config_section_is_tenant(const char *section);
/* The section begins; NULL where it can't be one, and what is wrong is noted. */
struct config_tenant *config_tenants_section(struct config_tenants *tenants, const char *section,
	const struct config_origin *origin, struct config_faults *faults);
/* All were read: whether they can be together. */
void config_tenants_check(struct config *config, struct config_faults *faults);

/* NULL where there is none. */
const struct config_tenant *config_tenant_find(
	const struct config_tenants *tenants, const char *name);
/* The first tenant, in their order and from that place on, that names the user or none at all: its
 * place; count where there is none. */
unsigned config_tenant_of_user(const struct config_tenants *tenants, uint32_t uid, unsigned from);
/* NULL where there is none of that name. */
const struct config_setting *config_tenant_setting_find(const char *name);
/* The name of a user's own, which no section has. */
void tenant_name_of_user(uid_t uid, char ret[static TENANT_NAME_SIZE]);
/* "a, b, c" */
void config_tenant_setting_names(char *ret, size_t size);
/* Bytes of the node that are always there for it. */
uint64_t config_tenant_node_reserve(const struct config_tenant *tenant, unsigned node);
/* Whether a file says it. */
bool config_tenant_is_set(const struct config_tenant *tenant, const void *member);
/* Whether anything says who it is. */
bool config_tenant_has_rules(const struct config_tenant *tenant);
