/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests for memory beside what was closed. See request_recount.h.
 */
#include "daemon/request/request_recount.h"

#include <stdlib.h>

#include "daemon/request/suspension.h"
#include "daemon/vm/page_count.h"

/* A request while its VM's closed memories are counted. */
struct recount_wait {
	struct suspension suspension;
	bool is_counted;
	bool is_awaited; /* the request has not gone on at once */
};

static void caller_gone(void *context)
{
	struct recount_wait *wait = context;

	suspension_caller_gone(&wait->suspension);
}

static void serve_counted(struct recount_wait *wait)
{
	struct request request = suspension_request(&wait->suspension);

	request.recounted = true;
	suspension_serve(&wait->suspension, &request);
	suspension_clear(&wait->suspension);
	free(wait);
}

/* At once, and then wait_for_count() goes on, or later. */
static void closed_counted(void *context)
{
	struct recount_wait *wait = context;

	wait->is_counted = true;
	if (wait->is_awaited)
		serve_counted(wait);
}

static int wait_for_count(struct request *request, struct page_count *take_count)
{
	struct recount_wait *wait = calloc(1, sizeof *wait);

	if (!wait) {
		page_count_free(take_count);
		return rpc_error_internal(&request->error, "no memory");
	}
	page_count_run(take_count, closed_counted, wait);
	if (wait->is_counted) {
		free(wait);
		return 0;
	}
	/* It frees itself: without memory for the request nobody is answered when it is done. */
	wait->is_awaited = true;
	return suspension_begin(&wait->suspension, request, caller_gone, wait);
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
