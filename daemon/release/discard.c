/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Discards. See discard.h.
 */
#include "daemon/release/discard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/container_of.h"
#include "daemon/pages/page_worker.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/suspension.h"
#include "daemon/vm/both_halves.h"
#include "daemon/vm/conversion.h"

/* What is stale of them, NULL without memory. */
static struct page_job *job_of(
	struct vm *vm, enum convert_to state, const struct guest_range *ranges, size_t count)
{
	struct page_job *job;
	size_t parts = 0;

	for (size_t i = 0; i < count; i++)
		parts += both_halves_add_stale(vm, state, &ranges[i], NULL);
	job = page_job_new(vm->owner, parts);
	for (size_t i = 0; job && i < count; i++)
		both_halves_add_stale(vm, state, &ranges[i], job);
	return job;
}

static void unmark(struct vm *vm, const struct discard *discard, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ranges_remove(&vm->discarding, discard->ranges[i].guest_phys_addr,
			discard->ranges[i].size);
}

static int mark_discarding(struct vm *vm, const struct discard *discard)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < discard->count; i++) {
		const struct guest_range *range = &discard->ranges[i];

		r = ranges_add(&vm->discarding, range->guest_phys_addr, range->size);
		if (r < 0)
			unmark(vm, discard, i);
	}
	return r;
}

/* Its VM, where that is not released. */
static struct vm *vm_of(const struct discard *discard)
{
	struct vm *vm = registry_vm_by_number(&discard->gmemd->registry, discard->vm);

	return vm && !vm_is_released(vm) ? vm : NULL;
}

static void punched(struct page_job *job)
{
	struct discard *discard = job->context;
	struct vm *vm = page_job_is_done(job) ? vm_of(discard) : NULL;
	struct guest_range *ranges = discard->ranges;
	uint64_t bytes = page_job_released(job);

	if (vm)
		unmark(vm, discard, discard->count);
	page_job_free(job);
	discard->done(discard, vm, bytes);
	free(ranges);
}

/* What outlives the request. */
static int prepare(struct discard *discard, struct vm *vm, const struct guest_range *ranges,
	size_t count, struct page_job *job)
{
	discard->vm = vm->number;
	discard->count = count;
	discard->ranges = malloc(count * sizeof *ranges);
	if (!discard->ranges)
		return -ENOMEM;
	memcpy(discard->ranges, ranges, count * sizeof *ranges);
	job->done = punched;
	job->context = discard;
	return mark_discarding(vm, discard);
}

int discard_begin(struct discard *discard, struct vm *vm, enum convert_to state,
	const struct guest_range *ranges, size_t count, uint64_t *ret_bytes)
{
	struct page_job *job = job_of(vm, state, ranges, count);
	int r = job ? 0 : -ENOMEM;

	if (job && !page_job_is_for_loop(job)) {
		r = prepare(discard, vm, ranges, count, job);
		if (r == 0) {
			page_worker_submit(discard->gmemd->pages, job);
			return REQUEST_DEFERRED;
		}
		free(discard->ranges);
	}
	page_job_free(job);
	*ret_bytes = 0; /* there was none */
	return r;
}

/* Before a request */

struct first_discard {
	struct discard discard;
	struct suspension suspension;
};

static void pages_discarded(struct discard *discard, struct vm *vm, uint64_t bytes)
{
	struct first_discard *first = CONTAINER_OF(discard, struct first_discard, discard);
	struct request request = suspension_request(&first->suspension);

	if (vm)
		conversion_leave_both(vm, discard->ranges, discard->count);
	request.discarded = &bytes;
	suspension_serve(&first->suspension, &request);
	suspension_clear(&first->suspension);
	free(first);
}

static void caller_gone(void *context)
{
	struct first_discard *first = context;

	suspension_caller_gone(&first->suspension);
}

int request_discard(struct request *request, struct vm *vm, enum convert_to state,
	const struct guest_range *ranges, size_t count, uint64_t *ret_bytes)
{
	struct first_discard *first;
	int r;

	*ret_bytes = request->discarded ? *request->discarded : 0;
	if (request->discarded || count == 0)
		return 0;
	first = calloc(1, sizeof *first);
	if (!first)
		return rpc_error_internal(&request->error, "no memory");
	first->discard = (struct discard){.gmemd = request->gmemd, .done = pages_discarded};
	r = discard_begin(&first->discard, vm, state, ranges, count, ret_bytes);
	/* It frees itself: without memory for the request nobody is answered when it is done. */
	if (r == REQUEST_DEFERRED)
		return suspension_begin(&first->suspension, request, caller_gone, first);
	free(first);
	if (r < 0)
		return rpc_error_internal(&request->error, "no memory");
	conversion_leave_both(vm, ranges, count);
	return 0;
}
