/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests for memory beside what was closed. See request_recount.h.
 */
#include "daemon/request/request_recount.h"

#include <stdlib.h>

#include "daemon/request/deferred_answer.h"
#include "daemon/vm/page_count.h"
#include "protocol/json.h"

/* A request while its VM's closed memories are counted. */
struct recount_wait {
	const struct server *server;
	struct gmemd *gmemd;
	struct caller *caller; /* there, unless the deferred answer's is gone */
	struct json_object *message;
	struct batch *batch;
	struct numbered_request numbered;
	bool is_counted;
	bool is_awaited; /* the request has not gone on at once */
	struct deferred_answer *deferred;
};

static void serve_counted(const struct recount_wait *wait)
{
	struct request request = {
		.server = wait->server,
		.gmemd = wait->gmemd,
		.caller = wait->caller,
		.message = wait->message,
		.batch = wait->batch,
		.numbered = wait->numbered,
		.recounted = true,
	};

	wait->server->serve_again(&request, wait->deferred);
}

static void end_recount_wait(struct recount_wait *wait)
{
	struct rpc_error error = {.code = RPC_OK};

	if (wait->deferred && deferred_answer_caller(wait->deferred)) {
		serve_counted(wait);
	} else if (wait->deferred) {
		rpc_error_gone(&error, "process", "that connected");
		deferred_answer_refuse(wait->deferred, &error);
	}
	json_unref(wait->message);
	free(wait);
}

/* At once, and then wait_for_count() goes on, or later. */
static void closed_counted(void *context)
{
	struct recount_wait *wait = context;

	wait->is_counted = true;
	if (wait->is_awaited)
		end_recount_wait(wait);
}

static int wait_for_count(struct request *request, struct page_count *take_count)
{
	struct recount_wait *wait = calloc(1, sizeof *wait);

	if (!wait) {
		page_count_free(take_count);
		return rpc_error_internal(&request->error, "no memory");
	}
	*wait = (struct recount_wait){.server = request->server,
		.gmemd = request->gmemd,
		.caller = request->caller,
		.batch = request->batch,
		.numbered = request->numbered};
	page_count_run(take_count, closed_counted, wait);
	if (wait->is_counted) {
		free(wait);
		return 0;
	}
	wait->is_awaited = true;
	wait->message = json_ref(request->message);
	wait->deferred = request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL);
	return wait->deferred ? REQUEST_DEFERRED : rpc_error_internal(&request->error, "no memory");
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
	count = page_count_new(vm->registry, vm->owner);
	if (!count || page_count_add_closed(count, vm) < 0) {
		page_count_free(count);
		return rpc_error_internal(&request->error, "no memory");
	}
	return wait_for_count(request, count);
}
