/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * call.done: what came of a call that a VMM had to trigger.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/base/log.h"
#include "daemon/methods/methods.h"
#include "daemon/release/settlement.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/request.h"
#include "daemon/request/request_files.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"

static int check_report(struct request *request, const struct call *call)
{
	const struct call_done_parameters *parameters = &request->parameters.call_done;
	struct rpc_error *error = &request->error;
	bool all = parameters->done == call->count;

	if (call->settling && parameters->done != call->done)
		return rpc_error_conflict(error, "call",
			"The call has been reported already, with another number of ioctls that "
			"succeeded");
	if (parameters->done > call->count)
		return rpc_error_invalid_param(error, "done", "at most the call's count");
	if (parameters->errno_name && errno_by_name(parameters->errno_name) == 0)
		return rpc_error_invalid_param(error, "errno", "the name of an errno");
	if (all && parameters->errno_name)
		return rpc_error_invalid_param(
			error, "errno", "left out, for all of the call's ioctls succeeded");
	if (!all && !parameters->errno_name)
		return rpc_error_invalid_param(error, "errno", "the name of what failed");
	if (parameters->fd >= 0 && (call->kind != CALL_CREATE || !all))
		return rpc_error_invalid_param(
			error, "fd", "left out: only a creation that succeeded has one");
	return 0;
}

/* 0 where the request has it, by request->files. */
static int take_memory_file(struct request *request, const struct memory *memory, int *ret_fd)
{
	int number = request->parameters.call_done.fd;
	struct file_wish wish = {
		.param = "fd", .number = number, .kind = TAKER_GUEST_MEMFD, .size = memory->size};
	char expected[96];

	snprintf(expected, sizeof expected, "the number of the new guest_memfd, of %llu bytes",
		(unsigned long long)memory->size);
	wish.expected = expected;
	if (number < 0)
		return rpc_error_invalid_param(&request->error, wish.param, expected);
	return request_take_file(request, memory->vm->owner, &wish, ret_fd);
}

static int adopt_memory(struct request *request, const struct call *call)
{
	struct memory *memory = call->memory;
	int fd = -1, r;

	if (memory->vm->gate != VM_GATE_NONE && !call->continued)
		return rpc_error_conflict(&request->error, "call",
			"The gate has let no KVM_CREATE_GUEST_MEMFD through for this call");
	r = take_memory_file(request, memory, &fd);
	if (r != 0)
		return r;
	r = memory_adopt(memory, fd);
	if (r == -EEXIST)
		return rpc_error_conflict(
			&request->error, "memory", "gmemd has this guest_memfd already");
	if (r < 0)
		return rpc_error_kernel(&request->error, -r, "taking over the guest_memfd");
	request_take_over(request, 0);
	return 0;
}

static void note_waited(struct request *request, const struct vm *vm)
{
	uint64_t waited_ms = request->parameters.call_done.waited_ms;

	if (audit_admits_line(&request->gmemd->audit, &vm->process))
		log_vm_info(vm->id, "its VMM has waited %" PRIu64 " ms for gmemd", waited_ms);
	events_vm_waited(&request->gmemd->events, vm, waited_ms);
}

static int finish_call(struct request *request, struct call *call, unsigned done)
{
	static const uint64_t nothing_else;
	bool conversion = call->kind == CALL_CONVERT;
	uint64_t discarded;
	int r;

	r = call->settlement ? REQUEST_DEFERRED
			     : settlement_begin(request->gmemd, call, done, &discarded);
	if (r == REQUEST_DEFERRED)
		return settlement_await(request, call, &nothing_else);
	if (r < 0)
		return rpc_error_internal(&request->error, "no memory");
	if (conversion)
		json_add_uint(request->result, "discarded", discarded);
	return 0;
}

/* Whether it was reported before by who did not hear the answer, for gmemd ended amid it. */
static bool was_reported(const struct request *request, const struct vm *vm)
{
	const struct call_done_parameters *parameters = &request->parameters.call_done;
	bool of_predecessor = parameters->call >> 32 < vm->generation;

	if (parameters->call == 0)
		return false;
	return (parameters->call == vm->inherited.call && parameters->done == vm->inherited.done) ||
	       (of_predecessor && delivery_is_again(&request->caller->delivery));
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
	if (!call && was_reported(request, vm))
		return 0;
	if (!call)
		return rpc_error_not_found_number(&request->error, "call", parameters->call);
	r = check_report(request, call);
	if (r == 0 && call->kind == CALL_CREATE && parameters->done == 1)
		r = adopt_memory(request, call);
	if (r == 0)
		r = finish_call(request, call, (unsigned)parameters->done);
	if (r >= 0 && parameters->waited_ms > 0)
		note_waited(request, vm);
	return r;
}
