/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.residency: where in a memory its pages are.
 */
#include <stdlib.h>

#include "daemon/methods/methods.h"
#include "daemon/pages/page_worker.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/vm/memory.h"
#include "protocol/json.h"

struct residency {
	uint64_t part_size;
	struct page_job *counted; /* NULL: not yet */
	bool is_awaited;          /* the request was not answered at once */
	struct deferred_answer *deferred;
};

static void describe(struct json_object *result, const struct residency *residency)
{
	const struct page_job *job = residency->counted;
	struct json_object *parts;

	json_add_uint(result, "part_size", residency->part_size);
	parts = json_add_array(result, "parts");
	for (size_t i = 0; i < job->count; i++)
		json_append(parts, json_new_uint(job->parts[i].resident));
}

static void residency_free(struct residency *residency)
{
	page_job_free(residency->counted);
	free(residency);
}

/* At once, and then handle_memory_residency() goes on, or later. */
static void counted(struct page_job *job)
{
	struct residency *residency = job->context;
	struct json_object *result;

	residency->counted = job;
	if (!residency->is_awaited)
		return;
	if (residency->deferred) {
		result = json_new_object();
		describe(result, residency);
		deferred_answer_give(residency->deferred, result);
	}
	residency_free(residency);
}

/* Of whole pages, and no more of them than are asked for. */
static uint64_t part_size(const struct memory *memory, uint64_t parts)
{
	uint64_t page = memory_page_size(memory), pages = memory->size / page;

	return (pages + parts - 1) / parts * page;
}

static struct page_job *new_job(struct request *request, struct memory *memory, uint64_t size)
{
	uint64_t count = (memory->size + size - 1) / size;
	struct page_job *job = page_job_new(request->caller->owner, count);

	for (uint64_t offset = 0; job && offset < memory->size; offset += size)
		page_job_add(job, PAGES_COUNT, memory->pages, offset,
			memory->size - offset < size ? memory->size - offset : size);
	return job;
}

static int answer(struct request *request, struct residency *residency)
{
	if (residency->counted) {
		describe(request->result, residency);
		residency_free(residency);
		return 0;
	}
	residency->is_awaited = true;
	residency->deferred = request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL);
	return residency->deferred ? REQUEST_DEFERRED
				   : rpc_error_internal(&request->error, "no memory");
}

int handle_memory_residency(struct request *request)
{
	const struct memory_residency_parameters *parameters =
		&request->parameters.memory_residency;
	struct residency *residency;
	struct memory *memory;
	struct page_job *job;
	int r;

	r = request_memory(request, parameters->memory, &memory);
	if (r < 0)
		return r;
	residency = calloc(1, sizeof *residency);
	if (!residency)
		return rpc_error_internal(&request->error, "no memory");
	residency->part_size = part_size(memory, parameters->parts);
	job = new_job(request, memory, residency->part_size);
	if (!job) {
		free(residency);
		return rpc_error_internal(&request->error, "no memory");
	}
	job->done = counted;
	job->context = residency;
	page_worker_do(request->gmemd->pages, job);
	return answer(request, residency);
}
