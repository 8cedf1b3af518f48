/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of numbers as merged ranges. See ranges.h.
 */
#include "kernel/base/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Two leaves that come after each other are one where both have no more. */
#define MERGED_MAX (RANGE_LEAF_MAX / 2)

struct leaf_entry {
	uint64_t first; /* where its first range begins */
	struct range_leaf *leaf;
};

/* In their order; none is empty. */
struct range_leaves {
	uint32_t count, room;
	size_t n_ranges; /* in all of them */
	uint64_t total;  /* of numbers */
	struct leaf_entry entries[];
};

/* Where a range is, or would be: one behind a leaf's last may be. */
struct position {
	uint32_t leaf, place;
};

static bool is_range(uint64_t start, uint64_t size)
{
	return size > 0 && start + size > start;
}

size_t ranges_count(const struct ranges *ranges)
{
	return ranges->leaves ? ranges->leaves->n_ranges : 0;
}

uint64_t ranges_total(const struct ranges *ranges)
{
	return ranges->leaves ? ranges->leaves->total : 0;
}

/* Finding */

static uint32_t leaf_count(const struct ranges *ranges)
{
	return ranges->leaves ? ranges->leaves->count : 0;
}

static struct range_leaf *leaf_at(const struct ranges *ranges, uint32_t leaf)
{
	return ranges->leaves->entries[leaf].leaf;
}

static struct range range_at(const struct ranges *ranges, const struct position *position)
{
	return range_leaf_get(leaf_at(ranges, position->leaf), position->place);
}

/* False where there is no range at the position, nor after it; else it is at one then. */
static bool settle(const struct ranges *ranges, struct position *position)
{
	if (position->leaf < leaf_count(ranges) &&
		position->place == leaf_at(ranges, position->leaf)->count)
		*position = (struct position){.leaf = position->leaf + 1};
	return position->leaf < leaf_count(ranges);
}

/* Behind the last range that begins at the number or before it. */
static struct position behind(const struct ranges *ranges, uint64_t number)
{
	uint32_t low = 0, high = leaf_count(ranges);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ranges->leaves->entries[middle].first <= number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return (struct position){.leaf = 0};
	return (struct position){low - 1, range_leaf_find(leaf_at(ranges, low - 1), number)};
}

/* The range before that which is behind the number, if it ends at the number or after it; else the
 * one that is there, or none. */
static struct position touching(
	const struct ranges *ranges, uint64_t number, struct position position)
{
	struct position before = {position.leaf, position.place - 1};

	if (position.place > 0 && range_at(ranges, &before).end >= number)
		return before;
	settle(ranges, &position);
	return position;
}

/* Of the first range that ends at the number, or after it; or behind all. */
static struct position first_ending(const struct ranges *ranges, uint64_t number)
{
	return touching(ranges, number, behind(ranges, number));
}

const struct range *ranges_from(
	const struct ranges *ranges, uint64_t start, struct range_place *ret_place)
{
	struct position position = first_ending(ranges, start);

	*ret_place = (struct range_place){ranges, position.leaf, position.place, {0, 0}};
	if (position.leaf == leaf_count(ranges))
		return NULL;
	ret_place->range = range_at(ranges, &position);
	return ret_place->range.end == start ? ranges_next(ret_place) : &ret_place->range;
}

const struct range *ranges_next(struct range_place *place)
{
	struct position position = {place->leaf, place->place + 1};

	if (!settle(place->ranges, &position))
		return NULL;
	place->leaf = position.leaf;
	place->place = position.place;
	place->range = range_at(place->ranges, &position);
	return &place->range;
}

bool ranges_contain(const struct ranges *ranges, uint64_t number)
{
	struct range_place place;
	const struct range *range = ranges_from(ranges, number, &place);

	return range && range->start <= number;
}

uint64_t ranges_covered(const struct ranges *ranges, uint64_t start, uint64_t size)
{
	struct range_place place;
	const struct range *range;
	uint64_t end = start + size, covered = 0;

	if (!is_range(start, size))
		return 0;
	for (range = ranges_from(ranges, start, &place); range && range->start < end;
		range = ranges_next(&place)) {
		uint64_t from = range->start > start ? range->start : start;
		uint64_t to = range->end < end ? range->end : end;

		covered += to - from;
	}
	return covered;
}

/* Leaves */

static void note_first(struct ranges *ranges, uint32_t leaf)
{
	ranges->leaves->entries[leaf].first = range_leaf_get(leaf_at(ranges, leaf), 0).start;
}

static int leaves_reserve(struct ranges *ranges)
{
	struct range_leaves *leaves = ranges->leaves;
	uint32_t count = leaf_count(ranges), room = count + 1 + count / 4;

	if (leaves && count < leaves->room)
		return 0;
	leaves = realloc(leaves, sizeof *leaves + room * sizeof leaves->entries[0]);
	if (!leaves)
		return -ENOMEM;
	if (!ranges->leaves)
		*leaves = (struct range_leaves){.count = 0};
	leaves->room = room;
	ranges->leaves = leaves;
	return 0;
}

/* There is room for it. Its first number is to be noted. */
static void insert_leaf(struct ranges *ranges, uint32_t at, struct range_leaf *leaf)
{
	struct leaf_entry *entries = ranges->leaves->entries;

	memmove(&entries[at + 1], &entries[at], (ranges->leaves->count - at) * sizeof *entries);
	entries[at].leaf = leaf;
	ranges->leaves->count++;
}

/* What was in them is elsewhere, or no more. */
static void free_leaves(struct ranges *ranges, uint32_t at, uint32_t count)
{
	struct range_leaves *leaves = ranges->leaves;

	for (uint32_t i = at; i < at + count; i++)
		free(leaves->entries[i].leaf);
	memmove(&leaves->entries[at], &leaves->entries[at + count],
		(leaves->count - at - count) * sizeof leaves->entries[0]);
	leaves->count -= count;
	if (leaves->count > 0)
		return;
	free(leaves);
	ranges->leaves = NULL;
}

void ranges_clear(struct ranges *ranges)
{
	if (ranges->leaves)
		free_leaves(ranges, 0, ranges->leaves->count);
	*ranges = (struct ranges){.leaves = NULL};
}

/* With the ranges of another from place on; or with the one that is to be put there. */
static int split_leaf(struct ranges *ranges, uint32_t leaf, unsigned place, uint32_t at)
{
	struct range_leaf *made = range_leaf_new();
	int r = made ? leaves_reserve(ranges) : -ENOMEM;

	if (r == 0 && place < leaf_at(ranges, leaf)->count)
		r = range_leaf_move(leaf_at(ranges, leaf), place, &made);
	if (r < 0) {
		free(made);
		return r;
	}
	insert_leaf(ranges, at, made);
	if (made->count > 0)
		note_first(ranges, at);
	range_leaf_trim(&ranges->leaves->entries[leaf + (at <= leaf)].leaf);
	return 0;
}

static bool is_full(const struct ranges *ranges, uint32_t leaf)
{
	return leaf_at(ranges, leaf)->count == RANGE_LEAF_MAX;
}

/* Where a range is to be inserted that comes behind all of the leaf's: into the next one, if that
 * has room, or into one of its own. Who adds one after the other fills leaf after leaf so. */
static int place_behind(struct ranges *ranges, struct position *position)
{
	uint32_t next = position->leaf + 1;
	int r = 0;

	if (next == leaf_count(ranges) || is_full(ranges, next))
		r = split_leaf(ranges, position->leaf, position->place, next);
	if (r == 0)
		*position = (struct position){.leaf = next};
	return r;
}

/* The same of one that comes before all. */
static int place_before(struct ranges *ranges, struct position *position)
{
	uint32_t leaf = position->leaf;

	if (leaf == 0 || is_full(ranges, leaf - 1))
		return split_leaf(ranges, leaf, leaf_at(ranges, leaf)->count, leaf);
	*position = (struct position){leaf - 1, leaf_at(ranges, leaf - 1)->count};
	return 0;
}

static int place_amid(struct ranges *ranges, struct position *position)
{
	const unsigned half = RANGE_LEAF_MAX / 2;
	int r = split_leaf(ranges, position->leaf, half, position->leaf + 1);

	if (r == 0 && position->place > half)
		*position = (struct position){position->leaf + 1, position->place - half};
	return r;
}

/* Makes the position one where a leaf has room for one more. */
static int make_room(struct ranges *ranges, struct position *position)
{
	if (!is_full(ranges, position->leaf))
		return 0;
	if (position->place == RANGE_LEAF_MAX)
		return place_behind(ranges, position);
	return position->place == 0 ? place_before(ranges, position) : place_amid(ranges, position);
}

static int first_leaf(struct ranges *ranges)
{
	struct range_leaf *leaf = range_leaf_new();
	int r = leaf ? leaves_reserve(ranges) : -ENOMEM;

	if (r < 0)
		free(leaf);
	else
		insert_leaf(ranges, 0, leaf);
	return r;
}

/* A leaf that was made for what then was not put there. */
static void drop_if_empty(struct ranges *ranges, uint32_t leaf)
{
	if (leaf_at(ranges, leaf)->count == 0)
		free_leaves(ranges, leaf, 1);
}

/* Ranges */

/* Nothing touches it, and it belongs there. */
static int insert_range(
	struct ranges *ranges, struct position position, uint64_t start, uint64_t end)
{
	const struct range range = {start, end};
	int r = ranges->leaves ? make_room(ranges, &position) : first_leaf(ranges);

	if (r < 0)
		return r;
	r = range_leaf_reserve(&ranges->leaves->entries[position.leaf].leaf, &range, 1);
	if (r < 0) {
		drop_if_empty(ranges, position.leaf);
		return r;
	}
	range_leaf_insert(leaf_at(ranges, position.leaf), position.place, &range);
	if (position.place == 0)
		note_first(ranges, position.leaf);
	ranges->leaves->n_ranges++;
	ranges->leaves->total += end - start;
	return 0;
}

/* Moves a range's bounds, which the caller has made sure keeps the order. It can't fail where they
 * are within what they were. */
static int resize(
	struct ranges *ranges, const struct position *position, uint64_t start, uint64_t end)
{
	const struct range range = {start, end}, before = range_at(ranges, position);
	int r = range_leaf_reserve(&ranges->leaves->entries[position->leaf].leaf, &range, 0);

	if (r < 0)
		return r;
	range_leaf_set(leaf_at(ranges, position->leaf), position->place, &range);
	if (position->place == 0)
		note_first(ranges, position->leaf);
	ranges->leaves->total += (end - start) - (before.end - before.start);
	return 0;
}

/* Two that follow each other become one where they are small; without memory they stay two. */
static void merge_leaves(struct ranges *ranges, uint32_t leaf)
{
	struct range_leaf *next;

	if (leaf + 1 >= leaf_count(ranges))
		return;
	next = leaf_at(ranges, leaf + 1);
	if (leaf_at(ranges, leaf)->count + next->count <= MERGED_MAX &&
		range_leaf_move(next, 0, &ranges->leaves->entries[leaf].leaf) == 0)
		free_leaves(ranges, leaf + 1, 1);
}

static void drop_in_leaf(struct ranges *ranges, uint32_t leaf, unsigned from, unsigned to)
{
	struct leaf_entry *entry = &ranges->leaves->entries[leaf];

	for (unsigned place = from; place < to; place++) {
		const struct range range = range_leaf_get(entry->leaf, place);

		ranges->leaves->total -= range.end - range.start;
	}
	ranges->leaves->n_ranges -= to - from;
	range_leaf_remove(entry->leaf, from, to - from);
	if (from == 0 && entry->leaf->count > 0)
		note_first(ranges, leaf);
	range_leaf_trim(&entry->leaf);
}

/* Those from one position up to another, which is behind them. */
static void drop_ranges(
	struct ranges *ranges, const struct position *from, const struct position *to)
{
	uint32_t first_empty = from->leaf, end_empty;

	if (from->leaf == to->leaf && from->place == to->place)
		return;
	for (uint32_t leaf = from->leaf; leaf <= to->leaf && leaf < leaf_count(ranges); leaf++)
		drop_in_leaf(ranges, leaf, leaf == from->leaf ? from->place : 0,
			leaf == to->leaf ? to->place : leaf_at(ranges, leaf)->count);
	if (first_empty < leaf_count(ranges) && leaf_at(ranges, first_empty)->count > 0)
		first_empty++;
	end_empty = first_empty;
	while (end_empty < leaf_count(ranges) && leaf_at(ranges, end_empty)->count == 0)
		end_empty++;
	if (end_empty > first_empty)
		free_leaves(ranges, first_empty, end_empty - first_empty);
	merge_leaves(ranges, from->leaf);
	if (from->leaf > 0)
		merge_leaves(ranges, from->leaf - 1);
}

/* Makes one of those from first on that the new one touches, and of that. */
static int add_to(struct ranges *ranges, struct position first, uint64_t start, uint64_t end)
{
	struct position next = behind(ranges, end), last = {next.leaf, next.place - 1};
	const struct range range = range_at(ranges, &first);
	uint64_t last_end = range_at(ranges, &last).end;
	int r;

	r = resize(ranges, &first, range.start < start ? range.start : start,
		last_end > end ? last_end : end);
	first.place++;
	if (r == 0)
		drop_ranges(ranges, &first, &next);
	return r;
}

int ranges_add(struct ranges *ranges, uint64_t start, uint64_t size)
{
	struct position place, first;
	uint64_t end = start + size;

	if (!is_range(start, size))
		return -EINVAL;
	place = behind(ranges, start);
	first = touching(ranges, start, place);
	if (first.leaf == leaf_count(ranges) || range_at(ranges, &first).start > end)
		return insert_range(ranges, place, start, end);
	return add_to(ranges, first, start, end);
}

/* Takes [start, end) out of the middle of a range. */
static int split_range(
	struct ranges *ranges, struct position position, uint64_t start, uint64_t end)
{
	const struct range range = range_at(ranges, &position);
	struct position after = {position.leaf, position.place + 1};
	int r = insert_range(ranges, after, end, range.end);

	if (r < 0)
		return r;
	if (after.place > leaf_at(ranges, position.leaf)->count) { /* its leaf was split */
		position = behind(ranges, range.start);
		position.place--;
	}
	return resize(ranges, &position, range.start, start);
}

int ranges_remove(struct ranges *ranges, uint64_t start, uint64_t size)
{
	uint64_t end = start + size;
	struct position first, next;
	struct range range;

	if (!is_range(start, size))
		return -EINVAL;
	first = first_ending(ranges, start);
	if (first.leaf == leaf_count(ranges))
		return 0;
	range = range_at(ranges, &first);
	if (range.start < start && range.end > end)
		return split_range(ranges, first, start, end);
	if (range.start < start) {
		resize(ranges, &first, range.start, start);
		first.place++;
	}
	next = behind(ranges, end - 1);
	if (next.leaf < first.leaf || (next.leaf == first.leaf && next.place <= first.place))
		return 0;
	next.place--;
	range = range_at(ranges, &next);
	if (range.end > end)
		resize(ranges, &next, end, range.end);
	else
		next.place++;
	drop_ranges(ranges, &first, &next);
	return 0;
}
