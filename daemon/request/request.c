/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What handlers share. See request.h.
 */
#include "daemon/request/request.h"

#include <errno.h>
#include <unistd.h>

#include "protocol/json.h"

struct json_object *request_message_dup(const struct request *request)
{
	const char *why;

	return request->message ? json_ref(request->message)
				: json_parse(request->text.bytes, request->text.length, &why);
}

bool caller_sees_vm(const struct caller *caller, const struct vm *vm)
{
	if (caller->access == ACCESS_OPERATOR)
		return vm_is_seen(vm);
	/* To look whether a process has ended takes system calls. */
	if (vm->process.identity != caller->process.identity)
		return false;
	return registry_vm_of_process(vm->registry, &caller->process) == vm;
}

int request_process_unseen(struct request *request)
{
	return rpc_error_not_permitted(&request->error,
		"a process that gmemd can see: it is outside of gmemd's PID namespace");
}

int request_vm(struct request *request, const char *id, struct vm **ret)
{
	struct vm *vm = registry_vm_by_id(&request->gmemd->registry, id);

	if (!vm || !caller_sees_vm(request->caller, vm))
		return rpc_error_not_found(&request->error, "vm", id);
	if (vm_is_released(vm))
		return rpc_error_gone(&request->error, "vm", id);
	*ret = vm;
	return 0;
}

int request_gated_vm(struct request *request, const char *id, struct vm **ret)
{
	struct vm *vm = NULL;
	int r;

	r = request_vm(request, id, &vm);
	if (r < 0)
		return r;
	if (vm->gate == VM_GATE_PENDING && vm->listener < 0)
		return rpc_error_not_permitted(&request->error, "the gate's listener, by vm.gate");
	*ret = vm;
	return 0;
}

int request_memory_pending(struct request *request)
{
	return rpc_error_busy(
		&request->error, "The memory's creation has not been reported yet", 0);
}

int request_memory(struct request *request, uint64_t id, struct memory **ret)
{
	struct memory *memory = registry_memory(&request->gmemd->registry, id);

	if (!memory || !caller_sees_vm(request->caller, memory->vm))
		return rpc_error_not_found_number(&request->error, "memory", id);
	if (memory->state == OBJECT_PENDING)
		return request_memory_pending(request);
	if (memory->state == OBJECT_CLOSING)
		return rpc_error_gone_number(&request->error, "memory", id);
	*ret = memory;
	return 0;
}

bool request_was_done(const struct request *request)
{
	return delivery_is_again(&request->caller->delivery) &&
	       (request->error.code == RPC_GONE || request->error.code == RPC_NOT_FOUND);
}

int request_owner_limit_error(struct request *request, const struct owner *owner,
	enum owner_resource resource, const char *why_user, const char *why_tenant)
{
	enum limit limit = owner_limit_reached(owner, resource);

	request->owner_is_full = true;
	return limit_error_for(&request->error, &request->gmemd->config, owner_tenant_config(owner),
		limit, limit == owner_limit(resource) ? why_user : why_tenant);
}

int request_limit_error(struct request *request, enum limit limit, const char *why)
{
	return limit_error_for(&request->error, &request->gmemd->config,
		owner_tenant_config(request->caller->owner), limit, why);
}
