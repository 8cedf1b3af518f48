/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that tell of pages. See counted_answer.h.
 */
#include "daemon/methods/counted_answer.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/request/deferred_answer.h"
#include "protocol/json.h"

struct counted_answer {
	struct gmemd *gmemd;
	bool is_counted;
	bool is_awaited; /* the request was not answered at once */
	struct deferred_answer *deferred;
	counted_fill *fill;
	char context[]; /* for fill */
};

static void answer_later(const struct counted_answer *answer)
{
	const struct caller *caller = deferred_answer_caller(answer->deferred);
	struct json_object *result = json_new_object();
	struct rpc_error error = {.code = RPC_OK};
	int r = 0;

	if (caller)
		r = answer->fill(answer->gmemd, caller, answer->context, result, &error);
	if (r < 0) {
		json_unref(result);
		deferred_answer_refuse(answer->deferred, &error);
	} else {
		deferred_answer_give(answer->deferred, result);
	}
}

/* At once, and then request_answer_counted() goes on, or later. */
static void pages_counted(void *context)
{
	struct counted_answer *answer = context;

	answer->is_counted = true;
	if (!answer->is_awaited)
		return;
	if (answer->deferred)
		answer_later(answer);
	free(answer);
}

static struct counted_answer *counted_answer_new(
	struct gmemd *gmemd, counted_fill *fill, const void *context, size_t size)
{
	struct counted_answer *answer = malloc(sizeof *answer + size);

	if (!answer)
		return NULL;
	*answer = (struct counted_answer){.gmemd = gmemd, .fill = fill};
	memcpy(answer->context, context, size);
	return answer;
}

int request_answer_counted(struct request *request, struct page_count *take_count,
	counted_fill *fill, const void *context, size_t size)
{
	struct counted_answer *answer = counted_answer_new(request->gmemd, fill, context, size);

	if (!answer) {
		page_count_free(take_count);
		return rpc_error_internal(&request->error, "no memory");
	}
	page_count_run(take_count, pages_counted, answer);
	if (answer->is_counted) {
		free(answer);
		return fill(
			request->gmemd, request->caller, context, request->result, &request->error);
	}
	answer->is_awaited = true;
	answer->deferred = request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL);
	return answer->deferred ? REQUEST_DEFERRED
				: rpc_error_internal(&request->error, "no memory");
}
