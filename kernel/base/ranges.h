/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A set of numbers, kept as the merged ranges that it consists of: the private parts of a guest's
 * memory, for one.
 *
 * No two ranges touch, so that the same set always has the same ranges, however it came about. They
 * are in leaves of up to some hundred (range_leaf.h), whose first numbers are in one array: finding
 * one takes time logarithmic in the number of ranges, changing one that and moving a leaf's others,
 * and each takes 8 to 16 bytes, or 16 to 32 where ranges are gigabytes apart. A range is [start,
 * start + size); an empty one, or one past UINT64_MAX, is -EINVAL. Functions return 0 or a negative
 * errno; one that fails has changed nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/base/range_leaf.h"

struct range_leaves;

/* All zeroes is the empty set. */
struct ranges {
	struct range_leaves *leaves; /* NULL: it is empty */
};

/* One of its ranges, and where it is. */
struct range_place {
	const struct ranges *ranges;
	uint32_t leaf, place;
	struct range range;
};

/* Back to the empty set. */
void ranges_clear(struct ranges *ranges);

int ranges_add(struct ranges *ranges, uint64_t start, uint64_t size);
int ranges_remove(struct ranges *ranges, uint64_t start, uint64_t size);

/* How many ranges it has, and how many numbers. */
size_t ranges_count(const struct ranges *ranges);
uint64_t ranges_total(const struct ranges *ranges);

bool ranges_contain(const struct ranges *ranges, uint64_t number);
/* How many numbers of [start, start + size) are in the set; 0 for what is no range. */
uint64_t ranges_covered(const struct ranges *ranges, uint64_t start, uint64_t size);

/* The first range that ends after start, NULL where there is none. It is in *ret_place, which is
 * for ranges_next() until the set changes. */
const struct range *ranges_from(
	const struct ranges *ranges, uint64_t start, struct range_place *ret_place);
/* The one after it, NULL at the end. */
const struct range *ranges_next(struct range_place *place);
