/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Postponements. See postponement.h.
 */
#include "daemon/request/postponement.h"

#include <stdlib.h>

#include "daemon/fdstore/fdstore.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/serve.h"
#include "protocol/json.h"

struct postponement {
	struct custody_waiter waiter;
	struct gmemd *gmemd;
	struct caller *caller; /* there, or gone() is called */
	struct deferral *deferral;
	struct json_object *message;
	struct batch *batch;
	unsigned order;
};

static void postponement_free(struct postponement *postponement)
{
	json_unref(postponement->message);
	free(postponement);
}

/* Its caller is gone. */
static void gone(void *context)
{
	struct postponement *postponement = context;

	custody_forget_waiter(postponement->gmemd->custody, &postponement->waiter);
	deferral_dissolve(postponement->deferral);
	postponement_free(postponement);
}

static void answer(struct request *request, struct json_object *take_answer)
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

static void serve_now(struct custody_waiter *waiter)
{
	struct postponement *postponement = (struct postponement *)waiter;
	struct request request = {
		.gmemd = postponement->gmemd,
		.caller = postponement->caller,
		.batch = postponement->batch,
		.order = postponement->order,
	};
	struct json_object *message;

	deferral_dissolve(postponement->deferral);
	if (serve(postponement->message, &request, &message) == SERVE_ANSWERED)
		answer(&request, message);
	postponement_free(postponement);
}

int request_postpone(struct request *request, struct json_object *message)
{
	struct postponement *postponement = malloc(sizeof *postponement);

	if (!postponement)
		return rpc_error_internal(&request->error, "no memory");
	*postponement = (struct postponement){
		.waiter = {.ready = serve_now},
		.gmemd = request->gmemd,
		.caller = request->caller,
		.deferral = request_defer(request, DEFERRAL_IN_ORDER, gone, postponement),
		.batch = request->batch,
		.order = request->order,
	};
	if (!postponement->deferral) {
		free(postponement);
		return rpc_error_internal(&request->error, "no memory");
	}
	postponement->message = json_ref(message);
	custody_wait(request->gmemd->custody, &postponement->waiter);
	return REQUEST_DEFERRED;
}
