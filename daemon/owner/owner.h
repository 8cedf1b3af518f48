/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners: who is charged for what gmemd holds and does.
 *
 * There are four levels: a tenant that the configuration has; within it a user; within that each
 * unit of systemd's, a machine's scope or a service, whose cgroup its processes were in when they
 * connected; and within that each VM's process, beside all that is of no VM. A user that is a
 * tenant by itself, as all are where the configuration has none, is of the first level at once.
 * Operators are a user of their own, whoever they are, and so is gmemd. An owner is one of the last
 * level.
 * Turns are taken between tenants, then between a tenant's users, then between a user's units, then
 * between a unit's owners; what is charged counts at each level.
 *
 * An owner exists as long as anybody refers to it or anything is charged to it. It is found again
 * by its name, by a successor too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config/config_tenant.h"
#include "daemon/owner/limit.h"
#include "daemon/owner/share.h"

enum owner_kind {
	OWNER_IS_USER,
	OWNER_IS_OPERATOR, /* who connected to admin.sock */
	OWNER_IS_GMEMD,    /* what nobody has asked for */
};

/* A unit's name, as long as it is stored anywhere; longer ones are cut and have a hash. */
#define OWNER_UNIT_BYTES_MAX 128

struct owner_name {
	enum owner_kind kind;
	char tenant[TENANT_NAME_SIZE]; /* "": the user is one by itself */
	uid_t uid;
	char unit[OWNER_UNIT_BYTES_MAX + 1]; /* "": none */
	uint64_t vm;                         /* its number; 0: of no VM */
};

enum owner_resource {
	OWNER_PEERS,
	OWNER_VMS,
	OWNER_MEMORIES,
	OWNER_TAKERS,
	OWNER_TAKERS_OF_USER, /* the same, within the user's limit */
	OWNER_PREALLOCATIONS,
	OWNER_PREALLOCATIONS_ON_HOST, /* the same, within the host's limit */
	OWNER_RECORDS,                /* of the ledger of peers, for what is owed */
	OWNER_IN_FLIGHT,              /* requests that are answered later */
	OWNER_RESOURCES
};

/* Where turns are taken. */
enum owner_tree {
	OWNER_ENDS,        /* in the loop: releasing VMs whose process has ended */
	OWNER_REQUESTS,    /* in the loop: all else */
	OWNER_DEAD_PAGES,  /* in the page worker: the pages of such VMs */
	OWNER_TAKEN_PAGES, /* in the page worker: what operators have given back of it */
	OWNER_PAGES,       /* in the page worker: all else */
	OWNER_TAKERS_ROOM, /* who waits for a taker to go before there is room for another */
	OWNER_TREES
};

struct owner;
struct owners;

/* config must outlive it. -ENOMEM. */
int owners_new(const struct config *config, struct owners **ret);
/* Takes NULL, returns NULL. What is still charged then is never given back. */
struct owners *owners_free(struct owners *owners);
/* Whether there is any owner. */
bool owners_any(const struct owners *owners);
/* While what a predecessor had is taken back, no limit refuses. */
void owners_lift_limits(struct owners *owners, bool lifted);
/* How many threads may be at owners' work at once, where each can be kept waiting by who is served:
 * a gmemd that may have few files has few. */
unsigned owners_threads(const struct owners *owners);
/* The root of the tenants' nodes, or of the operators'. */
struct share_node *owners_root(struct owners *owners, enum owner_tree tree, bool of_operators);

/* The owner of that name: a reference. -ENOMEM. */
int owner_get(struct owners *owners, const struct owner_name *name, struct owner **ret);
/* The one of a VM that somebody opens for a user, of the same unit. A reference. -ENOMEM. */
int owner_get_of_vm(struct owner *opener, uid_t uid, uint64_t vm, struct owner **ret);
/* Where an owner would be of another tenant, "" for none of the configuration's. A reference.
 * -ENOMEM. */
int owner_get_place(struct owner *owner, const char *tenant, struct owner **ret_place);
/* Which limit has no room there for all that the owner is charged; LIMITS: none. What one of
 * several may have at most is no matter: it is an operator who moves it. */
enum limit owner_move_refused(const struct owner *owner, const struct owner *place);
/* It is there from now on, by another name, with its work and all that it is charged. */
void owner_move(struct owner *owner, struct owner *consume_place);
struct owner *owner_ref(struct owner *owner);
/* Takes NULL, returns NULL. */
struct owner *owner_unref(struct owner *owner);

struct owner_name owner_name(const struct owner *owner);
/* The name of its tenant, as it is shown. */
void owner_tenant(const struct owner *owner, char ret[static TENANT_NAME_SIZE]);
uid_t owner_uid(const struct owner *owner);
/* Where its work waits. */
struct share_node *owner_node(struct owner *owner, enum owner_tree tree);

/*
 * Charges one, which is a reference until it is given back. -EDQUOT where owner_limit() is reached,
 * or what the tenant may have. A unit has at most half of what its user's other units have left of
 * the user's limit, a tenant at most half of what other tenants have left of the host's, and a user
 * at most half of what its tenant's other users have left of the tenant's: so however many are
 * hostile, the next one finds something.
 */
int owner_charge(struct owner *owner, enum owner_resource resource);
/* The same of several, all or none. */
int owner_charge_many(struct owner *owner, enum owner_resource resource, uint64_t count);
/* Charges one, whatever the limits. */
void owner_charge_anyway(struct owner *owner, enum owner_resource resource);
/* Moves the charge of one to another owner, whatever the limits. Returns that owner. */
struct owner *owner_hand_over(struct owner *owner, enum owner_resource resource, struct owner *to);
/* Takes NULL, returns NULL. */
struct owner *owner_give_back(struct owner *owner, enum owner_resource resource);
struct owner *owner_give_back_many(
	struct owner *owner, enum owner_resource resource, uint64_t count);
/* How many the owner alone is charged. */
uint64_t owner_holds(const struct owner *owner, enum owner_resource resource);
enum limit owner_limit(enum owner_resource resource);
/* Which limit one more would be refused by: its tenant's, where that has no room, or that one. */
enum limit owner_limit_reached(const struct owner *owner, enum owner_resource resource);
/* Whether one more would be refused. */
bool owner_is_full(const struct owner *owner, enum owner_resource resource);
/* The same, if the holder of one had given it back. */
bool owner_is_full_without(
	const struct owner *owner, enum owner_resource resource, struct owner *holder);
/* What the configuration has of its tenant; NULL: nothing. */
const struct config_tenant *owner_tenant_config(const struct owner *owner);

/* A unit's name as an owner_name has it: whole, or cut with a hash of all of it. */
void owner_write_unit(char ret[static OWNER_UNIT_BYTES_MAX + 1], const char *unit);
