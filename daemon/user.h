/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users: what each uid makes gmemd hold, so that none can take the whole of it.
 *
 * A user exists as long as something is charged to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config.h"

enum user_resource { USER_PEERS, USER_VMS, USER_MEMORIES, USER_RESOURCES };

struct user;
struct users;

/* -ENOMEM. */
int users_new(const struct config *config, struct users **ret);
/* Takes NULL, returns NULL. What is still charged then is never given back. */
struct users *users_free(struct users *users);

/* Charges one to the uid. -EDQUOT at its limit, -ENOMEM. *ret is to be given back by
 * user_give_back(). */
int user_charge(struct users *users, uid_t uid, enum user_resource resource, struct user **ret);
/* While what a predecessor had is taken back, no limit refuses. */
void users_lift_limits(struct users *users, bool lifted);
/* Whether the uid is charged any. */
bool user_holds(const struct users *users, uid_t uid, enum user_resource resource);
/* Whether the uid could be charged one more. */
bool user_has_room(const struct users *users, uid_t uid, enum user_resource resource);
/* Takes NULL, returns NULL. */
struct user *user_give_back(struct user *user, enum user_resource resource);

uid_t user_uid(const struct user *user);
