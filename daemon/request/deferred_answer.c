/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deferrals. See deferred_answer.h.
 */
#include "daemon/request/deferred_answer.h"

#include <stdlib.h>

#include "protocol/json.h"
#include "protocol/message.h"

struct deferral {
	LIST_ENTRY(deferral) link;
	struct caller *caller; /* NULL: gone */
	struct json_object *id;
	bool notification;
	bool in_order;
	struct batch *batch;
	void (*gone)(void *context);
	void *context;
	struct later later; /* where it does not hold its caller */
};

struct deferral *request_defer(struct request *request, enum deferral_order order,
	void (*gone)(void *context), void *context)
{
	struct deferral *deferral = malloc(sizeof *deferral);

	if (!deferral)
		return NULL;
	*deferral = (struct deferral){
		.caller = request->caller,
		.id = json_ref(request->id),
		.notification = request->notification,
		.in_order = order == DEFERRAL_IN_ORDER || request->batch,
		.batch = request->batch,
		.gone = gone,
		.context = context,
	};
	if (!deferral->in_order)
		turn_owe_later(&request->caller->turn, request, &deferral->later);
	LIST_INSERT_HEAD(&request->caller->deferrals, deferral, link);
	request->caller->held += deferral->in_order;
	return deferral;
}

void deferral_ending(struct deferral *deferral)
{
	deferral->gone = NULL;
}

const struct caller *deferral_caller(const struct deferral *deferral)
{
	return deferral->caller;
}

void deferral_notify(struct deferral *deferral, const char *method, struct json_object *take_params)
{
	struct json_object *message = message_notification(method, take_params);

	if (deferral->caller)
		deferral->caller->notify(deferral->caller, message);
	json_unref(message);
}

static void deliver(
	struct deferral *deferral, struct json_object *take_answer, struct fd_list *take_fds)
{
	struct caller *caller = deferral->caller;

	LIST_REMOVE(deferral, link);
	if (deferral->notification)
		take_answer = json_unref(take_answer);
	if (deferral->batch) {
		deferral->batch->go_on(deferral->batch, take_answer);
	} else if (take_answer) {
		caller->send(caller, take_answer, take_fds,
			deferral->in_order ? NULL : &deferral->later);
		json_unref(take_answer);
	}
	turn_forget_later(&caller->turn, &deferral->later);
	caller->held -= deferral->in_order;
	if (caller->held == 0)
		caller->go_on(caller);
}

void deferral_answer_message(
	struct deferral *take_deferral, struct json_object *take_message, struct fd_list *take_fds)
{
	if (take_deferral->caller)
		deliver(take_deferral, take_message, take_fds);
	else
		json_unref(take_message);
	fd_list_close(take_fds);
	json_unref(take_deferral->id);
	free(take_deferral);
}

void deferral_answer(struct deferral *take_deferral, struct json_object *take_result)
{
	struct fd_list none = {.count = 0};

	deferral_answer_message(
		take_deferral, message_result(take_deferral->id, take_result), &none);
}

void deferral_refuse(struct deferral *take_deferral, struct rpc_error *error)
{
	struct json_object *answer = message_error(take_deferral->id, error);
	struct fd_list none = {.count = 0};

	rpc_error_clear(error);
	deferral_answer_message(take_deferral, answer, &none);
}

void deferral_dissolve(struct deferral *take_deferral)
{
	struct caller *caller = take_deferral->caller;

	if (caller) {
		LIST_REMOVE(take_deferral, link);
		turn_forget_later(&caller->turn, &take_deferral->later);
		caller->held -= take_deferral->in_order;
	}
	json_unref(take_deferral->id);
	free(take_deferral);
}

void deferrals_abandon(struct caller *caller)
{
	struct deferral *deferral;

	if (caller->paused)
		caller->paused->abandon(caller->paused);
	caller->paused = NULL;
	while ((deferral = LIST_FIRST(&caller->deferrals))) {
		LIST_REMOVE(deferral, link);
		turn_forget_later(&caller->turn, &deferral->later);
		deferral->caller = NULL;
		if (deferral->batch)
			deferral->batch->abandon(deferral->batch);
		if (deferral->gone)
			deferral->gone(deferral->context);
	}
}
