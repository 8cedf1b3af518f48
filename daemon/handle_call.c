/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * call.done: what came of a call that a VMM had to trigger.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon/call.h"
#include "daemon/handler.h"
#include "daemon/log.h"

static int check_report(struct request *request, const struct call *call)
{
	const struct call_done_parameters *parameters = &request->parameters.call_done;
	struct rpc_error *error = &request->error;

	if (parameters->done > 1)
		return rpc_error_invalid_param(error, "done", "at most the call's count");
	if (parameters->errno_name && errno_by_name(parameters->errno_name) == 0)
		return rpc_error_invalid_param(error, "errno", "the name of an errno");
	if (parameters->done == 1 && parameters->errno_name)
		return rpc_error_invalid_param(
			error, "errno", "left out where all that was to be done is done");
	if (parameters->done == 0 && !parameters->errno_name)
		return rpc_error_invalid_param(error, "errno", "the name of what failed");
	if (parameters->fd >= 0 && (call->kind != CALL_CREATE || parameters->done == 0))
		return rpc_error_invalid_param(
			error, "fd", "left out but for a creation that succeeded");
	return 0;
}

static int adopt(struct request *request, const struct call *call)
{
	struct memory *memory = call->memory;
	int fd = request->parameters.call_done.fd;
	char expected[128];
	int r;

	if (memory->vm->gate != VM_GATE_NONE && !call->continued)
		return rpc_error_conflict(
			&request->error, "call", "The gate has let no such creation through");
	r = fd < 0 ? -EBADF : memory_adopt(memory, fd);
	if (r == -EEXIST)
		return rpc_error_conflict(
			&request->error, "memory", "gmemd has this guest_memfd already");
	if (r < 0) {
		snprintf(expected, sizeof expected,
			"the index of the new guest_memfd of %llu bytes in this packet",
			(unsigned long long)memory->size);
		return rpc_error_invalid_param(&request->error, "fd", expected);
	}
	request_take_fd(request, fd);
	events_memory(&request->gmemd->events, memory, EVENT_MEMORY_READY);
	return 0;
}

static int succeeded(struct request *request, const struct call *call)
{
	struct events *events = &request->gmemd->events;

	switch (call->kind) {
	case CALL_CREATE:
		return adopt(request, call);
	case CALL_BIND:
		call->slot->state = OBJECT_READY;
		events_slot(events, call->slot, EVENT_SLOT_BOUND);
		break;
	case CALL_UNBIND:
		events_slot(events, call->slot, EVENT_SLOT_UNBOUND);
		slot_free(call->slot);
		break;
	}
	return 0;
}

static void failed(struct request *request, const struct call *call)
{
	struct events *events = &request->gmemd->events;

	switch (call->kind) {
	case CALL_CREATE:
		events_memory(events, call->memory, EVENT_MEMORY_FAILED);
		memory_free(call->memory);
		break;
	case CALL_BIND:
		events_slot(events, call->slot, EVENT_SLOT_FAILED);
		slot_free(call->slot);
		break;
	case CALL_UNBIND:
		events_slot(events, call->slot, EVENT_SLOT_FAILED);
		call->slot->state = OBJECT_READY;
		break;
	}
}

/* Without a gate nothing tells that the VM was made but its first call. */
static void note_running(struct request *request, struct vm *vm)
{
	if (vm->gate != VM_GATE_NONE || vm->state != VM_OPENING)
		return;
	vm->state = VM_RUNNING;
	log_vm_info(vm->id, "made without a gate by process %d", vm->process.pid);
	events_vm(&request->gmemd->events, vm, EVENT_VM_RUNNING);
}

int handle_call_done(struct request *request)
{
	const struct call_done_parameters *parameters = &request->parameters.call_done;
	struct call *call;
	struct vm *vm;
	int r;

	r = request_vm(request, parameters->vm, &vm);
	if (r < 0)
		return r;
	call = vm_call(vm, parameters->call);
	if (!call)
		return rpc_error_not_found_number(&request->error, "call", parameters->call);
	r = check_report(request, call);
	if (r == 0 && parameters->done == 1)
		r = succeeded(request, call);
	if (r < 0)
		return r;
	if (parameters->done == 0)
		failed(request, call);
	else
		note_running(request, vm);
	call_free(call);
	return 0;
}
