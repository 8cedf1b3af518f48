/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's capacity: what of its memory, and of each of its NUMA nodes, VMs may have.
 *
 * That is all of it but the host's reserve, and as much more as may be overcommitted. Each node
 * bears its share of the reserve, in proportion to its memory. VMs' budgets are within the host's,
 * by their tenants'; a node's stands by itself, and is charged besides for what is bound to it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/budget/budget.h"
#include "daemon/config/config.h"

struct capacity_request {
	uint64_t total;        /* bytes: MemTotal */
	uint64_t host_reserve; /* bytes */
	uint64_t overcommit;   /* percent */
	uint64_t commit_limit; /* bytes, on the host whatever the rest allows; 0: none */
};

struct capacity_node {
	unsigned number;
	uint64_t total;       /* bytes: its MemTotal */
	uint64_t reserve;     /* bytes: its share of the host's, set by capacity_init() */
	struct budget budget; /* made by capacity_init() */
	uint64_t noted;       /* see capacity_note_nodes() */
};

struct capacity {
	struct budget host;
	struct capacity_node **nodes; /* each stays where it is */
	size_t n_nodes;
};

/* It must stay where it is. nodes are copied; their numbers differ. -ENOMEM. */
int capacity_init(struct capacity *capacity, const struct capacity_request *request,
	const struct capacity_node *nodes, size_t n_nodes);
/*
 * The host has more memory by now, or less. What is committed and promised stays so, and where it
 * is more than the new limits nothing more is. A node that was not there has a budget from now on;
 * one that is not there any more can take nothing. -ENOMEM: a new one has none.
 */
int capacity_change(struct capacity *capacity, const struct capacity_request *request,
	const struct capacity_node *nodes, size_t n_nodes);
void capacity_clear(struct capacity *capacity);

/* While what a predecessor had granted is taken back, no limit of the host's or its nodes'
 * refuses. */
void capacity_lift_limits(struct capacity *capacity, bool lifted);

/* What the node's limit would be by another configuration. */
uint64_t capacity_node_limit(const struct capacity *capacity, const struct capacity_node *node,
	const struct config *config, uint64_t memory_total);
/* What is committed of each node now; and the first that has more since, and more than its limit.
 * NULL: none. */
void capacity_note_nodes(struct capacity *capacity);
const struct budget *capacity_passed_node(const struct capacity *capacity);

/* NULL where the host has not had such a node with memory. */
struct budget *capacity_of_node(struct capacity *capacity, unsigned number);
/* Whether something can be of that node now. One that it has no budget of yet would bear no
 * limit. */
bool capacity_has_node(struct capacity *capacity, unsigned number);
