/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners. See owner.h.
 */
#include "daemon/owner/owner.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "kernel/base/tree.h"
#include "protocol/methods.h"

_Static_assert(OWNER_UNIT_BYTES_MAX == NAME_BYTES_MAX, "records of names hold units");

/* A host has hundreds of VMs, and any of them may be hostile. */
#define THREADS_MIN      32
#define THREADS_MAX      512
#define FILES_PER_THREAD 64

enum level { LEVEL_HOST, LEVEL_TENANT, LEVEL_USER, LEVEL_UNIT, LEVEL_OWNER };

RB_HEAD(owner_tree_of, owner);

/* Of any level. */
struct owner {
	RB_ENTRY(owner) link;
	struct owners *owners;
	struct owner *parent; /* NULL: a tenant, or a user that is one; else a reference */
	struct owner_tree_of children;
	enum level level;
	uint64_t references;
	uint32_t held[OWNER_RESOURCES];
	struct share_node nodes[OWNER_TREES];
	/* What tells it from its siblings. */
	enum owner_kind kind;
	uid_t uid;
	uint64_t vm;
	const char *name; /* a tenant's or a unit's, which is behind all this; "" */
};

struct owners {
	const struct config *config;
	unsigned threads;
	struct owner_tree_of tenants; /* and users that are tenants */
	struct share_node roots[OWNER_TREES][2];
	uint64_t held[OWNER_RESOURCES];
	bool lifted;
};

static const struct {
	enum limit limit;
	enum level level;     /* that it is of */
	enum limit of_tenant; /* LIMITS: there is none */
} resources[OWNER_RESOURCES] = {
	[OWNER_PEERS] = {LIMIT_PEERS_PER_USER, LEVEL_USER, LIMIT_CONNECTIONS_OF_TENANT},
	[OWNER_VMS] = {LIMIT_VMS_PER_USER, LEVEL_USER, LIMIT_VMS_OF_TENANT},
	[OWNER_MEMORIES] = {LIMIT_MEMORIES_PER_USER, LEVEL_USER, LIMIT_MEMORIES_OF_TENANT},
	[OWNER_TAKERS] = {LIMIT_TAKERS_PER_OWNER, LEVEL_OWNER, LIMITS},
	[OWNER_TAKERS_OF_USER] = {LIMIT_TAKERS_PER_USER, LEVEL_USER, LIMITS},
	[OWNER_PREALLOCATIONS] = {LIMIT_PREALLOCATIONS_PER_USER, LEVEL_USER, LIMITS},
	[OWNER_PREALLOCATIONS_ON_HOST] = {LIMIT_PREALLOCATIONS_ON_HOST, LEVEL_HOST, LIMITS},
	[OWNER_RECORDS] = {LIMIT_PEER_RECORDS, LEVEL_HOST, LIMITS},
	[OWNER_IN_FLIGHT] = {LIMIT_REQUESTS_OF_TENANT, LEVEL_OWNER, LIMIT_REQUESTS_OF_TENANT},
};

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int owner_compare(struct owner *a, struct owner *b)
{
	int r = compare_numbers(a->kind, b->kind);

	if (r == 0)
		r = compare_numbers(a->level, b->level);
	if (r == 0)
		r = compare_numbers(a->uid, b->uid);
	if (r == 0)
		r = compare_numbers(a->vm, b->vm);
	return r == 0 ? strcmp(a->name, b->name) : r;
}

RB_GENERATE_LOCAL(owner_tree_of, owner, link, owner_compare)

/* Each has two, for its gmemd-puncher. */
static unsigned count_threads(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max / FILES_PER_THREAD < THREADS_MIN)
		return THREADS_MIN;
	return files.rlim_max / FILES_PER_THREAD < THREADS_MAX
		       ? (unsigned)(files.rlim_max / FILES_PER_THREAD)
		       : THREADS_MAX;
}

int owners_new(const struct config *config, struct owners **ret)
{
	struct owners *owners = calloc(1, sizeof *owners);

	if (!owners)
		return -ENOMEM;
	owners->config = config;
	owners->threads = count_threads();
	for (unsigned tree = 0; tree < OWNER_TREES; tree++) {
		share_init(&owners->roots[tree][false], NULL);
		share_init(&owners->roots[tree][true], NULL);
	}
	*ret = owners;
	return 0;
}

static void free_all(struct owner_tree_of *tree)
{
	struct owner *owner;

	while ((owner = RB_ROOT(tree))) {
		free_all(&owner->children);
		RB_REMOVE(owner_tree_of, tree, owner);
		free(owner);
	}
}

struct owners *owners_free(struct owners *owners)
{
	if (!owners)
		return NULL;
	free_all(&owners->tenants);
	free(owners);
	return NULL;
}

bool owners_any(const struct owners *owners)
{
	return !RB_EMPTY(&owners->tenants);
}

void owners_lift_limits(struct owners *owners, bool lifted)
{
	owners->lifted = lifted;
}

unsigned owners_threads(const struct owners *owners)
{
	return owners->threads;
}

struct share_node *owners_root(struct owners *owners, enum owner_tree tree, bool of_operators)
{
	return &owners->roots[tree][of_operators];
}

/* Finding */

/* Of threads that do its work at once: a VM has one, a tenant a quarter, a user of several as much
 * as half of that, a unit half of what its user has. */
static unsigned threads_max(const struct owner *owner)
{
	if (owner->kind != OWNER_IS_USER)
		return 4;
	if (owner->level == LEVEL_OWNER)
		return 1;
	return owner->parent ? owner->parent->nodes[0].held_max / 2 : owner->owners->threads / 4;
}

static struct owner *owner_new(struct owners *owners, struct owner *parent, const struct owner *key)
{
	size_t length = strlen(key->name) + 1;
	struct owner *owner = malloc(sizeof *owner + length);

	if (!owner)
		return NULL;
	*owner = *key;
	owner->name = memcpy(owner + 1, key->name, length);
	owner->owners = owners;
	owner->parent = parent ? owner_ref(parent) : NULL;
	for (unsigned tree = 0; tree < OWNER_TREES; tree++) {
		share_init(&owner->nodes[tree],
			parent ? &parent->nodes[tree]
			       : owners_root(owners, tree, key->kind == OWNER_IS_OPERATOR));
		owner->nodes[tree].held_max = (uint16_t)threads_max(owner);
	}
	RB_INSERT(owner_tree_of, parent ? &parent->children : &owners->tenants, owner);
	return owner;
}

/* The one at that level on the way to the name. A reference. NULL without memory. */
static struct owner *get_level(struct owners *owners, struct owner *parent, enum level level,
	const struct owner_name *name)
{
	struct owner key = {.level = level, .kind = name->kind, .name = ""}, *found;

	if (level > LEVEL_USER || (level == LEVEL_USER && name->kind == OWNER_IS_USER))
		key.uid = name->uid;
	if (level == LEVEL_TENANT)
		key.name = name->tenant;
	if (level == LEVEL_UNIT)
		key.name = name->unit;
	if (level == LEVEL_OWNER)
		key.vm = name->vm;
	found = RB_FIND(owner_tree_of, parent ? &parent->children : &owners->tenants, &key);
	if (!found)
		found = owner_new(owners, parent, &key);
	return found ? owner_ref(found) : NULL;
}

static int get_to_level(
	struct owners *owners, const struct owner_name *name, enum level last, struct owner **ret)
{
	enum level first = name->tenant[0] ? LEVEL_TENANT : LEVEL_USER;
	struct owner *parent = NULL;

	for (enum level level = first; level <= last; level++) {
		struct owner *child = get_level(owners, parent, level, name);

		owner_unref(parent); /* the child has it */
		if (!child)
			return -ENOMEM;
		parent = child;
	}
	*ret = parent;
	return 0;
}

int owner_get(struct owners *owners, const struct owner_name *name, struct owner **ret)
{
	return get_to_level(owners, name, LEVEL_OWNER, ret);
}

int owner_get_of_vm(struct owner *opener, uid_t uid, uint64_t vm, struct owner **ret)
{
	struct owner_name name = owner_name(opener);

	name.uid = uid;
	name.vm = vm;
	return owner_get(opener->owners, &name, ret);
}

struct owner *owner_ref(struct owner *owner)
{
	owner->references++;
	return owner;
}

struct owner *owner_unref(struct owner *owner)
{
	while (owner && --owner->references == 0) {
		struct owner *parent = owner->parent;

		for (unsigned tree = 0; tree < OWNER_TREES; tree++)
			assert(!share_waits(&owner->nodes[tree]));
		RB_REMOVE(
			owner_tree_of, parent ? &parent->children : &owner->owners->tenants, owner);
		free(owner);
		owner = parent;
	}
	return NULL;
}

static const struct owner *at_level(const struct owner *owner, enum level level)
{
	while (owner->level > level && owner->parent)
		owner = owner->parent;
	return owner;
}

struct owner_name owner_name(const struct owner *owner)
{
	struct owner_name name = {.kind = owner->kind, .uid = owner->uid, .vm = owner->vm};
	const struct owner *tenant = at_level(owner, LEVEL_TENANT);

	strcpy(name.unit, at_level(owner, LEVEL_UNIT)->name);
	if (tenant->level == LEVEL_TENANT)
		strcpy(name.tenant, tenant->name);
	return name;
}

void owner_tenant(const struct owner *owner, char ret[static TENANT_NAME_SIZE])
{
	const struct owner *tenant = at_level(owner, LEVEL_TENANT);

	if (tenant->level == LEVEL_TENANT)
		strcpy(ret, tenant->name);
	else
		tenant_name_of_user(owner->uid, ret);
}

uid_t owner_uid(const struct owner *owner)
{
	return owner->uid;
}

struct share_node *owner_node(struct owner *owner, enum owner_tree tree)
{
	return &owner->nodes[tree];
}

/* Charges */

/* What one of many may have: half of what the others have left. */
static uint64_t part_of(uint64_t limit, uint64_t all, uint64_t own)
{
	uint64_t others = all - own;

	return others < limit ? (limit - others) / 2 + (limit - others) % 2 : 0;
}

static bool leaves_room(uint64_t all, uint64_t own, uint64_t limit, uint64_t count)
{
	uint64_t part = part_of(limit, all, own);

	return own <= part && count <= part - own;
}

/* What is of no unit is not of one of many, as far as gmemd can tell. */
static bool unit_leaves_room(
	const struct owner *owner, enum owner_resource resource, uint64_t limit, uint64_t count)
{
	const struct owner *user = at_level(owner, LEVEL_USER), *unit = at_level(owner, LEVEL_UNIT);

	return unit->name[0] == '\0' ||
	       leaves_room(user->held[resource], unit->held[resource], limit, count);
}

/* A user of a tenant; limit: the tenant's. */
static bool user_leaves_room(
	const struct owner *owner, enum owner_resource resource, uint64_t limit, uint64_t count)
{
	const struct owner *user = at_level(owner, LEVEL_USER);

	return !user->parent ||
	       leaves_room(user->parent->held[resource], user->held[resource], limit, count);
}

static bool tenant_leaves_room(
	const struct owner *owner, enum owner_resource resource, uint64_t limit, uint64_t count)
{
	uint64_t all = owner->owners->held[resource];
	uint64_t own = at_level(owner, LEVEL_TENANT)->held[resource];

	return leaves_room(all, own, limit, count) &&
	       user_leaves_room(owner, resource, part_of(limit, all, own), count);
}

static uint64_t held_at(const struct owner *owner, enum owner_resource resource, enum level level)
{
	return level == LEVEL_HOST ? owner->owners->held[resource]
				   : at_level(owner, level)->held[resource];
}

const struct config_tenant *owner_tenant_config(const struct owner *owner)
{
	const struct owner *tenant = at_level(owner, LEVEL_TENANT);

	return tenant->level == LEVEL_TENANT
		       ? config_tenant_find(&owner->owners->config->tenants, tenant->name)
		       : NULL;
}

static bool tenant_has_room(const struct owner *owner, enum owner_resource resource, uint64_t count)
{
	const struct config_tenant *tenant = owner_tenant_config(owner);
	uint64_t held, limit = CONFIG_NO_NUMBER;

	if (tenant && resources[resource].of_tenant != LIMITS)
		limit = limit_value_for(
			owner->owners->config, tenant, resources[resource].of_tenant);
	if (limit == CONFIG_NO_NUMBER)
		return true;
	held = at_level(owner, LEVEL_TENANT)->held[resource];
	return held < limit && count <= limit - held &&
	       user_leaves_room(owner, resource, limit, count);
}

static bool has_room(const struct owner *owner, enum owner_resource resource, uint64_t count)
{
	uint64_t limit = limit_value(owner->owners->config, resources[resource].limit);
	enum level level = resources[resource].level;
	uint64_t held = held_at(owner, resource, level);

	if (owner->owners->lifted)
		return true;
	if (!tenant_has_room(owner, resource, count))
		return false;
	if (held >= limit || count > limit - held)
		return false;
	if (level == LEVEL_HOST && !tenant_leaves_room(owner, resource, limit, count))
		return false;
	return level == LEVEL_OWNER || unit_leaves_room(owner, resource, limit, count);
}

static void charge_level(struct owner *owner, enum owner_resource resource, uint64_t count)
{
	owner->references += count;
	owner->owners->held[resource] += count;
	for (; owner; owner = owner->parent)
		owner->held[resource] += count;
}

int owner_charge(struct owner *owner, enum owner_resource resource)
{
	return owner_charge_many(owner, resource, 1);
}

int owner_charge_many(struct owner *owner, enum owner_resource resource, uint64_t count)
{
	if (!has_room(owner, resource, count))
		return -EDQUOT;
	charge_level(owner, resource, count);
	return 0;
}

void owner_charge_anyway(struct owner *owner, enum owner_resource resource)
{
	charge_level(owner, resource, 1);
}

struct owner *owner_hand_over(struct owner *owner, enum owner_resource resource, struct owner *to)
{
	charge_level(to, resource, 1);
	owner_give_back(owner, resource);
	return to;
}

struct owner *owner_give_back(struct owner *owner, enum owner_resource resource)
{
	return owner_give_back_many(owner, resource, 1);
}

struct owner *owner_give_back_many(
	struct owner *owner, enum owner_resource resource, uint64_t count)
{
	if (!owner || count == 0)
		return NULL;
	owner->owners->held[resource] -= count;
	for (struct owner *one = owner; one; one = one->parent) {
		assert(one->held[resource] >= count);
		one->held[resource] -= count;
	}
	owner->references -= count - 1;
	return owner_unref(owner);
}

uint64_t owner_holds(const struct owner *owner, enum owner_resource resource)
{
	return owner->held[resource];
}

enum limit owner_limit(enum owner_resource resource)
{
	return resources[resource].limit;
}

enum limit owner_limit_reached(const struct owner *owner, enum owner_resource resource)
{
	return tenant_has_room(owner, resource, 1) ? resources[resource].limit
						   : resources[resource].of_tenant;
}

bool owner_is_full(const struct owner *owner, enum owner_resource resource)
{
	return !has_room(owner, resource, 1);
}

bool owner_is_full_without(
	const struct owner *owner, enum owner_resource resource, struct owner *holder)
{
	bool full;

	owner_ref(holder);
	owner_give_back(holder, resource);
	full = owner_is_full(owner, resource);
	owner_charge_anyway(holder, resource);
	owner_unref(holder);
	return full;
}

/* Moving */

int owner_get_place(struct owner *owner, const char *tenant, struct owner **ret_place)
{
	struct owner_name name = owner_name(owner);

	snprintf(name.tenant, sizeof name.tenant, "%s", tenant);
	return get_to_level(owner->owners, &name, LEVEL_UNIT, ret_place);
}

static bool passes(const struct owner *place, enum owner_resource resource, enum level level,
	enum limit limit, uint64_t count)
{
	uint64_t most = limit_value_for(place->owners->config, owner_tenant_config(place), limit);
	uint64_t held = at_level(place, level)->held[resource];

	return held > most || count > most - held;
}

static enum limit limit_passed(
	const struct owner *place, enum owner_resource resource, uint64_t count)
{
	enum limit of_tenant = resources[resource].of_tenant, limit = resources[resource].limit;

	if (of_tenant != LIMITS && passes(place, resource, LEVEL_TENANT, of_tenant, count))
		return of_tenant;
	if (resources[resource].level == LEVEL_USER &&
		passes(place, resource, LEVEL_USER, limit, count))
		return limit;
	return LIMITS;
}

enum limit owner_move_refused(const struct owner *owner, const struct owner *place)
{
	enum limit passed = LIMITS;

	for (unsigned i = 0; passed == LIMITS && place != owner->parent && i < OWNER_RESOURCES;
		i++) {
		if (owner->held[i] > 0)
			passed = limit_passed(place, i, owner->held[i]);
	}
	return passed;
}

void owner_move(struct owner *owner, struct owner *consume_place)
{
	struct owner *before = owner->parent;

	RB_REMOVE(owner_tree_of, &before->children, owner);
	RB_INSERT(owner_tree_of, &consume_place->children, owner);
	owner->parent = consume_place;
	for (unsigned i = 0; i < OWNER_RESOURCES; i++) {
		for (struct owner *above = before; above; above = above->parent)
			above->held[i] -= owner->held[i];
		for (struct owner *above = consume_place; above; above = above->parent)
			above->held[i] += owner->held[i];
	}
	for (unsigned tree = 0; tree < OWNER_TREES; tree++)
		share_move(&owner->nodes[tree], &consume_place->nodes[tree]);
	owner_unref(before);
}

/* Names */

/* FNV-1a: names that are long and alike in their beginnings are told apart. */
static uint64_t hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325;

	for (; *text; text++)
		value = (value ^ (unsigned char)*text) * 0x100000001b3;
	return value;
}

void owner_write_unit(char ret[static OWNER_UNIT_BYTES_MAX + 1], const char *unit)
{
	const int kept = OWNER_UNIT_BYTES_MAX - 17;

	if (strlen(unit) <= OWNER_UNIT_BYTES_MAX)
		strcpy(ret, unit);
	else
		snprintf(ret, OWNER_UNIT_BYTES_MAX + 1, "%.*s~%016" PRIx64, kept, unit, hash(unit));
}
