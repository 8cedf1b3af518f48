/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves of a set of ranges (ranges.h): up to RANGE_LEAF_MAX of them, in their order.
 *
 * Where all of a leaf's numbers are within 4 GiB, or so many of what they are, a range takes 8
 * bytes, else 16.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t start;
	uint64_t end; /* exclusive */
};

#define RANGE_LEAF_MAX 512

/* From the leaf's base on. */
struct narrow_range {
	uint32_t start, end;
};

struct range_leaf {
	uint64_t base;
	uint16_t count, room;
	bool wide;
	union {
		struct narrow_range narrow[0];
		struct range wides[0];
	};
};

/* An empty one. NULL without memory. */
struct range_leaf *range_leaf_new(void);

static inline struct range range_leaf_get(const struct range_leaf *leaf, unsigned place)
{
	const struct narrow_range *narrow = &leaf->narrow[place];

	return leaf->wide ? leaf->wides[place]
			  : (struct range){leaf->base + narrow->start, leaf->base + narrow->end};
}

/* Whether the range can be in it as it is. */
static inline bool range_leaf_fits(const struct range_leaf *leaf, const struct range *range)
{
	return leaf->wide || (range->start >= leaf->base && range->end - leaf->base <= UINT32_MAX);
}

int range_leaf_make_room(struct range_leaf **leaf, const struct range *range, unsigned more);

/* The leaf may be another then, with the same ranges and room for so many more, which can be that
 * range, or one within it or its own. -ENOMEM: it is as it was. */
static inline int range_leaf_reserve(
	struct range_leaf **leaf, const struct range *range, unsigned more)
{
	if ((*leaf)->count + more <= (*leaf)->room && range_leaf_fits(*leaf, range))
		return 0;
	return range_leaf_make_room(leaf, range, more);
}

/* What there is room for, there or before what is there. */
static inline void range_leaf_set(
	struct range_leaf *leaf, unsigned place, const struct range *range)
{
	if (leaf->wide)
		leaf->wides[place] = *range;
	else
		leaf->narrow[place] = (struct narrow_range){
			(uint32_t)(range->start - leaf->base), (uint32_t)(range->end - leaf->base)};
}

void range_leaf_insert(struct range_leaf *leaf, unsigned place, const struct range *range);

void range_leaf_remove(struct range_leaf *leaf, unsigned place, unsigned count);
/* How many of its ranges begin at the number or before it. */
unsigned range_leaf_find(const struct range_leaf *leaf, uint64_t number);

/* Moves the ranges from place on to the end of another. -ENOMEM: both are as they were. */
int range_leaf_move(struct range_leaf *from, unsigned place, struct range_leaf **to);
/* Gives room back that is not used, where that is much. */
void range_leaf_trim(struct range_leaf **leaf);
