/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refusals. See refusal.h.
 */
#include "daemon/request/refusal.h"

static bool is_refusal(enum rpc_code code)
{
	return code == RPC_NOT_PERMITTED || code == RPC_BUDGET_EXCEEDED || code == RPC_LIMIT;
}

void refusal_note(struct gmemd *gmemd, const struct caller *caller, const char *method,
	const struct rpc_error *error)
{
	const struct process *process = &caller->process;
	char tenant[TENANT_NAME_SIZE];
	struct audit_entry entry = {.act = ACT_REQUEST_REFUSED,
		.process = process,
		.tenant = tenant,
		.also = {{"GMEMD_METHOD", method}, {"GMEMD_REASON", rpc_reason(error->code)}}};

	if (!is_refusal(error->code))
		return;
	owner_tenant(caller->owner, tenant);
	entry.vm = registry_vm_of_process(&gmemd->registry, process);
	audit_write(&gmemd->audit, &entry, "refused %s of process %d of user %u: %s", method,
		process->pid, process->uid, error->message);
}
