/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving back pages. See punch.h.
 */
#include "daemon/puncher/punch.h"

#include <stdbool.h>

#include "kernel/host/memory_file.h"

static void punch_one(int fd, const struct punch_range *range, struct punched *ret)
{
	uint64_t bytes = 0;

	memory_file_resident_range(fd, range->offset, range->size, &bytes);
	if (bytes == 0)
		return;
	ret->resident += bytes;
	if (memory_file_punch(fd, range->offset, range->size) == 0)
		ret->released += bytes;
	memory_file_resident_range(fd, range->offset, range->size, &bytes);
	ret->left += bytes;
}

static void punch_one_huge(int fd, bool reserve, const struct punch_range *range)
{
	memory_file_punch(fd, range->offset, range->size);
	if (reserve)
		memory_file_reserve(fd, range->offset, range->size);
}

static void punch_huge(
	int fd, bool reserve, const struct punch_range *ranges, size_t count, struct punched *ret)
{
	uint64_t before = 0, after = 0;

	memory_file_resident(fd, &before);
	for (size_t i = 0; i < count && before > 0; i++)
		punch_one_huge(fd, reserve, &ranges[i]);
	memory_file_resident(fd, &after);
	if (before > after) {
		ret->resident += before - after;
		ret->released += before - after;
	}
	ret->left += after;
}

void punch(int fd, enum punch_kind kind, const struct punch_range *ranges, size_t count,
	struct punched *ret)
{
	if (kind != PUNCH_PAGES) {
		punch_huge(fd, kind == PUNCH_HUGE_RESERVED, ranges, count, ret);
		return;
	}
	for (size_t i = 0; i < count; i++)
		punch_one(fd, &ranges[i], ret);
}
