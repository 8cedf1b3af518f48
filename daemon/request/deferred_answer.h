/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deferrals: answers that are not known yet when the handler returns.
 *
 * A handler defers its request and returns REQUEST_DEFERRED; whoever has the deferred answer
 * answers later, once. Its caller may be gone by then, which is no concern of who answers. A caller
 * whose answers must come in order is not read meanwhile; a batch goes on with its next request
 * when it is answered.
 */
#pragma once

#include "daemon/request/request.h"

/* What a handler returns then. */
#define REQUEST_DEFERRED 1

enum deferred_answer_order {
	DEFERRED_ANSWER_IN_ORDER, /* before the answer to what the caller asks next */
	DEFERRED_ANSWER_WHENEVER, /* when it is done */
};

/*
 * gone, which may be NULL, is called with the context where the caller goes away before the answer;
 * the deferred answer must still be answered. NULL without memory.
 */
struct deferred_answer *request_defer(struct request *request, enum deferred_answer_order order,
	void (*gone)(void *context), void *context);

/* From now on gone is not called: what it would end has ended. */
void deferred_answer_ending(struct deferred_answer *deferred);

/* Of the request, since it came first. */
struct request_timer deferred_answer_timer(const struct deferred_answer *deferred);
/* Its caller, NULL where that is gone. */
const struct caller *deferred_answer_caller(const struct deferred_answer *deferred);
/* A notification to the caller, before the answer. */
void deferred_answer_notify(
	struct deferred_answer *deferred, const char *method, struct json_object *take_params);
/* NULL without memory: then its connection ends. */
void deferred_answer_give(struct deferred_answer *take_deferred, struct json_object *take_result);
/* The same of one that has changed something now, which is committed with its answer. */
void deferred_answer_give_committed(
	struct deferred_answer *take_deferred, struct json_object *take_result);
/* With the whole message, NULL for none or without memory, and its files. */
void deferred_answer_give_message(struct deferred_answer *take_deferred,
	struct json_object *take_message, struct fd_list *take_fds);
/* The error is cleared. */
void deferred_answer_refuse(struct deferred_answer *take_deferred, struct rpc_error *error);

/* It is not answered, and holds its caller no more; whoever dissolves it lets that go on. */
void deferred_answer_dissolve(struct deferred_answer *take_deferred);

/* To be called when the caller goes away. */
void deferred_answers_abandon(struct caller *caller);
