/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resumption. See resumption.h.
 */
#include "daemon/request/resumption.h"

#include <poll.h>

void resumption_begin(struct caller *caller, const struct registry *registry)
{
	caller->resumption = registry->resumptions;
}

void resumption_note(const struct request *request, struct vm *vm)
{
	vm->resumption = request->caller->resumption = ++request->gmemd->registry.resumptions;
}

static bool is_closed(const struct caller *caller)
{
	struct pollfd event = {.fd = caller->delivery.fd};

	return poll(&event, 1, 0) > 0;
}

void resumption_recover(struct caller *caller)
{
	if (is_closed(caller))
		caller->resumption = 0;
}

/* Of others' VMs there may be many. */
bool resumption_left_behind(const struct request *request)
{
	struct registry *registry = &request->gmemd->registry;
	struct caller *caller = request->caller;
	const struct vm *vm;

	if (caller->resumption == registry->resumptions || request->notification)
		return false;
	vm = registry_vm_of_any_process(registry, &caller->process);
	if (vm && caller->resumption < vm->resumption)
		return is_closed(caller);
	caller->resumption = registry->resumptions;
	return false;
}
