/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving back pages. See punch.h.
 */
#include "daemon/puncher/punch.h"

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

void punch(int fd, const struct punch_range *ranges, size_t count, struct punched *ret)
{
	for (size_t i = 0; i < count; i++)
		punch_one(fd, &ranges[i], ret);
}
