/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Residency. See page_count.h.
 */
#include "daemon/pages/page_count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/pages/page_worker.h"
#include "daemon/request/deferred_answer.h"
#include "protocol/json.h"

struct residency {
	struct gmemd *gmemd;
	struct bulk_job *job;
	uint64_t *ids; /* of the memories that its ranges are */
	size_t room;
	struct deferral *deferral;
	residency_fill *fill;
	void *context;
	/* For no request. */
	void (*updated)(void *context);
	void *updated_context;
};

struct residency *residency_new(struct gmemd *gmemd, struct owner *owner)
{
	struct residency *residency = calloc(1, sizeof *residency);

	if (!residency)
		return NULL;
	residency->gmemd = gmemd;
	residency->job = bulk_job_new(owner, 0);
	if (!residency->job)
		return residency_free(residency);
	return residency;
}

struct residency *residency_free(struct residency *residency)
{
	if (!residency)
		return NULL;
	bulk_job_free(residency->job);
	free(residency->ids);
	free(residency->context);
	free(residency);
	return NULL;
}

static int make_room(struct residency *residency, size_t more)
{
	size_t count = residency->job->count;
	size_t room = 2 * residency->room + more;
	struct bulk_job *job;
	uint64_t *ids;

	if (count + more <= residency->room)
		return 0;
	ids = reallocarray(residency->ids, room, sizeof *ids);
	if (!ids)
		return -ENOMEM;
	residency->ids = ids;
	job = bulk_job_grow(residency->job, room);
	if (!job)
		return -ENOMEM;
	residency->job = job;
	residency->room = room;
	return 0;
}

int residency_add(struct residency *residency, const struct vm *vm)
{
	struct memory *memory;
	int r;

	r = make_room(residency, vm->n_memories);
	if (r < 0)
		return r;
	RB_FOREACH (memory, memory_tree, (struct memory_tree *)&vm->memories) {
		if (!memory->pages)
			continue;
		residency->ids[residency->job->count] = memory->id;
		bulk_job_add(residency->job, BULK_COUNT, memory->pages, 0, memory->size);
	}
	return 0;
}

/* A memory may be gone by now. */
static void note(const struct residency *residency)
{
	const struct bulk_job *job = residency->job;

	for (size_t i = 0; i < job->count; i++) {
		struct memory *memory =
			registry_memory(&residency->gmemd->registry, residency->ids[i]);

		if (memory)
			memory->resident = job->parts[i].resident;
	}
}

static void answer(const struct residency *residency)
{
	const struct caller *caller = deferral_caller(residency->deferral);
	struct json_object *result = json_new_object();
	struct rpc_error error = {.code = RPC_OK};
	int r = 0;

	if (caller)
		r = residency->fill(residency->gmemd, caller, residency->context, result, &error);
	if (r < 0) {
		json_unref(result);
		deferral_refuse(residency->deferral, &error);
	} else {
		deferral_answer(residency->deferral, result);
	}
}

static void updated(struct bulk_job *job)
{
	struct residency *residency = job->context;

	note(residency);
	residency->updated(residency->updated_context);
	residency_free(residency);
}

void residency_update(struct residency *take_residency, void (*done)(void *context), void *context)
{
	struct residency *residency = take_residency;

	residency->updated = done;
	residency->updated_context = context;
	residency->job->done = updated;
	residency->job->context = residency;
	if (bulk_do(residency->gmemd->bulk, residency->job))
		updated(residency->job);
}

static void counted(struct bulk_job *job)
{
	struct residency *residency = job->context;

	note(residency);
	if (residency->deferral)
		answer(residency);
	residency_free(residency);
}

/* What outlives the request. */
static int prepare(
	struct residency *residency, residency_fill *fill, const void *context, size_t size)
{
	residency->fill = fill;
	residency->context = malloc(size);
	if (!residency->context)
		return -ENOMEM;
	memcpy(residency->context, context, size);
	residency->job->done = counted;
	residency->job->context = residency;
	return 0;
}

int residency_count(struct residency *take_residency, struct request *request, residency_fill *fill,
	const void *context, size_t size)
{
	struct residency *residency = take_residency;

	if (prepare(residency, fill, context, size) < 0) {
		residency_free(residency);
		return rpc_error_internal(&request->error, "no memory");
	}
	if (!bulk_do(residency->gmemd->bulk, residency->job)) {
		residency->deferral = request_defer(request, DEFERRAL_IN_ORDER, NULL, NULL);
		return residency->deferral ? REQUEST_DEFERRED
					   : rpc_error_internal(&request->error, "no memory");
	}
	note(residency);
	residency_free(residency);
	return fill(request->gmemd, request->caller, context, request->result, &request->error);
}
