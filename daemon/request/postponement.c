/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Postponements. See postponement.h.
 */
#include "daemon/request/postponement.h"

#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/request/deferred_answer.h"
#include "protocol/json.h"

struct postponement {
	struct fdstore_waiter waiter;
	const struct server *server;
	struct gmemd *gmemd;
	struct caller *caller; /* there, or gone() is called */
	struct deferred_answer *deferred;
	struct json_object *message;
	struct batch *batch;
	unsigned order;
	uint64_t number; /* the packet's, as stages have it */
};

static void postponement_free(struct postponement *postponement)
{
	json_unref(postponement->message);
	free(postponement);
}

/* Its caller is gone. */
static void caller_gone(void *context)
{
	struct postponement *postponement = context;

	fdstore_forget_waiter(postponement->gmemd->fdstore, &postponement->waiter);
	deferred_answer_dissolve(postponement->deferred);
	postponement_free(postponement);
}

static void answer_postponed(struct request *request, struct json_object *take_answer)
{
	struct caller *caller = request->caller;

	if (request->batch)
		request->batch->go_on(request->batch, take_answer);
	else if (take_answer)
		caller->send(caller, take_answer, &request->answer_fds, NULL);
	if (!request->batch)
		json_unref(take_answer);
	fd_list_close(&request->answer_fds);
	if (caller->held == 0)
		caller->go_on(caller);
}

static void serve_postponed(struct postponement *postponement)
{
	struct request request = {
		.gmemd = postponement->gmemd,
		.caller = postponement->caller,
		.batch = postponement->batch,
		.numbered.order = postponement->order,
	};
	struct json_object *message;

	deferred_answer_dissolve(postponement->deferred);
	if (postponement->server->serve(postponement->message, &request, &message) ==
		SERVE_ANSWERED)
		answer_postponed(&request, message);
}

static void serve_now(struct fdstore_waiter *waiter)
{
	struct postponement *postponement = CONTAINER_OF(waiter, struct postponement, waiter);
	struct stages *stages = &postponement->gmemd->stages;
	struct stage_request before = stages_turn_to(stages, postponement->number, NULL);

	serve_postponed(postponement);
	postponement_free(postponement);
	stages_turn_back(stages, before);
}

int request_postpone(struct request *request)
{
	struct json_object *message = request_message_dup(request);
	struct postponement *postponement = message ? malloc(sizeof *postponement) : NULL;

	if (!postponement) {
		json_unref(message);
		return rpc_error_internal(&request->error, "no memory");
	}
	*postponement = (struct postponement){
		.waiter = {.ready = serve_now},
		.server = request->server,
		.gmemd = request->gmemd,
		.caller = request->caller,
		.deferred =
			request_defer(request, DEFERRED_ANSWER_IN_ORDER, caller_gone, postponement),
		.batch = request->batch,
		.order = request->numbered.order,
		.message = message,
		.number = request->timer.number,
	};
	if (!postponement->deferred) {
		postponement_free(postponement);
		return rpc_error_internal(&request->error, "no memory");
	}
	fdstore_wait(request->gmemd->fdstore, &postponement->waiter);
	return REQUEST_DEFERRED;
}
