/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl nodes: the host's NUMA nodes, as numactl --hardware has them, and what VMs have of each.
 */
#include <stdio.h>

#include "client/ctl/columns.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

static const struct column all_columns[] = {
	{"node", "NODE", TEXT_NUMBER},
	{"cpus", "CPUS", TEXT_PLAIN},
	{"size", "SIZE", TEXT_BYTES},
	{"free", "FREE", TEXT_BYTES},
	{"available", "AVAILABLE", TEXT_BYTES},
	{"reserve", "RESERVE", TEXT_BYTES},
	{"limit", "LIMIT", TEXT_BYTES},
	{"committed", "COMMITTED", TEXT_BYTES},
	{"promised", "PROMISED", TEXT_BYTES},
	{"uncommitted", "UNCOMMITTED", TEXT_BYTES},
	{"resident", "RESIDENT", TEXT_BYTES},
	{"distances", "DISTANCES", TEXT_PLAIN},
	{.member = NULL},
};

#define USUAL "node,cpus,size,free,reserve,limit,committed,promised,uncommitted,resident"

const struct table nodes_tables[] = {
	{"NUMA nodes, with --output; without, " USUAL ", and then the distances", all_columns,
		METHOD_NODE_LIST, "nodes", NULL, NULL},
	{.columns = NULL},
};

/* As numactl has it: the kernel's list of each node's, in the order of the nodes. */
static void print_distances(const struct json_object *nodes)
{
	puts("\nnode distances:");
	for (size_t i = 0; i < json_length(nodes); i++) {
		const struct json_object *node = json_at(nodes, i);
		uint64_t number = 0;

		json_get_uint(node, "node", &number);
		printf("%3u: %s\n", (unsigned)number, json_get_string(node, "distances"));
	}
}

static enum ctl_status print_nodes(const struct ctl *ctl, const struct json_object *nodes)
{
	struct columns_chosen chosen;
	enum ctl_status status = columns_choose(ctl, all_columns, USUAL, ctl->output, &chosen);

	if (status == CTL_DONE)
		status = print_table(ctl, chosen.columns, nodes);
	if (status == CTL_DONE && !ctl->output && !ctl->no_headings)
		print_distances(nodes);
	return status;
}

enum ctl_status ctl_nodes(struct ctl *ctl, char **arguments)
{
	struct columns_chosen chosen;
	struct json_object *list;
	enum ctl_status status = columns_choose(ctl, all_columns, USUAL, ctl->output, &chosen);

	(void)arguments;
	/* Whose pages are counted for that. */
	if (status == CTL_DONE)
		status = request_count(ctl);
	if (status == CTL_DONE)
		status = request_whole(ctl, "node.list", &list);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		print_value(ctl, list);
	else
		status = print_nodes(ctl, json_get(list, "nodes"));
	json_unref(list);
	return status;
}
