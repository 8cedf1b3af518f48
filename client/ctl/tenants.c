/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl tenants: what each may have, and has.
 */
#include <stdio.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

#define PRESSURE "pressure" /* a member of our own */
#define BY_NODE  "node_reserves"

static const struct column columns[] = {
	{"tenant", "TENANT", TEXT_PLAIN},
	{"limit", "LIMIT", TEXT_BYTES},
	{"reserve", "RESERVE", TEXT_BYTES},
	{BY_NODE, "BY NODE", TEXT_PLAIN},
	{"promised", "PROMISED", TEXT_BYTES},
	{"committed", "COMMITTED", TEXT_BYTES},
	{"resident", "RESIDENT", TEXT_BYTES},
	{"vms", "VMS", TEXT_NUMBER},
	{PRESSURE, "UNDER PRESSURE", TEXT_PLAIN},
	{.member = NULL},
};

const struct table tenants_tables[] = {
	{"Tenants", columns, METHOD_TENANT_LIST, "tenants", PRESSURE,
		"Whether its VMs alone are asked for memory."},
	{.columns = NULL},
};

/* "0:8G 1:8G"; "-" */
static void print_nodes(
	const struct ctl *ctl, struct json_object *nodes, char ret[static TEXT_SIZE])
{
	size_t used = 0;

	strcpy(ret, "-");
	for (size_t i = 0; i < json_length(nodes) && used < TEXT_SIZE; i++) {
		struct json_object *one = json_at(nodes, i);
		char node[TEXT_SIZE], bytes[TEXT_SIZE];

		text_of_value(ctl, TEXT_NUMBER, json_get(one, "node"), node, sizeof node);
		text_of_value(ctl, TEXT_BYTES, json_get(one, "reserve"), bytes, sizeof bytes);
		used += (size_t)snprintf(
			ret + used, TEXT_SIZE - used, "%s%s:%s", i > 0 ? " " : "", node, bytes);
	}
}

enum ctl_status ctl_tenants(struct ctl *ctl, char **arguments)
{
	struct json_object *whole, *tenants;
	enum ctl_status status;

	(void)arguments;
	status = request_whole(ctl, "tenant.list", &whole);
	if (status != CTL_DONE)
		return status;
	tenants = json_get(whole, "tenants");
	if (ctl->json) {
		print_value(ctl, whole);
	} else {
		for (size_t i = 0; i < json_length(tenants); i++) {
			struct json_object *tenant = json_at(tenants, i);
			char by_node[TEXT_SIZE];

			print_nodes(ctl, json_get(tenant, BY_NODE), by_node);
			json_add_string(tenant, BY_NODE, by_node);
			json_add_string(tenant, PRESSURE,
				json_get_bool(tenant, "under_pressure") ? "yes" : "no");
		}
		status = print_table(ctl, columns, tenants);
	}
	json_unref(whole);
	return status;
}
