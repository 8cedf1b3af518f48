/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bound of a user's entries. See audit_bound.h.
 */
#include "daemon/report/audit_bound.h"

static const struct {
	uint64_t interval; /* of one entry, in microseconds */
	uint64_t at_once;
} bounds[AUDIT_KINDS] = {
	[AUDIT_ACTS] = {31250, 2048},
	[AUDIT_REFUSALS] = {1000000, 32},
};

static bool is_idle(const struct audit_user *user, uint64_t now)
{
	for (unsigned kind = 0; kind < AUDIT_KINDS; kind++) {
		if (user->full_at[kind] > now)
			return false;
	}
	return user->left_out == 0;
}

static struct audit_user *user_of(struct audit_bound *bound, uid_t uid, uint64_t now)
{
	struct audit_user *user = &bound->users[uid % AUDIT_USERS];

	if (user->uid != uid && is_idle(user, now))
		user->uid = uid;
	return user;
}

bool audit_bound_admits(struct audit_bound *bound, uid_t uid, enum audit_kind kind, uint64_t now)
{
	struct audit_user *user = user_of(bound, uid, now);
	uint64_t full_at = user->full_at[kind] > now ? user->full_at[kind] : now;

	full_at += bounds[kind].interval;
	if (full_at - now > bounds[kind].at_once * bounds[kind].interval) {
		user->left_out++;
		return false;
	}
	user->full_at[kind] = full_at;
	return true;
}

bool audit_bound_take_left_out(
	struct audit_bound *bound, unsigned *position, uid_t *ret_uid, uint32_t *ret_count)
{
	for (; *position < AUDIT_USERS; ++*position) {
		struct audit_user *user = &bound->users[*position];

		if (user->left_out == 0)
			continue;
		*ret_uid = user->uid;
		*ret_count = user->left_out;
		user->left_out = 0;
		return true;
	}
	return false;
}
