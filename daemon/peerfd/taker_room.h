/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room for takers: how many there are of an owner, of a user and on the host, which of them could
 * make room for another one, and who waits for that.
 */
#pragma once

#include <stdbool.h>

#include "daemon/owner/limit.h"
#include "daemon/owner/owner.h"

struct taking_place;

/* A taker, as far as it takes room. */
struct taking_member {
	TAILQ_ENTRY(taking_member) link;
	struct taking_place *place;
	bool idle, hung;
};

TAILQ_HEAD(taking_member_list, taking_member);

/* Whoever is idle stands behind those that have been so for longer. */
struct taking_room {
	const struct config *config;
	struct taking_member_list members;
	uint64_t n_members;
};

/* An owner's. */
struct taking_place {
	struct taking_room *room;
	struct owner *owner;       /* a reference */
	struct share_work waiting; /* for room */
};

/* config must outlive it. */
void taking_room_init(struct taking_room *room, const struct config *config);
void taking_place_open(struct taking_room *room, struct owner *owner, struct taking_place *ret);
/* It has no member. */
void taking_place_close(struct taking_place *place);

/* One more. -EDQUOT where there is no room, and which limit says so. */
int taking_member_add(
	struct taking_place *place, struct taking_member *member, enum limit *ret_limit);
void taking_member_remove(struct taking_member *member);
void taking_member_set(struct taking_member *member, bool idle, bool hung);

/* Whether all takers that would have to go before there is room within the limit hang. */
bool taking_place_is_hopeless(const struct taking_place *place, enum limit limit);
/* An idle one that could go; NULL where there is none. */
struct taking_member *taking_place_find_idle(const struct taking_place *place, enum limit limit);

void taking_place_wait(struct taking_place *place);
void taking_place_wait_no_more(struct taking_place *place);
/* Whose turn it is to look for room again: of the user of that place, or of all on the host. It
 * waits no more then. NULL where nobody waits. */
struct taking_place *taking_place_next(struct taking_place *place, bool on_host);
