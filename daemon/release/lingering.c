/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refusals for the sake of VMs that linger. See lingering.h.
 */
#include "daemon/release/lingering.h"

#include <string.h>

#include "daemon/release/vm_watch.h"
#include "protocol/json.h"

/* About as long as giving pages back takes. */
#define RETRY_AFTER_MS 100

/* Whether it counts where the caller has as many as it may have. */
static bool is_of_caller(const struct request *request, const struct vm *vm)
{
	char tenant[TENANT_NAME_SIZE];

	owner_tenant(request->caller->owner, tenant);
	return vm->process.uid == request->caller->process.uid &&
	       strcmp(vm->tenant->name, tenant) == 0;
}

static bool end_those_of_caller(const struct request *request)
{
	struct vm *vm, *next;
	bool any = false;

	for (vm = LIST_FIRST(&request->gmemd->registry.lingering); vm; vm = next) {
		next = LIST_NEXT(vm, lingering);
		if (!is_of_caller(request, vm))
			continue;
		watch_end_linger(vm);
		any = true;
	}
	return any;
}

/* Who refused has room without those that are set aside, and had less with them. */
static bool would_have_room(const struct request *request, uint64_t committed_before)
{
	uint64_t requested = 0, limit = 0, committed = request->refused_by->committed;

	json_get_uint(request->error.data, "requested", &requested);
	json_get_uint(request->error.data, "limit", &limit);
	return committed < committed_before && committed <= limit && requested <= limit - committed;
}

/* A VM of which nothing would come there, for it is charged elsewhere or its tenant's reserve holds
 * the room, lingers on. */
static bool end_those_in_the_way(const struct request *request)
{
	const struct budget *refused = request->refused_by;
	struct registry *registry = &request->gmemd->registry;
	uint64_t before = refused->committed;
	struct vm *vm, *next;
	bool room;

	LIST_FOREACH (vm, &registry->lingering, lingering)
		vm_set_aside(vm);
	room = would_have_room(request, before);
	for (vm = LIST_FIRST(&registry->lingering); vm; vm = next) {
		next = LIST_NEXT(vm, lingering);
		before = refused->committed;
		vm_put_back(vm);
		if (room && refused->committed > before)
			watch_end_linger(vm);
	}
	return room;
}

int request_before_lingering(struct request *request, int code)
{
	bool ended = false;

	if (code == RPC_BUDGET_EXCEEDED && request->refused_by)
		ended = end_those_in_the_way(request);
	else if (code == RPC_LIMIT && request->owner_is_full)
		ended = end_those_of_caller(request);
	if (!ended)
		return code;
	rpc_error_clear(&request->error);
	return rpc_error_busy(&request->error,
		"Memory of VMs whose processes have ended is being given back", RETRY_AFTER_MS);
}
