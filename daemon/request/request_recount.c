/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests for memory beside what was closed. See request_recount.h.
 */
#include "daemon/request/request_recount.h"

#include <stdlib.h>

#include "daemon/pages/page_count.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/serve.h"
#include "protocol/json.h"

/* A request while its VM's closed memories are counted. */
struct recount_wait {
	struct gmemd *gmemd;
	struct caller *caller; /* there, unless the deferred answer's is gone */
	struct json_object *message;
	struct batch *batch;
	unsigned order;
	uint64_t number;
	struct deferred_answer *deferred;
};

static void serve_counted(const struct recount_wait *wait)
{
	struct request request = {
		.gmemd = wait->gmemd,
		.caller = wait->caller,
		.message = wait->message,
		.batch = wait->batch,
		.order = wait->order,
		.number = wait->number,
		.recounted = true,
	};

	serve_again(&request, wait->deferred);
}

static void counted(void *context)
{
	struct recount_wait *wait = context;
	struct rpc_error error = {.code = RPC_OK};

	if (deferred_answer_caller(wait->deferred)) {
		serve_counted(wait);
	} else {
		rpc_error_gone(&error, "process", "that connected");
		deferred_answer_refuse(wait->deferred, &error);
	}
	json_unref(wait->message);
	free(wait);
}

static int wait_for_count(struct request *request, struct page_count *take_count)
{
	struct recount_wait *wait = malloc(sizeof *wait);
	struct deferred_answer *deferred =
		wait ? request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL) : NULL;

	if (!deferred) {
		free(wait);
		page_count_free(take_count);
		return rpc_error_internal(&request->error, "no memory");
	}
	*wait = (struct recount_wait){.gmemd = request->gmemd,
		.caller = request->caller,
		.message = json_ref(request->message),
		.batch = request->batch,
		.order = request->order,
		.number = request->number,
		.deferred = deferred};
	page_count_submit(take_count, counted, wait);
	return REQUEST_DEFERRED;
}

/* Whether it depends on what is there of what was closed. */
static bool depends_on_count(const struct vm *vm, uint64_t bytes)
{
	uint64_t empty = vm->closed_size - vm->closed_resident;

	if (vm->closed_counts.all == 0 || bytes > UINT64_MAX - empty)
		return false;
	if (vm->closed_resident == 0 && budget_refuses(&vm->budget, bytes))
		return false;
	return budget_refuses(&vm->budget, bytes + empty);
}

int request_recount(struct request *request, struct vm *vm, uint64_t bytes)
{
	struct page_count *count;

	if (request->recounted || !depends_on_count(vm, bytes))
		return 0;
	count = page_count_new(request->gmemd, vm->owner);
	if (!count || page_count_add_closed(count, vm) < 0) {
		page_count_free(count);
		return rpc_error_internal(&request->error, "no memory");
	}
	return wait_for_count(request, count);
}
