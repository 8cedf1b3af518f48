/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OpenStack: nova's provider configuration, from which placement has inventories and traits of this
 * host. https://docs.openstack.org/nova/latest/admin/managing-resource-providers.html
 */
#include <inttypes.h>

#include "client/ctl/export/export.h"
#include "protocol/json.h"

#define MIB_SHIFT 20

/* Of placement's numbers. */
#define TOTAL_MAX INT32_MAX

/* A node of which nothing may be committed has no inventory: placement wants one at least. */
static void print_node(const struct json_object *node, FILE *file)
{
	uint64_t number = 0, limit = 0, total;

	json_get_uint(node, "node", &number);
	json_get_uint(node, "limit", &limit);
	total = limit >> MIB_SHIFT;
	if (total > TOTAL_MAX)
		total = TOTAL_MAX;
	if (total == 0)
		return;
	fprintf(file,
		"        - CUSTOM_GMEMD_NODE%" PRIu64 "_MIB:\n"
		"            total: %" PRIu64 "\n"
		"            reserved: 0\n"
		"            min_unit: 1\n"
		"            max_unit: %" PRIu64 "\n"
		"            step_size: 1\n"
		"            allocation_ratio: 1.0\n",
		number, total, total);
}

static void print_traits(const struct json_object *host, FILE *file)
{
	uint64_t attributes = 0;

	json_get_uint(json_get(host, "kernel"), "memory_attributes", &attributes);
	fputs("    traits:\n"
	      "      additional:\n"
	      "        - CUSTOM_GMEMD\n",
		file);
	if (json_get_bool(json_get(host, "gate"), "available"))
		fputs("        - CUSTOM_GMEMD_GATE\n", file);
	if (attributes > 0)
		fputs("        - CUSTOM_GMEMD_PRIVATE_MEMORY\n", file);
}

void export_nova_provider(const struct export_facts *facts, FILE *file)
{
	fputs("# Written by gmemctl export nova-provider.\n"
	      "meta:\n"
	      "  schema_version: '1.0'\n"
	      "providers:\n"
	      "  - identification:\n"
	      "      uuid: $COMPUTE_NODE\n"
	      "    inventories:\n"
	      "      additional:\n",
		file);
	for (size_t i = 0; i < json_length(facts->nodes); i++)
		print_node(json_at(facts->nodes, i), file);
	print_traits(facts->host, file);
}
