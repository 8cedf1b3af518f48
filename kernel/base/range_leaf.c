/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves of a set of ranges. See range_leaf.h.
 */
#include "kernel/base/range_leaf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN  4
#define ROOM_STEP 64

/* What a base is a multiple of: what is less than 2 GiB long fits, and what is near to it. */
#define BASE_UNIT (UINT64_C(1) << 31)

static size_t entry_size(const struct range_leaf *leaf)
{
	return leaf->wide ? sizeof(struct range) : sizeof(struct narrow_range);
}

static unsigned char *entry_at(struct range_leaf *leaf, unsigned place)
{
	return (unsigned char *)leaf->narrow + place * entry_size(leaf);
}

static unsigned room_for(unsigned count)
{
	unsigned room = ROOM_MIN;

	while (room < count && room < ROOM_STEP)
		room *= 2;
	if (room < count)
		room = (count + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
	return room < RANGE_LEAF_MAX ? room : RANGE_LEAF_MAX;
}

static struct range_leaf *leaf_make(uint64_t base, bool wide, unsigned room)
{
	const struct range_leaf leaf = {.base = base, .room = (uint16_t)room, .wide = wide};
	struct range_leaf *made = malloc(sizeof leaf + room * entry_size(&leaf));

	if (made)
		*made = leaf;
	return made;
}

struct range_leaf *range_leaf_new(void)
{
	return leaf_make(0, /* wide= */ false, ROOM_MIN);
}

/* All that it is to hold: what it has, and the range. */
static struct range span_with(const struct range_leaf *leaf, const struct range *range)
{
	struct range span = *range;

	if (leaf->count == 0)
		return span;
	if (range_leaf_get(leaf, 0).start < span.start)
		span.start = range_leaf_get(leaf, 0).start;
	if (range_leaf_get(leaf, leaf->count - 1u).end > span.end)
		span.end = range_leaf_get(leaf, leaf->count - 1u).end;
	return span;
}

/* Those from place on, behind what the other has. */
static void copy(const struct range_leaf *from, unsigned place, struct range_leaf *to)
{
	for (; place < from->count; place++) {
		const struct range range = range_leaf_get(from, place);

		range_leaf_set(to, to->count++, &range);
	}
}

int range_leaf_make_room(struct range_leaf **leaf, const struct range *range, unsigned more)
{
	struct range_leaf *before = *leaf, *made;
	unsigned count = before->count + more;
	struct range span;
	uint64_t base;

	span = span_with(before, range);
	base = span.start - span.start % BASE_UNIT;
	made = leaf_make(base, span.end - base > UINT32_MAX, room_for(count));
	if (!made)
		return -ENOMEM;
	copy(before, 0, made);
	free(before);
	*leaf = made;
	return 0;
}

void range_leaf_insert(struct range_leaf *leaf, unsigned place, const struct range *range)
{
	memmove(entry_at(leaf, place + 1), entry_at(leaf, place),
		(leaf->count - place) * entry_size(leaf));
	leaf->count++;
	range_leaf_set(leaf, place, range);
}

void range_leaf_remove(struct range_leaf *leaf, unsigned place, unsigned count)
{
	memmove(entry_at(leaf, place), entry_at(leaf, place + count),
		(leaf->count - place - count) * entry_size(leaf));
	leaf->count = (uint16_t)(leaf->count - count);
}

/* Without branches: a processor that guesses at them would be wrong every other time. */
#define FIND(entries, count, number)                                                               \
	({                                                                                         \
		unsigned found = 0;                                                                \
                                                                                                   \
		for (unsigned left = (count); left > 0;) {                                         \
			unsigned half = (left + 1) / 2;                                            \
                                                                                                   \
			found += (entries)[found + half - 1].start <= (number) ? half : 0;         \
			left -= half;                                                              \
		}                                                                                  \
		found;                                                                             \
	})

unsigned range_leaf_find(const struct range_leaf *leaf, uint64_t number)
{
	if (leaf->wide)
		return FIND(leaf->wides, leaf->count, number);
	if (number < leaf->base)
		return 0;
	return FIND(leaf->narrow, leaf->count, number - leaf->base);
}

int range_leaf_move(struct range_leaf *from, unsigned place, struct range_leaf **to)
{
	const struct range moved = {
		range_leaf_get(from, place).start, range_leaf_get(from, from->count - 1u).end};
	int r = range_leaf_reserve(to, &moved, from->count - place);

	if (r < 0)
		return r;
	copy(from, place, *to);
	from->count = (uint16_t)place;
	return 0;
}

void range_leaf_trim(struct range_leaf **leaf)
{
	struct range_leaf *smaller;
	unsigned room;

	if ((*leaf)->count > (*leaf)->room / 2u)
		return;
	room = room_for((*leaf)->count);
	if (room > (*leaf)->room / 2u)
		return;
	smaller = realloc(*leaf, sizeof **leaf + room * entry_size(*leaf));
	if (!smaller)
		return;
	smaller->room = (uint16_t)room;
	*leaf = smaller;
}
