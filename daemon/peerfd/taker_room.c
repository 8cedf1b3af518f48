/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room for takers. See taker_room.h.
 */
#include "daemon/peerfd/taker_room.h"

#include <errno.h>

#include "daemon/base/container_of.h"

void taking_room_init(struct taking_room *room, const struct config *config)
{
	*room = (struct taking_room){.config = config};
	TAILQ_INIT(&room->members);
}

/* Places */

static struct share_node *unit_of(const struct taking_place *place)
{
	return owner_node(place->owner, OWNER_TAKERS_ROOM)->parent;
}

static struct share_node *user_of(const struct taking_place *place)
{
	return unit_of(place)->parent;
}

static struct share_node *host_of(const struct taking_place *place)
{
	struct share_node *node = user_of(place);

	while (node->parent)
		node = node->parent;
	return node;
}

void taking_place_open(struct taking_room *room, struct owner *owner, struct taking_place *ret)
{
	*ret = (struct taking_place){.room = room, .owner = owner_ref(owner)};
}

void taking_place_close(struct taking_place *place)
{
	taking_place_wait_no_more(place);
	place->owner = owner_unref(place->owner);
}

/* Members */

static int charge_room(struct taking_place *place, enum limit *ret_limit)
{
	if (owner_charge(place->owner, OWNER_TAKERS) < 0) {
		*ret_limit = LIMIT_TAKERS_PER_OWNER;
		return -EDQUOT;
	}
	if (owner_charge(place->owner, OWNER_TAKERS_OF_USER) < 0) {
		owner_give_back(place->owner, OWNER_TAKERS);
		*ret_limit = LIMIT_TAKERS_PER_USER;
		return -EDQUOT;
	}
	return 0;
}

static void give_back(struct taking_place *place)
{
	owner_give_back(place->owner, OWNER_TAKERS_OF_USER);
	owner_give_back(place->owner, OWNER_TAKERS);
}

int taking_member_add(
	struct taking_place *place, struct taking_member *member, enum limit *ret_limit)
{
	struct taking_room *room = place->room;

	if (charge_room(place, ret_limit) < 0)
		return -EDQUOT;
	if (room->n_members >= limit_value(room->config, LIMIT_TAKERS_ON_HOST)) {
		give_back(place);
		*ret_limit = LIMIT_TAKERS_ON_HOST;
		return -EDQUOT;
	}
	*member = (struct taking_member){.place = place};
	TAILQ_INSERT_TAIL(&room->members, member, link);
	room->n_members++;
	return 0;
}

void taking_member_remove(struct taking_member *member)
{
	struct taking_place *place = member->place;

	TAILQ_REMOVE(&place->room->members, member, link);
	place->room->n_members--;
	give_back(place);
}

void taking_member_set(struct taking_member *member, bool idle, bool hung)
{
	struct taking_member_list *members = &member->place->room->members;

	if (idle && !member->idle) {
		TAILQ_REMOVE(members, member, link);
		TAILQ_INSERT_TAIL(members, member, link);
	}
	member->idle = idle;
	member->hung = hung;
}

/* What could make room. A user's unit makes room for itself, and others of the user's do for one
 * that has nothing; see owner_charge(). */

struct candidates {
	const struct taking_place *place;
	enum limit limit;
	bool of_unit;
};

static bool has_any_in_unit(const struct taking_place *place)
{
	const struct taking_member *member;

	TAILQ_FOREACH (member, &place->room->members, link) {
		if (unit_of(member->place) == unit_of(place))
			return true;
	}
	return false;
}

static struct candidates candidates_for(const struct taking_place *place, enum limit limit)
{
	return (struct candidates){.place = place,
		.limit = limit,
		.of_unit = limit == LIMIT_TAKERS_PER_USER && has_any_in_unit(place)};
}

static bool is_candidate(const struct candidates *candidates, const struct taking_member *member)
{
	if (candidates->limit == LIMIT_TAKERS_PER_OWNER)
		return member->place == candidates->place;
	if (candidates->limit != LIMIT_TAKERS_ON_HOST &&
		user_of(member->place) != user_of(candidates->place))
		return false;
	return !candidates->of_unit || unit_of(member->place) == unit_of(candidates->place);
}

bool taking_place_is_hopeless(const struct taking_place *place, enum limit limit)
{
	const struct candidates candidates = candidates_for(place, limit);
	const struct taking_member *member;

	TAILQ_FOREACH (member, &place->room->members, link) {
		if (is_candidate(&candidates, member) && !member->hung)
			return false;
	}
	return true;
}

struct taking_member *taking_place_find_idle(const struct taking_place *place, enum limit limit)
{
	const struct candidates candidates = candidates_for(place, limit);
	struct taking_member *member;

	TAILQ_FOREACH (member, &place->room->members, link) {
		if (is_candidate(&candidates, member) && member->idle)
			break;
	}
	return member;
}

/* Waiting */

void taking_place_wait(struct taking_place *place)
{
	if (!place->waiting.leaf)
		share_add(owner_node(place->owner, OWNER_TAKERS_ROOM), &place->waiting);
}

void taking_place_wait_no_more(struct taking_place *place)
{
	share_remove(&place->waiting);
}

struct taking_place *taking_place_next(struct taking_place *place, bool on_host)
{
	struct share_node *leaf = share_take_turn(on_host ? host_of(place) : user_of(place));
	struct share_work *work = leaf ? share_take_work(leaf) : NULL;

	if (!work)
		return NULL;
	return CONTAINER_OF(work, struct taking_place, waiting);
}
