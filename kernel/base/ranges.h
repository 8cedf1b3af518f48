/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A set of numbers, kept as the merged ranges that it consists of: the private parts of a guest's
 * memory, for one.
 *
 * No two ranges touch, so that the same set always has the same ranges, however it came about.
 * Adding and removing take time logarithmic in the number of ranges, plus what they merge or drop;
 * each range costs one small node. A range is [start, start + size); an empty one, or one past
 * UINT64_MAX, is -EINVAL. Functions return 0 or a negative errno; one that fails has changed
 * nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/base/tree.h"

struct range {
	RB_ENTRY(range) link;
	uint64_t start;
	uint64_t end; /* exclusive */
};

RB_HEAD(range_tree, range);

/* All zeroes is the empty set. */
struct ranges {
	struct range_tree tree;
	size_t count;   /* of ranges */
	uint64_t total; /* of numbers */
};

/* Back to the empty set. */
void ranges_clear(struct ranges *ranges);

int ranges_add(struct ranges *ranges, uint64_t start, uint64_t size);
int ranges_remove(struct ranges *ranges, uint64_t start, uint64_t size);

bool ranges_contain(const struct ranges *ranges, uint64_t number);
/* How many numbers of [start, start + size) are in the set; 0 for what is no range. */
uint64_t ranges_covered(const struct ranges *ranges, uint64_t start, uint64_t size);

/* The first range that ends after start, NULL where there is none. Valid until the set changes. */
const struct range *ranges_from(const struct ranges *ranges, uint64_t start);
/* The one after it, NULL at the end. */
const struct range *ranges_next(const struct range *range);
