/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that tell of calls. See call_answer.h.
 */
#include "daemon/methods/call_answer.h"

#include <errno.h>

#include "daemon/release/call_reports.h"
#include "daemon/release/settlement.h"
#include "daemon/report/describe.h"
#include "daemon/request/deferred_answer.h"
#include "protocol/json.h"

struct json_object *request_describe_call(struct request *request, const struct call *call)
{
	call_reports_await(request->gmemd, call->vm);
	return describe_call(call);
}

int request_answer_call(struct request *request, const char *name, struct call *take_call)
{
	uint64_t discarded;
	int r;

	if (take_call->progress == CALL_SUBMITTED) {
		json_add_made(request->result, name, request_describe_call(request, take_call));
		return 0;
	}
	json_add_null(request->result, name);
	r = settlement_begin(request->gmemd, take_call, take_call->count, &discarded);
	if (r == REQUEST_DEFERRED)
		return settlement_await(request, take_call, NULL);
	return r < 0 ? rpc_error_internal(&request->error, "no memory") : 0;
}

int request_call_error(
	struct request *request, const struct vm *vm, enum mailbox_command command, int r)
{
	/* Each of them is an entry of the mailbox, whose layout is fixed. */
	static const struct {
		const char *ioctl, *limit;
	} commands[MAILBOX_COMMANDS] = {
		[MAILBOX_CREATE] = {"KVM_CREATE_GUEST_MEMFD", "creations-waiting-per-vm"},
		[MAILBOX_SLOT] = {"KVM_SET_USER_MEMORY_REGION2", "slot-changes-waiting-per-vm"},
		[MAILBOX_ATTRIBUTES] = {"KVM_SET_MEMORY_ATTRIBUTES", "conversions-waiting-per-vm"},
	};

	if (r == -EBUSY)
		return rpc_error_limit(&request->error,
			"Too many calls of this kind have not been reported yet",
			commands[command].limit, mailbox_entries(vm->mailbox, command), "vm");
	if (r == -E2BIG)
		return rpc_error_busy(&request->error,
			"The mailbox's free entries lie too far apart for one answer: report some "
			"calls first",
			0);
	if (r == -EAGAIN)
		return rpc_error_pinned(&request->error, vm->pinned.memory, vm->pinned.offset);
	if (r == -ENOMEM)
		return rpc_error_internal(&request->error, "no memory");
	return rpc_error_kernel(&request->error, -r, commands[command].ioctl);
}
