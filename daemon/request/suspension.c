/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Suspensions. See suspension.h.
 */
#include "daemon/request/suspension.h"

#include "daemon/request/deferred_answer.h"
#include "protocol/json.h"

int suspension_begin(struct suspension *suspension, struct request *request,
	void (*gone)(void *context), void *context)
{
	struct json_object *message = request_message_dup(request);
	struct deferred_answer *deferred =
		message ? request_defer(request, DEFERRED_ANSWER_IN_ORDER, gone, context) : NULL;

	if (!deferred) {
		json_unref(message);
		return rpc_error_internal(&request->error, "no memory");
	}
	*suspension = (struct suspension){
		.server = request->server,
		.gmemd = request->gmemd,
		.caller = request->caller,
		.message = message,
		.batch = request->batch,
		.numbered = request->numbered,
		.deferred = deferred,
	};
	return REQUEST_DEFERRED;
}

struct request suspension_request(const struct suspension *suspension)
{
	return (struct request){
		.server = suspension->server,
		.gmemd = suspension->gmemd,
		.caller = suspension->caller,
		.message = suspension->message,
		.batch = suspension->batch,
		.numbered = suspension->numbered,
	};
}

void suspension_serve(struct suspension *suspension, struct request *request)
{
	if (!suspension->deferred)
		return;
	deferred_answer_ending(suspension->deferred);
	request->server->serve_again(request, suspension->deferred);
}

void suspension_caller_gone(struct suspension *suspension)
{
	struct rpc_error error = {.code = RPC_OK};

	rpc_error_gone(&error, "process", "that connected");
	deferred_answer_refuse(suspension->deferred, &error);
	suspension->deferred = NULL;
}

void suspension_clear(struct suspension *suspension)
{
	json_unref(suspension->message);
}
