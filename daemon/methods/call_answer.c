/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that tell of calls. See call_answer.h.
 */
#include "daemon/methods/call_answer.h"

#include <errno.h>

#include "daemon/gate/call_outcome.h"
#include "daemon/report/describe.h"
#include "protocol/json.h"

int request_answer_call(struct request *request, const char *name, struct call *take_call)
{
	uint64_t discarded;

	if (take_call->progress == CALL_SUBMITTED) {
		describe_call(json_add_object(request->result, name), take_call);
		return 0;
	}
	json_add_null(request->result, name);
	if (call_outcome_settle(&request->gmemd->events, take_call, take_call->count, &discarded) <
		0)
		return rpc_error_internal(&request->error, "no memory");
	return 0;
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
			"Too many calls of this kind wait to be reported", commands[command].limit,
			mailbox_entries(vm->mailbox, command), "vm");
	if (r == -E2BIG)
		return rpc_error_busy(&request->error,
			"What waits to be reported leaves only gaps, more than one answer tells of",
			0);
	if (r == -ENOMEM)
		return rpc_error_internal(&request->error, "no memory");
	return rpc_error_kernel(&request->error, -r, commands[command].ioctl);
}
