/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's capacity. See capacity.h.
 */
#include "daemon/budget/capacity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

static uint64_t saturate(wide number)
{
	return number > UINT64_MAX ? UINT64_MAX : (uint64_t)number;
}

uint64_t capacity_of(uint64_t total, uint64_t reserve, uint64_t overcommit)
{
	if (reserve >= total)
		return 0;
	return saturate((wide)(total - reserve) * ((wide)100 + overcommit) / 100);
}

/* Rounded up, so that nodes never have more than the host. */
static uint64_t share_of(uint64_t reserve, uint64_t part, uint64_t whole)
{
	return saturate(((wide)reserve * part + whole - 1) / whole);
}

static uint64_t sum_nodes(const struct capacity *capacity)
{
	uint64_t whole = 0;

	for (size_t i = 0; i < capacity->n_nodes; i++)
		whole += capacity->nodes[i].total;
	return whole;
}

static uint64_t node_limit(
	const struct capacity_node *node, const struct capacity_request *request, uint64_t whole)
{
	uint64_t reserve = whole > 0 ? share_of(request->host_reserve, node->total, whole) : 0;

	return capacity_of(node->total, reserve, request->overcommit);
}

static void set_limits(struct capacity *capacity, const struct capacity_request *request)
{
	uint64_t limit = capacity_of(request->total, request->host_reserve, request->overcommit);
	uint64_t whole = sum_nodes(capacity);

	if (request->commit_limit > 0 && request->commit_limit < limit)
		limit = request->commit_limit;
	capacity->host.limit = limit;
	for (size_t i = 0; i < capacity->n_nodes; i++) {
		struct capacity_node *node = &capacity->nodes[i];

		node->budget.limit = node_limit(node, request, whole);
	}
}

int capacity_init(struct capacity *capacity, const struct capacity_request *request,
	const struct capacity_node *nodes, size_t n_nodes)
{
	struct capacity_node *copy = NULL;

	if (n_nodes > 0) {
		copy = calloc(n_nodes, sizeof *copy);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, nodes, n_nodes * sizeof *copy);
	}
	*capacity = (struct capacity){.host = {.scope = "host"}, .nodes = copy, .n_nodes = n_nodes};
	for (size_t i = 0; i < n_nodes; i++)
		copy[i].budget = (struct budget){.scope = "node", .within = &capacity->host};
	set_limits(capacity, request);
	return 0;
}

void capacity_change(struct capacity *capacity, const struct capacity_request *request,
	const struct capacity_node *nodes, size_t n_nodes)
{
	for (size_t i = 0; i < capacity->n_nodes; i++) {
		capacity->nodes[i].total = 0;
		for (size_t j = 0; j < n_nodes; j++) {
			if (nodes[j].number == capacity->nodes[i].number)
				capacity->nodes[i].total = nodes[j].total;
		}
	}
	set_limits(capacity, request);
}

void capacity_clear(struct capacity *capacity)
{
	free(capacity->nodes);
	capacity->nodes = NULL;
	capacity->n_nodes = 0;
}

struct budget *capacity_of_node(struct capacity *capacity, unsigned number)
{
	for (size_t i = 0; i < capacity->n_nodes; i++) {
		if (capacity->nodes[i].number == number)
			return &capacity->nodes[i].budget;
	}
	return NULL;
}

void capacity_lift_limits(struct capacity *capacity, bool lifted)
{
	capacity->host.lifted = lifted;
	for (size_t i = 0; i < capacity->n_nodes; i++)
		capacity->nodes[i].budget.lifted = lifted;
}
