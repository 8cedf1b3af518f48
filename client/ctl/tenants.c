/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl tenants: what each may have, and has.
 */
#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

#define PRESSURE "pressure" /* a member of our own */

static const struct column columns[] = {
	{"tenant", "TENANT", TEXT_PLAIN},
	{"limit", "LIMIT", TEXT_BYTES},
	{"reserve", "RESERVE", TEXT_BYTES},
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

			json_add_string(tenant, PRESSURE,
				json_get_bool(tenant, "under_pressure") ? "yes" : "no");
		}
		status = print_table(ctl, columns, tenants);
	}
	json_unref(whole);
	return status;
}
