/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NUMA nodes: which there are, how many cores each has, allocating on one alone.
 */
#pragma once

#include <stdbool.h>

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
