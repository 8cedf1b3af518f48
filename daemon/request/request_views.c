/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a request's slots show. See request_views.h.
 */
#include "daemon/request/request_views.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/peerfd/taker_client.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/request_files.h"
#include "daemon/request/suspension.h"

/* A request while a taker looks. */
struct look_wait {
	struct suspension suspension;
	struct taking *taking;
	size_t count;
};

static void look_wait_free(struct look_wait *wait)
{
	suspension_clear(&wait->suspension);
	free(wait);
}

static void views_looked(void *context, struct taking_result *result)
{
	struct look_wait *wait = context;
	struct rpc_error error = {.code = RPC_OK};

	if (result->result == 0) {
		struct request request = suspension_request(&wait->suspension);

		request.looked = wait->count;
		request.shown = result->shown;
		suspension_serve(&wait->suspension, &request);
	} else {
		request_taking_error(&error, &wait->suspension.gmemd->config, result,
			"looking at what the process has mapped");
		deferred_answer_refuse(wait->suspension.deferred, &error);
	}
	look_wait_free(wait);
}

static void caller_gone(void *context)
{
	struct look_wait *wait = context;

	taking_cancel(wait->taking);
	suspension_caller_gone(&wait->suspension);
	look_wait_free(wait);
}

static int suspend(
	struct request *request, struct owner *owner, const struct file_view *views, size_t count)
{
	const struct taking_request look = {.owner = owner,
		.process = &request->caller->process,
		.n_views = count,
		.views = views};
	struct look_wait *wait = calloc(1, sizeof *wait);
	int r;

	if (!wait)
		return rpc_error_internal(&request->error, "no memory");
	wait->count = count;
	r = taking_start(request->gmemd->takings, &look, views_looked, wait, &wait->taking);
	if (r == 0) {
		r = suspension_begin(&wait->suspension, request, caller_gone, wait);
		if (r == REQUEST_DEFERRED)
			return r;
		taking_cancel(wait->taking);
	}
	look_wait_free(wait);
	if (request->error.code != RPC_OK)
		return request->error.code;
	if (r == -ENOMEM)
		return rpc_error_internal(&request->error, "no memory");
	return rpc_error_kernel(&request->error, -r, "looking at what the process has mapped");
}

int request_look(
	struct request *request, struct owner *owner, const struct file_view *views, size_t count)
{
	if (request->looked == 0 && request->caller->process.pid == 0)
		return request_process_unseen(request);
	if (request->looked == 0)
		return suspend(request, owner, views, count);
	if (request->looked == count)
		return 0;
	/* What is known of a VM has changed meanwhile. */
	return rpc_error_busy(&request->error, "The VM has changed while it was looked at",
		/* at once */ 1);
}
