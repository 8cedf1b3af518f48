/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reserves. See config_reserve.h.
 */
#include "daemon/config/config_reserve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_setting.h"
#include "daemon/config/config_tenant.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/ranges.h"
#include "kernel/host/meminfo.h"

#define FAULT_SIZE 200

static void fault_of(struct config *config, struct config_faults *faults,
	const struct config_tenant *tenant, const char *name, const char *text)
{
	const struct config_setting *setting = config_tenant_setting_find(name);
	const struct config_origin *origin = &tenant->origins[setting - config_tenant_settings];

	config_faults_of_file(faults, config->paths.all[origin->file]);
	config_faults_add(faults, origin->line, name, "%s", text);
}

static uint64_t memory_total(void)
{
	struct meminfo meminfo = {.total = 0};
	cleanup_fd int fd = -1;

	if (meminfo_open(&fd) == 0)
		meminfo_read(fd, &meminfo);
	return meminfo.total;
}

static uint64_t node_total(unsigned node)
{
	struct meminfo meminfo = {.total = 0};
	cleanup_fd int fd = -1;

	if (meminfo_open_node(node, &fd) == 0)
		meminfo_read_node(fd, &meminfo);
	return meminfo.total;
}

static uint64_t all_nodes_total(void)
{
	struct ranges numbers = {.leaves = NULL};
	struct range_place place;
	uint64_t total = 0;

	meminfo_nodes(&numbers);
	for (const struct range *range = ranges_from(&numbers, 0, &place); range;
		range = ranges_next(&place)) {
		for (uint64_t node = range->start; node < range->end; node++)
			total += node_total((unsigned)node);
	}
	ranges_clear(&numbers);
	return total;
}

/* The host's */

static void check_reserve(struct config *config, const struct config_tenant *tenant, uint64_t total,
	uint64_t *left, struct config_faults *faults)
{
	uint64_t reserve = config_bytes(&tenant->reserve, total);
	uint64_t limit = config_bytes(&tenant->limit, total);
	char text[FAULT_SIZE] = "";

	if (reserve > limit)
		snprintf(text, sizeof text, "must be at most the tenant's limit, %" PRIu64 " bytes",
			limit);
	else if (reserve > *left)
		snprintf(text, sizeof text,
			"must be at most %" PRIu64
			" bytes, which the reserves before it leave of what this host can give",
			*left);
	if (text[0])
		fault_of(config, faults, tenant, "reserve", text);
	*left -= reserve < *left ? reserve : *left;
}

/* By nodes */

struct node_room {
	bool known;
	uint64_t total; /* 0: there is no such node, or it has no memory */
	uint64_t left;
};

struct rooms {
	const struct config *config;
	uint64_t host, all_nodes;
	struct node_room of_node[CONFIG_NODE_MAX + 1];
};

static struct node_room *room_of(struct rooms *rooms, unsigned node)
{
	struct node_room *room = &rooms->of_node[node];

	if (!room->known) {
		room->total = node_total(node);
		room->left = config_node_capacity(
			rooms->config, rooms->host, room->total, rooms->all_nodes);
		room->known = true;
	}
	return room;
}

static bool is_named_before(const struct config_list *list, unsigned word)
{
	for (unsigned i = 0; i < word; i++) {
		if (list->ids[i] == list->ids[word])
			return true;
	}
	return false;
}

/* What is wrong of one node's; "": nothing. */
static void check_node(struct rooms *rooms, const struct config_list *list, unsigned word,
	char ret[static FAULT_SIZE])
{
	struct node_room *room = room_of(rooms, list->ids[word]);
	uint64_t bytes = config_list_bytes(list, word);

	ret[0] = '\0';
	if (room->total == 0)
		snprintf(ret, FAULT_SIZE,
			"must be of nodes of this host that have memory, and node %u is none",
			list->ids[word]);
	else if (is_named_before(list, word))
		snprintf(ret, FAULT_SIZE, "must name node %u once", list->ids[word]);
	else if (bytes > room->left)
		snprintf(ret, FAULT_SIZE,
			"of node %u must be at most %" PRIu64
			" bytes, which those before it leave of what that node can give",
			list->ids[word], room->left);
	room->left -= bytes < room->left ? bytes : room->left;
}

static void check_nodes(struct config *config, const struct config_tenant *tenant,
	struct rooms *rooms, struct config_faults *faults)
{
	const struct config_list *list = &tenant->node_reserve;
	uint64_t left = config_bytes(&tenant->reserve, rooms->host);
	char text[FAULT_SIZE];

	for (unsigned i = 0; i < list->count; i++) {
		uint64_t bytes = config_list_bytes(list, i);

		check_node(rooms, list, i, text);
		if (!text[0] && bytes > left)
			snprintf(text, sizeof text,
				"must be at most the tenant's reserve, %" PRIu64
				" bytes, all nodes together",
				config_bytes(&tenant->reserve, rooms->host));
		if (text[0]) {
			fault_of(config, faults, tenant, "node-reserve", text);
			return;
		}
		left -= bytes;
	}
}

void config_reserves_check(struct config *config, struct config_faults *faults)
{
	cleanup_free struct rooms *rooms = calloc(1, sizeof *rooms);
	uint64_t left;

	if (!rooms) {
		config_faults_add(faults, 0, "", "%s", strerror(ENOMEM));
		return;
	}
	rooms->config = config;
	rooms->host = memory_total();
	rooms->all_nodes = all_nodes_total();
	left = config_capacity(config, rooms->host);
	for (unsigned i = 0; i < config->tenants.count; i++) {
		check_reserve(config, config->tenants.all[i], rooms->host, &left, faults);
		check_nodes(config, config->tenants.all[i], rooms, faults);
	}
}
