/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving back pages of a file, and counting them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Bytes, whole pages. */
struct punch_range {
	uint64_t offset;
	uint64_t size;
};

enum punch_kind {
	PUNCH_PAGES,
	/* Of huge pages, which the kernel counts for a file as a whole alone: left is all that it
	 * has, and resident what was released. */
	PUNCH_HUGE,
	/* The same, and they stay reserved for the file, where others have not taken them in the
	 * moment between. */
	PUNCH_HUGE_RESERVED,
};

/* Sums over ranges, in bytes of pages. */
struct punched {
	uint64_t resident; /* before */
	uint64_t released;
	uint64_t left; /* counted again after they were given back */
};

/*
 * Waits for whoever has the file and holds its lock, for as long as that one likes. Adds to ret.
 * What was there when it was punched is gone; what comes back after that is new, and may be there
 * by the time that it is counted again.
 */
void punch(int fd, enum punch_kind kind, const struct punch_range *ranges, size_t count,
	struct punched *ret);
