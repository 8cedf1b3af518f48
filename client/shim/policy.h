/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where pages of memory are to come from: mbind(2)'s policy of a mapping.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define POLICY_NODES_MAX 1024

/* Pages may come from any node. */
#define POLICY_ANY_NODE -1

struct policy {
	int mode;
	unsigned long nodes[POLICY_NODES_MAX / (8 * sizeof(unsigned long))];
};

/* Of what is mapped at the address. */
void policy_read(void *address, struct policy *ret);
/* Nothing where it is the default one. */
void policy_set(void *address, uint64_t size, const struct policy *policy);

/* Where all pages are to come from one node, that; else POLICY_ANY_NODE, for gmemd charges a memory
 * to one or to none. */
int policy_node(const struct policy *policy);
