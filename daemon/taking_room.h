/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many takers there may be: of an owner, of a user, on the host; and who waits for one of them
 * to go.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config.h"
#include "kernel/tree.h"

/* One that waits, and one that could go: members of what the starter has for an owner, and for a
 * taker. */
struct taking_waiter {
	TAILQ_ENTRY(taking_waiter) link;
	struct taking_scope *scope; /* that it waits for; NULL: none */
};
struct taking_idler {
	TAILQ_ENTRY(taking_idler) in_user, on_host;
	bool idle;
};

TAILQ_HEAD(taking_waiter_list, taking_waiter);
TAILQ_HEAD(taking_idler_list, taking_idler);

struct taking_scope {
	const char *limit_name; /* the setting's */
	const char *name;
	uint64_t limit;
	uint64_t count, hung;
	struct taking_waiter_list waiting;
	struct taking_idler_list idle; /* the one that is so longest first; none of an owner's */
};

struct taking_user {
	RB_ENTRY(taking_user) link;
	uid_t uid;
	unsigned n_owners;
	struct taking_scope scope;
};

RB_HEAD(taking_user_tree, taking_user);

struct taking_room {
	const struct config *config;
	struct taking_scope host;
	struct taking_user_tree users;
};

/* What one taker counts against. */
struct taking_room_of_owner {
	struct taking_room *room;
	struct taking_user *user;
	struct taking_scope owner;
};

void taking_room_init(struct taking_room *room, const struct config *config);
/* is_vm: what the owner is; else it is the user. False where there is no memory. */
bool taking_room_open(
	struct taking_room *room, uid_t uid, bool is_vm, struct taking_room_of_owner *ret);
/* Nothing of the owner's is counted any more. */
void taking_room_close(struct taking_room_of_owner *owner);

/* So many more takers, and so many more of them that hang. */
void taking_room_count(struct taking_room_of_owner *owner, int more, int more_hung);
/* What leaves no room for another; NULL where there is room. */
struct taking_scope *taking_room_full(struct taking_room_of_owner *owner);
/* Whether none of those that count will ever make room. */
bool taking_scope_hangs(const struct taking_scope *scope);

void taking_room_set_idle(
	struct taking_room_of_owner *owner, struct taking_idler *idler, bool idle);
/* scope: NULL where it waits no more. */
void taking_waiter_set(struct taking_waiter *waiter, struct taking_scope *scope);
