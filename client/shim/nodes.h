/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAM of memfds that the VMM binds to a NUMA node. When gmemd made it, at the file's first size,
 * nothing was known of that: as long as nobody uses it, another takes its place, which is of that
 * node. Of huge pages none does, for the first one's stay reserved as long as it is mapped.
 */
#pragma once

#include <stddef.h>

/* mbind(2). -ENOMEM also where gmemd refuses the VM memory of that node. */
int nodes_bind(void *address, size_t size, int mode, const unsigned long *nodes, unsigned long end,
	unsigned flags);
