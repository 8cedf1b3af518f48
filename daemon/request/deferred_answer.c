/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deferrals. See deferred_answer.h.
 */
#include "daemon/request/deferred_answer.h"

#include <stdlib.h>

#include "daemon/request/refusal.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"
#include "protocol/message.h"

struct deferred_answer {
	LIST_ENTRY(deferred_answer) link;
	struct gmemd *gmemd;
	struct caller *caller; /* NULL: gone */
	struct owner *owner;   /* charged for it while its caller is there */
	const char *method;
	struct request_timer timer;
	struct json_object *id;
	bool notification;
	bool in_order;
	struct batch *batch;
	struct numbered_request numbered;
	void (*gone)(void *context);
	void *context;
	struct later later; /* where it does not hold its caller */
};

/* So long that a successor has finished what it takes over. */
#define REPEAT_MS 100

/* A successor, which does not know what came of it, has the request repeated. */
static void owe_later(const struct request *request, struct later *ret)
{
	struct rpc_error error = {.code = RPC_OK};
	struct json_object *answer = NULL;

	if (!request->notification) {
		rpc_error_busy(&error, "gmemd was restarted while it did this", REPEAT_MS);
		answer = message_error(request->id, &error);
	}
	delivery_owe_later(&request->caller->delivery, &request->numbered, answer, ret);
	json_unref(answer);
	rpc_error_clear(&error);
}

struct deferred_answer *request_defer(struct request *request, enum deferred_answer_order order,
	void (*gone)(void *context), void *context)
{
	struct deferred_answer *deferred = malloc(sizeof *deferred);

	if (!deferred)
		return NULL;
	*deferred = (struct deferred_answer){
		.gmemd = request->gmemd,
		.caller = request->caller,
		.method = request->method,
		.timer = request->timer,
		.id = json_ref(request->id),
		.notification = request->notification,
		.in_order = order == DEFERRED_ANSWER_IN_ORDER || request->batch,
		.batch = request->batch,
		.numbered = request->numbered,
		.gone = gone,
		.context = context,
	};
	if (!deferred->in_order)
		owe_later(request, &deferred->later);
	deferred->owner = request->caller->owner;
	owner_charge_anyway(deferred->owner, OWNER_IN_FLIGHT);
	LIST_INSERT_HEAD(&request->caller->deferrals, deferred, link);
	request->caller->held += deferred->in_order;
	return deferred;
}

void deferred_answer_ending(struct deferred_answer *deferred)
{
	deferred->gone = NULL;
}

struct request_timer deferred_answer_timer(const struct deferred_answer *deferred)
{
	return deferred->timer;
}

const struct caller *deferred_answer_caller(const struct deferred_answer *deferred)
{
	return deferred->caller;
}

void deferred_answer_notify(
	struct deferred_answer *deferred, const char *method, struct json_object *take_params)
{
	struct json_object *message = message_notification(method, take_params);

	if (deferred->caller)
		deferred->caller->notify(deferred->caller, message);
	json_unref(message);
}

/* From its caller's. */
static void unlist(struct deferred_answer *deferred)
{
	LIST_REMOVE(deferred, link);
	deferred->owner = owner_give_back(deferred->owner, OWNER_IN_FLIGHT);
}

static void deliver(
	struct deferred_answer *deferred, struct json_object *take_answer, struct fd_list *take_fds)
{
	struct caller *caller = deferred->caller;

	unlist(deferred);
	if (deferred->notification)
		take_answer = json_unref(take_answer);
	else if (!take_answer)
		delivery_fail(&caller->delivery);
	if (deferred->batch) {
		deferred->batch->go_on(deferred->batch, take_answer);
	} else if (take_answer) {
		caller->send(caller, take_answer, take_fds,
			deferred->in_order ? NULL : &deferred->later);
		json_unref(take_answer);
	}
	delivery_forget_later(&caller->delivery, &deferred->later);
	caller->held -= deferred->in_order;
	if (caller->held == 0)
		caller->go_on(caller);
}

/* It is its answer's time, whoever gives it. Returns whose time it was. */
static struct stage_request turn_to(const struct deferred_answer *deferred)
{
	return stages_turn_to(
		&deferred->gmemd->stages, deferred->timer.number, deferred->timer.method);
}

static void give(struct deferred_answer *take_deferred, struct json_object *take_message,
	struct fd_list *take_fds)
{
	request_timer_end(&take_deferred->timer, &take_deferred->gmemd->request_times,
		&take_deferred->gmemd->stages);
	if (take_deferred->caller)
		deliver(take_deferred, take_message, take_fds);
	else
		json_unref(take_message);
	fd_list_close(take_fds);
	json_unref(take_deferred->id);
	free(take_deferred);
}

void deferred_answer_give_message(struct deferred_answer *take_deferred,
	struct json_object *take_message, struct fd_list *take_fds)
{
	struct stages *stages = &take_deferred->gmemd->stages;
	struct stage_request before = turn_to(take_deferred);

	give(take_deferred, take_message, take_fds);
	stages_turn_back(stages, before);
}

void deferred_answer_give(struct deferred_answer *take_deferred, struct json_object *take_result)
{
	struct fd_list none = {.count = 0};

	deferred_answer_give_message(take_deferred,
		take_result ? message_result(take_deferred->id, take_result) : NULL, &none);
}

static void commit(const struct deferred_answer *deferred, struct json_object *message)
{
	struct gmemd *gmemd = deferred->gmemd;
	struct stage_request before = turn_to(deferred);

	stage_begin(&gmemd->stages, STAGE_RECORD);
	if (deferred->caller && !TAILQ_EMPTY(&gmemd->registry.noted))
		delivery_owe(&deferred->caller->delivery, &deferred->numbered,
			deferred->notification ? NULL : message);
	vm_ledgers_commit_request(&gmemd->registry, deferred->numbered.number);
	stage_end(&gmemd->stages, STAGE_RECORD, 0);
	stages_turn_back(&gmemd->stages, before);
}

void deferred_answer_give_committed(
	struct deferred_answer *take_deferred, struct json_object *take_result)
{
	struct json_object *message =
		take_result ? message_result(take_deferred->id, take_result) : NULL;
	struct fd_list none = {.count = 0};

	commit(take_deferred, message);
	deferred_answer_give_message(take_deferred, message, &none);
}

void deferred_answer_refuse(struct deferred_answer *take_deferred, struct rpc_error *error)
{
	struct json_object *answer = message_error(take_deferred->id, error);
	struct fd_list none = {.count = 0};

	if (take_deferred->caller)
		refusal_note(
			take_deferred->gmemd, take_deferred->caller, take_deferred->method, error);
	rpc_error_clear(error);
	deferred_answer_give_message(take_deferred, answer, &none);
}

void deferred_answer_dissolve(struct deferred_answer *take_deferred)
{
	struct caller *caller = take_deferred->caller;

	if (caller) {
		unlist(take_deferred);
		delivery_forget_later(&caller->delivery, &take_deferred->later);
		caller->held -= take_deferred->in_order;
	}
	json_unref(take_deferred->id);
	free(take_deferred);
}

void deferred_answers_abandon(struct caller *caller)
{
	struct deferred_answer *deferred;

	if (caller->paused)
		caller->paused->abandon(caller->paused);
	caller->paused = NULL;
	while ((deferred = LIST_FIRST(&caller->deferrals))) {
		unlist(deferred);
		delivery_forget_later(&caller->delivery, &deferred->later);
		deferred->caller = NULL;
		if (deferred->batch)
			deferred->batch->abandon(deferred->batch);
		if (deferred->gone)
			deferred->gone(deferred->context);
	}
}
