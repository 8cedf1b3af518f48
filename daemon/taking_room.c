/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many takers there may be. See taking_room.h.
 */
#include "daemon/taking_room.h"

#include <stdlib.h>

static int compare_users(struct taking_user *a, struct taking_user *b)
{
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

RB_GENERATE_LOCAL(taking_user_tree, taking_user, link, compare_users)

static void scope_init(
	struct taking_scope *scope, const char *limit_name, const char *name, uint64_t limit)
{
	*scope = (struct taking_scope){.limit_name = limit_name, .name = name, .limit = limit};
	TAILQ_INIT(&scope->waiting);
	TAILQ_INIT(&scope->idle);
}

void taking_room_init(struct taking_room *room, const struct config *config)
{
	room->config = config;
	RB_INIT(&room->users);
	scope_init(&room->host, "takers-on-host", "host", config->takers_on_host);
}

static struct taking_user *user_get(struct taking_room *room, uid_t uid)
{
	struct taking_user key = {.uid = uid};
	struct taking_user *user = RB_FIND(taking_user_tree, &room->users, &key);

	if (user)
		return user;
	user = malloc(sizeof *user);
	if (!user)
		return NULL;
	user->uid = uid;
	user->n_owners = 0;
	scope_init(&user->scope, "takers-per-user", "user", room->config->takers_per_user);
	RB_INSERT(taking_user_tree, &room->users, user);
	return user;
}

bool taking_room_open(
	struct taking_room *room, uid_t uid, bool is_vm, struct taking_room_of_owner *ret)
{
	struct taking_user *user = user_get(room, uid);

	if (!user)
		return false;
	user->n_owners++;
	ret->room = room;
	ret->user = user;
	scope_init(&ret->owner, "takers-per-owner", is_vm ? "vm" : "user",
		room->config->takers_per_owner);
	return true;
}

void taking_room_close(struct taking_room_of_owner *owner)
{
	struct taking_user *user = owner->user;

	if (--user->n_owners > 0)
		return;
	RB_REMOVE(taking_user_tree, &owner->room->users, user);
	free(user);
}

/* The narrowest first. */
#define SCOPES_OF(owner_room)                                                                      \
	{                                                                                          \
		&(owner_room)->owner, &(owner_room)->user->scope, &(owner_room)->room->host, NULL  \
	}

void taking_room_count(struct taking_room_of_owner *owner, int more, int more_hung)
{
	struct taking_scope *scopes[] = SCOPES_OF(owner);

	for (size_t i = 0; scopes[i]; i++) {
		scopes[i]->count += (uint64_t)more;
		scopes[i]->hung += (uint64_t)more_hung;
	}
}

struct taking_scope *taking_room_full(struct taking_room_of_owner *owner)
{
	struct taking_scope *scopes[] = SCOPES_OF(owner);
	size_t i = 0;

	while (scopes[i] && scopes[i]->count < scopes[i]->limit)
		i++;
	return scopes[i];
}

bool taking_scope_hangs(const struct taking_scope *scope)
{
	return scope->hung >= scope->count;
}

void taking_room_set_idle(struct taking_room_of_owner *owner, struct taking_idler *idler, bool idle)
{
	if (idle == idler->idle)
		return;
	idler->idle = idle;
	if (idle) {
		TAILQ_INSERT_TAIL(&owner->user->scope.idle, idler, in_user);
		TAILQ_INSERT_TAIL(&owner->room->host.idle, idler, on_host);
	} else {
		TAILQ_REMOVE(&owner->user->scope.idle, idler, in_user);
		TAILQ_REMOVE(&owner->room->host.idle, idler, on_host);
	}
}

void taking_waiter_set(struct taking_waiter *waiter, struct taking_scope *scope)
{
	if (waiter->scope)
		TAILQ_REMOVE(&waiter->scope->waiting, waiter, link);
	waiter->scope = scope;
	if (scope)
		TAILQ_INSERT_TAIL(&scope->waiting, waiter, link);
}
