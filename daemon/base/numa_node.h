/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NUMA nodes: which there are, how many cores each has, allocating on one alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NODE_ANY (-1)

bool node_exists(int node);

/* The node's cores that this process may run on; of NODE_ANY, all of them. At least 1. */
unsigned node_cores(int node);

/*
 * From now on what this thread, and those it starts, allocate comes from the node alone. To be
 * called after entering a cgroup, for entering one would change it. NODE_ANY changes nothing.
 * -EINVAL where there is no such node or the cgroup may not use it. set_mempolicy(2).
 */
int node_bind(int node);

/*
 * From now on the file's pages come from the node alone, whoever touches them first, where the
 * kernel keeps a policy with the file: of a memfd always, of a guest_memfd that can be mapped from
 * Linux 6.19 on. Elsewhere it changes nothing. -EINVAL as node_bind(). mbind(2).
 */
int node_bind_file(int fd, uint64_t size, int node);

/*
 * How many bytes of the range, which is allocated, lie on another node, by one page of each step of
 * it: such a page stands for its step. 0 where the file can't be mapped, of pages that can't be
 * touched, and for NODE_ANY. move_pages(2).
 */
uint64_t node_elsewhere(int fd, uint64_t offset, uint64_t size, uint64_t step, int node);
