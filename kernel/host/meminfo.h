/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory the host and each of its NUMA nodes has, and how much of it is to be had.
 *
 * Files are kept open and read again, each time from their beginning. Functions return 0 or a
 * negative errno and write outputs only on success; -EBADMSG where a file lacks what it should
 * hold. Reference: Documentation/filesystems/proc.rst, proc_meminfo(5).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/ranges.h"

/* Bytes. */
struct meminfo {
	uint64_t total;
	uint64_t free;
	uint64_t available; /* without swapping */
};

/* The text of /proc/meminfo. */
int meminfo_parse(const char *text, struct meminfo *ret);
/*
 * The text of a node's meminfo. The kernel gives no MemAvailable there: it is taken to be what is
 * free and half of the files' pages and of the slab that can be reclaimed, the least that the
 * kernel's own estimate takes of these.
 */
int meminfo_parse_node(const char *text, struct meminfo *ret);

/* The caller owns the fd. */
int meminfo_open(int *ret_fd);
/* -ENOENT where there is no such node. */
int meminfo_open_node(unsigned node, int *ret_fd);
int meminfo_read(int fd, struct meminfo *ret);
int meminfo_read_node(int fd, struct meminfo *ret);

/* Numbers as the kernel lists them, "0-3,8". Added to what the set has; a failure may have added
 * some. */
int meminfo_parse_nodes(const char *text, struct ranges *nodes);
/* A node's file of one line, "cpulist" or "distance", without the line's end. -ENAMETOOLONG where
 * it does not fit. */
int meminfo_node_line(unsigned node, const char *name, char *ret, size_t size);
/* Adds the nodes that have memory. -ENOENT where the kernel knows no nodes. */
int meminfo_nodes(struct ranges *nodes);
