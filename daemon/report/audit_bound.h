/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many entries about a user the journal may have: so many at once, and so many a second from
 * then on; of refusals, which cost who provokes them nothing, few.
 *
 * Where journald bounds what it takes of a service, it is all of gmemd's entries: one user must not
 * have those of others dropped. Users whose numbers are alike modulo the size of the table share
 * what one may have, while both are at it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum audit_kind { AUDIT_ACTS, AUDIT_REFUSALS, AUDIT_KINDS };

/* A prime. */
#define AUDIT_USERS 251

struct audit_user {
	uid_t uid;
	uint32_t left_out;             /* and not told yet */
	uint64_t full_at[AUDIT_KINDS]; /* when it may have as many as ever again, microseconds */
};

struct audit_bound {
	struct audit_user users[AUDIT_USERS];
};

/* Whether there may be one more. now: microseconds, of a clock that only goes forward. */
bool audit_bound_admits(struct audit_bound *bound, uid_t uid, enum audit_kind kind, uint64_t now);
/* The next user from *position on of whom entries were left out; how many is told then. False:
 * there is none. */
bool audit_bound_take_left_out(
	struct audit_bound *bound, unsigned *position, uid_t *ret_uid, uint32_t *ret_count);
