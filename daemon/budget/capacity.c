/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's capacity. See capacity.h.
 */
#include "daemon/budget/capacity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/numa_node.h"

static uint64_t sum_nodes(const struct capacity *capacity)
{
	uint64_t whole = 0;

	for (size_t i = 0; i < capacity->n_nodes; i++)
		whole += capacity->nodes[i]->total;
	return whole;
}

static void set_node_limit(
	struct capacity_node *node, const struct capacity_request *request, uint64_t whole)
{
	node->reserve = reserve_of_node(request->host_reserve, node->total, whole);
	node->budget.limit = capacity_of(node->total, node->reserve, request->overcommit);
}

static void set_limits(struct capacity *capacity, const struct capacity_request *request)
{
	uint64_t limit = capacity_of(request->total, request->host_reserve, request->overcommit);
	uint64_t whole = sum_nodes(capacity);

	if (request->commit_limit > 0 && request->commit_limit < limit)
		limit = request->commit_limit;
	capacity->host.limit = limit;
	for (size_t i = 0; i < capacity->n_nodes; i++)
		set_node_limit(capacity->nodes[i], request, whole);
}

static struct capacity_node *find_node(const struct capacity *capacity, unsigned number)
{
	for (size_t i = 0; i < capacity->n_nodes; i++) {
		if (capacity->nodes[i]->number == number)
			return capacity->nodes[i];
	}
	return NULL;
}

/* Others' budgets are within it. */
static int add_node(struct capacity *capacity, const struct capacity_node *told)
{
	struct capacity_node **nodes = reallocarray(
				     capacity->nodes, capacity->n_nodes + 1, sizeof *nodes),
			     *node;

	if (!nodes)
		return -ENOMEM;
	capacity->nodes = nodes;
	node = malloc(sizeof *node);
	if (!node)
		return -ENOMEM;
	*node = (struct capacity_node){.number = told->number,
		.budget = {.scope = "node", .lifted = capacity->host.lifted}};
	nodes[capacity->n_nodes++] = node;
	return 0;
}

static int set_node(struct capacity *capacity, const struct capacity_node *told)
{
	int r = find_node(capacity, told->number) ? 0 : add_node(capacity, told);

	if (r == 0)
		find_node(capacity, told->number)->total = told->total;
	return r;
}

int capacity_change(struct capacity *capacity, const struct capacity_request *request,
	const struct capacity_node *nodes, size_t n_nodes)
{
	int r = 0;

	for (size_t i = 0; i < capacity->n_nodes; i++)
		capacity->nodes[i]->total = 0;
	for (size_t i = 0; r == 0 && i < n_nodes; i++)
		r = set_node(capacity, &nodes[i]);
	set_limits(capacity, request);
	return r;
}

int capacity_init(struct capacity *capacity, const struct capacity_request *request,
	const struct capacity_node *nodes, size_t n_nodes)
{
	int r;

	*capacity = (struct capacity){.host = {.scope = "host"}};
	r = capacity_change(capacity, request, nodes, n_nodes);
	if (r < 0)
		capacity_clear(capacity);
	return r;
}

void capacity_clear(struct capacity *capacity)
{
	for (size_t i = 0; i < capacity->n_nodes; i++)
		free(capacity->nodes[i]);
	free(capacity->nodes);
	capacity->nodes = NULL;
	capacity->n_nodes = 0;
}

struct budget *capacity_of_node(struct capacity *capacity, unsigned number)
{
	struct capacity_node *node = find_node(capacity, number);

	return node ? &node->budget : NULL;
}

uint64_t capacity_node_limit(const struct capacity *capacity, const struct capacity_node *node,
	const struct config *config, uint64_t memory_total)
{
	return config_node_capacity(config, memory_total, node->total, sum_nodes(capacity));
}

void capacity_note_nodes(struct capacity *capacity)
{
	for (size_t i = 0; i < capacity->n_nodes; i++)
		capacity->nodes[i]->noted = capacity->nodes[i]->budget.committed;
}

const struct budget *capacity_passed_node(const struct capacity *capacity)
{
	for (size_t i = 0; i < capacity->n_nodes; i++) {
		const struct budget *budget = &capacity->nodes[i]->budget;

		if (!budget->lifted && budget->committed > budget->limit &&
			budget->committed > capacity->nodes[i]->noted)
			return budget;
	}
	return NULL;
}

bool capacity_has_node(struct capacity *capacity, unsigned number)
{
	if (capacity->n_nodes == 0)
		return number == 0;
	return capacity_of_node(capacity, number) && node_exists((int)number);
}

void capacity_lift_limits(struct capacity *capacity, bool lifted)
{
	capacity->host.lifted = lifted;
	for (size_t i = 0; i < capacity->n_nodes; i++)
		capacity->nodes[i]->budget.lifted = lifted;
}
