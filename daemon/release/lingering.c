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

/* Whether what the VM has is charged where the request was refused. */
static bool is_in_scope(const struct request *request, const struct vm *vm)
{
	const char *scope = json_get_string(request->error.data, "scope");

	if (request->error.code == RPC_LIMIT)
		return vm->process.uid == request->caller->process.uid;
	if (strcmp(scope, "host") == 0 || strcmp(scope, "node") == 0)
		return true;
	return strcmp(scope, "vm") != 0 && strcmp(scope, "cgroup") != 0 &&
	       strcmp(vm->tenant->name, owner_name(request->caller->owner).tenant) == 0;
}

static uint64_t held_by(const struct vm *vm)
{
	uint64_t promised = vm->budget.is_promised ? vm->budget.limit : 0;

	return promised > vm->budget.committed ? promised : vm->budget.committed;
}

static bool would_have_room(const struct request *request)
{
	uint64_t requested = 0, room = 0;
	const struct vm *vm;
	bool any = false;

	json_get_uint(request->error.data, "requested", &requested);
	json_get_uint(request->error.data, "available", &room);
	LIST_FOREACH (vm, &request->gmemd->registry.lingering, lingering) {
		if (!is_in_scope(request, vm))
			continue;
		any = true;
		room += held_by(vm);
	}
	return any && (request->error.code == RPC_LIMIT || requested <= room);
}

int request_before_lingering(struct request *request, int code)
{
	struct vm *vm = LIST_FIRST(&request->gmemd->registry.lingering), *next;

	if (!vm || (code != RPC_BUDGET_EXCEEDED && code != RPC_LIMIT) || !would_have_room(request))
		return code;
	for (; vm; vm = next) {
		next = LIST_NEXT(vm, lingering);
		if (is_in_scope(request, vm))
			watch_end_linger(vm);
	}
	rpc_error_clear(&request->error);
	return rpc_error_busy(&request->error,
		"Memory of VMs whose processes have ended is being given back", RETRY_AFTER_MS);
}
