/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The capacity of this host. See capacity_probe.h.
 */
#include "daemon/budget/capacity_probe.h"

#include <errno.h>
#include <stdlib.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/ranges.h"
#include "kernel/host/meminfo.h"

/* False for a node that has no memory now. */
static bool read_node(unsigned number, struct capacity_node *ret)
{
	cleanup_fd int fd = -1;
	struct meminfo meminfo;

	if (meminfo_open_node(number, &fd) < 0 || meminfo_read_node(fd, &meminfo) < 0)
		return false;
	*ret = (struct capacity_node){.number = number, .total = meminfo.total};
	return true;
}

/* nodes has room for all in numbers. */
static size_t read_nodes(const struct ranges *numbers, struct capacity_node *nodes)
{
	struct range_place place;
	size_t count = 0;

	for (const struct range *range = ranges_from(numbers, 0, &place); range;
		range = ranges_next(&place)) {
		for (uint64_t number = range->start; number < range->end; number++)
			count += read_node((unsigned)number, &nodes[count]);
	}
	return count;
}

static struct capacity_request request_of(const struct config *config, uint64_t total)
{
	return (struct capacity_request){
		.total = total,
		.host_reserve = config_bytes(&config->host_reserve, total),
		.overcommit = config->overcommit,
		.commit_limit = config->commit_limit,
	};
}

/* The caller frees them; without memory there are none. */
static size_t list_nodes(struct capacity_node **ret)
{
	struct ranges numbers = {.leaves = NULL};
	size_t count = 0;

	*ret = NULL;
	if (meminfo_nodes(&numbers) == 0 && ranges_total(&numbers) > 0) {
		*ret = calloc(ranges_total(&numbers), sizeof **ret);
		if (*ret)
			count = read_nodes(&numbers, *ret);
	}
	ranges_clear(&numbers);
	return count;
}

int capacity_init_host(
	struct capacity *capacity, const struct config *config, const struct host_offer *host)
{
	const struct capacity_request request = request_of(config, host->memory_total);
	cleanup_free struct capacity_node *nodes = NULL;
	size_t count = list_nodes(&nodes);

	return capacity_init(capacity, &request, nodes, count);
}

int capacity_follow_host(struct capacity *capacity, const struct config *config, uint64_t total)
{
	const struct capacity_request request = request_of(config, total);
	cleanup_free struct capacity_node *nodes = NULL;
	size_t count = list_nodes(&nodes);

	return capacity_change(capacity, &request, nodes, count);
}
