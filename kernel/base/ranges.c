/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of numbers as merged ranges. See ranges.h.
 */
#include "kernel/base/ranges.h"

#include <errno.h>
#include <stdlib.h>

static int range_compare(struct range *a, struct range *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_LOCAL(range_tree, range, link, range_compare)

static bool is_range(uint64_t start, uint64_t size)
{
	return size > 0 && start + size > start;
}

/* The first range whose end is number or after it. */
static struct range *first_ending(const struct ranges *ranges, uint64_t number)
{
	struct range key = {.start = number};
	/* The tree's functions take no const. */
	struct range_tree *tree = (struct range_tree *)&ranges->tree;
	struct range *after = RB_NFIND(range_tree, tree, &key);
	struct range *before = after ? RB_PREV(range_tree, tree, after) : RB_MAX(range_tree, tree);

	return before && before->end >= number ? before : after;
}

const struct range *ranges_from(const struct ranges *ranges, uint64_t start)
{
	const struct range *range = first_ending(ranges, start);

	return range && range->end == start ? ranges_next(range) : range;
}

const struct range *ranges_next(const struct range *range)
{
	return RB_NEXT(range_tree, unused, (struct range *)range);
}

static int insert_range(struct ranges *ranges, uint64_t start, uint64_t end)
{
	struct range *range = malloc(sizeof *range);

	if (!range)
		return -ENOMEM;
	*range = (struct range){.start = start, .end = end};
	RB_INSERT(range_tree, &ranges->tree, range);
	ranges->count++;
	ranges->total += end - start;
	return 0;
}

static void drop_range(struct ranges *ranges, struct range *range)
{
	RB_REMOVE(range_tree, &ranges->tree, range);
	ranges->count--;
	ranges->total -= range->end - range->start;
	free(range);
}

/* Moves a range's bounds, which the caller has made sure keeps the order. */
static void resize(struct ranges *ranges, struct range *range, uint64_t start, uint64_t end)
{
	ranges->total += (end - start) - (range->end - range->start);
	range->start = start;
	range->end = end;
}

void ranges_clear(struct ranges *ranges)
{
	struct range *range, *next;

	RB_FOREACH_SAFE (range, range_tree, &ranges->tree, next)
		drop_range(ranges, range);
}

int ranges_add(struct ranges *ranges, uint64_t start, uint64_t size)
{
	uint64_t end = start + size;
	struct range *first, *next;

	if (!is_range(start, size))
		return -EINVAL;
	first = first_ending(ranges, start);
	if (!first || first->start > end)
		return insert_range(ranges, start, end);
	if (first->start < start)
		start = first->start;
	while ((next = RB_NEXT(range_tree, &ranges->tree, first)) && next->start <= end) {
		if (next->end > end)
			end = next->end;
		drop_range(ranges, next);
	}
	resize(ranges, first, start, first->end > end ? first->end : end);
	return 0;
}

/* Takes [start, end) out of the middle of a range. */
static int split_range(struct ranges *ranges, struct range *range, uint64_t start, uint64_t end)
{
	uint64_t range_end = range->end;
	int r;

	resize(ranges, range, range->start, start);
	r = insert_range(ranges, end, range_end);
	if (r < 0)
		resize(ranges, range, range->start, range_end);
	return r;
}

int ranges_remove(struct ranges *ranges, uint64_t start, uint64_t size)
{
	uint64_t end = start + size;
	struct range *range, *next;

	if (!is_range(start, size))
		return -EINVAL;
	range = (struct range *)ranges_from(ranges, start);
	if (range && range->start < start && range->end > end)
		return split_range(ranges, range, start, end);
	for (; range && range->start < end; range = next) {
		next = RB_NEXT(range_tree, &ranges->tree, range);
		if (range->start < start)
			resize(ranges, range, range->start, start);
		else if (range->end > end)
			resize(ranges, range, end, range->end);
		else
			drop_range(ranges, range);
	}
	return 0;
}

bool ranges_contain(const struct ranges *ranges, uint64_t number)
{
	const struct range *range = ranges_from(ranges, number);

	return range && range->start <= number;
}

uint64_t ranges_covered(const struct ranges *ranges, uint64_t start, uint64_t size)
{
	const struct range *range;
	uint64_t end = start + size, covered = 0;

	if (!is_range(start, size))
		return 0;
	for (range = ranges_from(ranges, start); range && range->start < end;
		range = ranges_next(range)) {
		uint64_t from = range->start > start ? range->start : start;
		uint64_t to = range->end < end ? range->end : end;

		covered += to - from;
	}
	return covered;
}
