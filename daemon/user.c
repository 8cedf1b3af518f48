/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users. See user.h.
 */
#include "daemon/user.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "kernel/tree.h"

struct user {
	RB_ENTRY(user) link;
	struct users *users;
	uid_t uid;
	uint64_t held[USER_RESOURCES];
};

RB_HEAD(user_tree, user);

struct users {
	struct user_tree tree;
	uint64_t limits[USER_RESOURCES];
	bool lifted;
};

static int user_compare(struct user *a, struct user *b)
{
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

RB_GENERATE_LOCAL(user_tree, user, link, user_compare)

int users_new(const struct config *config, struct users **ret)
{
	struct users *users = calloc(1, sizeof *users);

	if (!users)
		return -ENOMEM;
	RB_INIT(&users->tree);
	users->limits[USER_PEERS] = config->peers_per_user;
	users->limits[USER_VMS] = config->vms_per_user;
	users->limits[USER_MEMORIES] = config->memories_per_user;
	*ret = users;
	return 0;
}

struct users *users_free(struct users *users)
{
	struct user *user, *next;

	if (!users)
		return NULL;
	RB_FOREACH_SAFE (user, user_tree, &users->tree, next) {
		RB_REMOVE(user_tree, &users->tree, user);
		free(user);
	}
	free(users);
	return NULL;
}

static int user_get(struct users *users, uid_t uid, struct user **ret)
{
	struct user key = {.uid = uid};
	struct user *user = RB_FIND(user_tree, &users->tree, &key);

	if (!user) {
		user = calloc(1, sizeof *user);
		if (!user)
			return -ENOMEM;
		user->users = users;
		user->uid = uid;
		RB_INSERT(user_tree, &users->tree, user);
	}
	*ret = user;
	return 0;
}

static void user_free_unused(struct user *user)
{
	for (unsigned resource = 0; resource < USER_RESOURCES; resource++) {
		if (user->held[resource] > 0)
			return;
	}
	RB_REMOVE(user_tree, &user->users->tree, user);
	free(user);
}

int user_charge(struct users *users, uid_t uid, enum user_resource resource, struct user **ret)
{
	struct user *user;
	int r = user_get(users, uid, &user);

	if (r < 0)
		return r;
	if (user->held[resource] >= users->limits[resource] && !users->lifted) {
		user_free_unused(user);
		return -EDQUOT;
	}
	user->held[resource]++;
	*ret = user;
	return 0;
}

void users_lift_limits(struct users *users, bool lifted)
{
	users->lifted = lifted;
}

static uint64_t held(const struct users *users, uid_t uid, enum user_resource resource)
{
	struct user key = {.uid = uid};
	const struct user *user = RB_FIND(user_tree, (struct user_tree *)&users->tree, &key);

	return user ? user->held[resource] : 0;
}

bool user_holds(const struct users *users, uid_t uid, enum user_resource resource)
{
	return held(users, uid, resource) > 0;
}

bool user_has_room(const struct users *users, uid_t uid, enum user_resource resource)
{
	return held(users, uid, resource) < users->limits[resource];
}

struct user *user_give_back(struct user *user, enum user_resource resource)
{
	if (!user)
		return NULL;
	assert(user->held[resource] > 0);
	user->held[resource]--;
	user_free_unused(user);
	return NULL;
}

uid_t user_uid(const struct user *user)
{
	return user->uid;
}
