/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Residency. See page_count.h.
 */
#include "daemon/pages/page_count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/pages/page_worker.h"
#include "daemon/pages/recount.h"
#include "daemon/request/deferred_answer.h"
#include "protocol/json.h"

struct page_count {
	struct gmemd *gmemd;
	struct page_job *job;
	uint64_t *ids; /* of the memories that its ranges are */
	size_t room;
	struct deferred_answer *deferred;
	page_count_fill *fill;
	void *context;
	/* For no request. */
	void (*updated)(void *context);
	void *updated_context;
};

struct page_count *page_count_new(struct gmemd *gmemd, struct owner *owner)
{
	struct page_count *count = calloc(1, sizeof *count);

	if (!count)
		return NULL;
	count->gmemd = gmemd;
	count->job = page_job_new(owner, 0);
	if (!count->job)
		return page_count_free(count);
	return count;
}

struct page_count *page_count_free(struct page_count *count)
{
	if (!count)
		return NULL;
	page_job_free(count->job);
	free(count->ids);
	free(count->context);
	free(count);
	return NULL;
}

static int make_room(struct page_count *count, size_t more)
{
	size_t entries = count->job->count;
	size_t room = 2 * count->room + more;
	struct page_job *job;
	uint64_t *ids;

	if (entries + more <= count->room)
		return 0;
	ids = reallocarray(count->ids, room, sizeof *ids);
	if (!ids)
		return -ENOMEM;
	count->ids = ids;
	job = page_job_grow(count->job, room);
	if (!job)
		return -ENOMEM;
	count->job = job;
	count->room = room;
	return 0;
}

static int add_all(struct page_count *count, const struct memory_tree *memories, size_t n_memories)
{
	struct memory *memory;
	int r;

	r = make_room(count, n_memories);
	if (r < 0)
		return r;
	RB_FOREACH (memory, memory_tree, (struct memory_tree *)memories) {
		if (!memory->pages)
			continue;
		count->ids[count->job->count] = memory->id;
		page_job_add(count->job, PAGES_COUNT, memory->pages, 0, memory->size);
	}
	return 0;
}

int page_count_add_closed(struct page_count *count, const struct vm *vm)
{
	return add_all(count, &vm->closed, vm->closed_counts.all);
}

int page_count_add(struct page_count *count, const struct vm *vm)
{
	int r = add_all(count, &vm->memories, vm->n_memories);

	return r == 0 ? page_count_add_closed(count, vm) : r;
}

/* A memory may be closed by now, or gone. */
static void note_one(struct gmemd *gmemd, uint64_t id, uint64_t resident)
{
	struct memory *memory = registry_memory(&gmemd->registry, id);

	if (memory) {
		memory->resident = resident;
		return;
	}
	memory = registry_closed_memory(&gmemd->registry, id);
	if (memory)
		recounted(gmemd, memory, resident, /* given_back= */ false);
}

static void note(const struct page_count *count)
{
	const struct page_job *job = count->job;

	for (size_t i = 0; i < job->count; i++)
		note_one(count->gmemd, count->ids[i], job->parts[i].resident);
}

static void answer(const struct page_count *count)
{
	const struct caller *caller = deferred_answer_caller(count->deferred);
	struct json_object *result = json_new_object();
	struct rpc_error error = {.code = RPC_OK};
	int r = 0;

	if (caller)
		r = count->fill(count->gmemd, caller, count->context, result, &error);
	if (r < 0) {
		json_unref(result);
		deferred_answer_refuse(count->deferred, &error);
	} else {
		deferred_answer_give(count->deferred, result);
	}
}

static void updated(struct page_job *job)
{
	struct page_count *count = job->context;

	note(count);
	count->updated(count->updated_context);
	page_count_free(count);
}

static void tell_updated(struct page_count *count, void (*done)(void *context), void *context)
{
	count->updated = done;
	count->updated_context = context;
	count->job->done = updated;
	count->job->context = count;
}

void page_count_submit(struct page_count *take_count, void (*done)(void *context), void *context)
{
	tell_updated(take_count, done, context);
	page_worker_submit(take_count->gmemd->pages, take_count->job);
}

void page_count_update(
	struct page_count *take_residency, void (*done)(void *context), void *context)
{
	struct page_count *count = take_residency;

	tell_updated(count, done, context);
	if (page_worker_do(count->gmemd->pages, count->job))
		updated(count->job);
}

static void counted(struct page_job *job)
{
	struct page_count *count = job->context;

	note(count);
	if (count->deferred)
		answer(count);
	page_count_free(count);
}

/* What outlives the request. */
static int prepare(
	struct page_count *count, page_count_fill *fill, const void *context, size_t size)
{
	count->fill = fill;
	count->context = malloc(size);
	if (!count->context)
		return -ENOMEM;
	memcpy(count->context, context, size);
	count->job->done = counted;
	count->job->context = count;
	return 0;
}

int page_count_count(struct page_count *take_residency, struct request *request,
	page_count_fill *fill, const void *context, size_t size)
{
	struct page_count *count = take_residency;

	if (prepare(count, fill, context, size) < 0) {
		page_count_free(count);
		return rpc_error_internal(&request->error, "no memory");
	}
	if (!page_worker_do(count->gmemd->pages, count->job)) {
		count->deferred = request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL);
		return count->deferred ? REQUEST_DEFERRED
				       : rpc_error_internal(&request->error, "no memory");
	}
	note(count);
	page_count_free(count);
	return fill(request->gmemd, request->caller, context, request->result, &request->error);
}
