/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that tell of calls: what the VMM must trigger, and why there is none.
 */
#pragma once

#include "daemon/request/request.h"
#include "daemon/vm/call.h"

/* What the VMM must trigger and report; the caller owns it. NULL without memory. */
struct json_object *request_describe_call(struct request *request, const struct call *call);
/*
 * Adds the member of that name, "call" for one: what the VMM must trigger, or null where the call
 * is carried out, and then finishes it. REQUEST_DEFERRED where that is under way.
 */
int request_answer_call(struct request *request, const char *name, struct call *take_call);
/* Fills in why there is no call of the VM's: a limit, or what the ioctl failed with. */
int request_call_error(
	struct request *request, const struct vm *vm, enum mailbox_command command, int r);
