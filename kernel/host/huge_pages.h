/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Huge pages of hugetlbfs: how many of a size the host has set aside, and how many of them are to
 * be had.
 *
 * They are no memory that anything else can have, and memory.max of a cgroup does not count them,
 * but where the cgroup file system is mounted with memory_hugetlb_accounting. A file of them can
 * reserve what it may need: then that many free ones are kept for it, and no access of its finds
 * none. Reference: Documentation/admin-guide/mm/hugetlbpage.rst,
 * Documentation/mm/hugetlbfs_reserv.rst.
 */
#pragma once

#include <stdint.h>

#define HUGE_PAGES_2M (UINT64_C(2) << 20)
#define HUGE_PAGES_1G (UINT64_C(1) << 30)

/* Numbers of pages. */
struct huge_pages {
	uint64_t total;
	uint64_t free;     /* that are not allocated */
	uint64_t reserved; /* of the free ones: for files that have not touched them yet */
};

/* Of that size, in bytes. -ENOENT where the kernel has none such. */
int huge_pages_read(uint64_t page_size, struct huge_pages *ret);
/* Of a node's, which has none reserved: that is the host's as a whole. */
int huge_pages_read_node(uint64_t page_size, unsigned node, struct huge_pages *ret);

/* How many can be reserved. */
static inline uint64_t huge_pages_available(const struct huge_pages *pages)
{
	return pages->free > pages->reserved ? pages->free - pages->reserved : 0;
}
