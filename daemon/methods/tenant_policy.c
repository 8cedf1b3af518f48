/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a tenant lets its VMs do. See tenant_policy.h.
 */
#include "daemon/methods/tenant_policy.h"

#include <stdio.h>

static int not_open(struct request *request, const struct tenant *tenant)
{
	char what[TENANT_NAME_SIZE + 64];

	snprintf(what, sizeof what, "tenant %s, which the configuration does not have any more",
		tenant->name);
	return rpc_error_not_permitted(&request->error, what);
}

int request_tenant(struct request *request, struct tenant **ret)
{
	const struct owner_name name = owner_name(request->caller->owner);
	struct tenant *tenant;

	if (tenants_get(&request->gmemd->registry.tenants, name.tenant, name.uid, &tenant) < 0)
		return rpc_error_internal(&request->error, "no memory");
	if (!tenant_is_open(tenant)) {
		not_open(request, tenant);
		tenant_unref(tenant);
		return request->error.code;
	}
	*ret = tenant;
	return 0;
}
