/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recounting. See recount.h.
 */
#include "daemon/release/recount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/base/log.h"
#include "daemon/base/timer_file.h"
#include "daemon/pages/page_worker.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_ledger.h"
#include "kernel/host/process.h"

/* How often it is looked whether any are due. */
#define LOOK_INTERVAL RECOUNT_FIRST

/* Of one round: files, and bytes of pages that they had when they were last counted. */
#define ROUND_FILES 256
#define ROUND_BYTES (UINT64_C(16) << 30)

struct recounting {
	struct gmemd *gmemd;
	struct timer_file *timer;
	bool counting;
	size_t count;
	uint64_t ids[ROUND_FILES]; /* of the round's memories, in the order of its job's parts */
};

static void tell_changed(struct gmemd *gmemd, const struct memory *memory)
{
	struct vm *vm = memory->vm;

	if (memory->resident > 0 && !vm->said_filled) {
		log_vm_warning(vm->id,
			"closed memory %" PRIu64 " has %" PRIu64
			" bytes of pages, which are charged: somebody still has its file",
			memory->id, memory->resident);
		vm->said_filled = true;
	}
	events_closed_memory(&gmemd->events, memory);
}

static void tell_all_changed(struct gmemd *gmemd)
{
	const struct memory *memory;

	while ((memory = closed_memory_take_changed(&gmemd->registry)))
		tell_changed(gmemd, memory);
}

static void find_process_end(struct vm *vm, uint64_t now)
{
	if (vm->state == VM_REMAINING && vm->remains_since == 0 && process_ended(vm->process.pidfd))
		vm->remains_since = now;
}

static void note_recount(struct memory *memory, const struct page_part *part)
{
	struct recounts *recounts = &memory->vm->registry->recounts;
	struct recount *recount = &memory->closed->recount;
	bool given_back = part->kind == PAGES_PUNCH, was_filled = recount->filled;
	uint64_t now = closed_memory_clock();

	closed_memory_count(memory, given_back ? part->left : part->resident, given_back);
	find_process_end(memory->vm, now);
	if (recount_may_be_let_go(recount, memory->vm->remains_since, now))
		closed_memory_let_go(memory);
	else
		recounts_again(recounts, recount, was_filled != recount->filled, now);
}

/* Giving back again what has been there for a while. Whoever has the file may keep who does that
 * waiting, so it is a job for itself, in the turns of the memory's owner. */

struct repunch {
	struct gmemd *gmemd;
	uint64_t memory;
};

static void punched_again(struct page_job *job)
{
	struct repunch *repunch = job->context;
	struct registry *registry = &repunch->gmemd->registry;
	struct memory *memory = registry_closed_memory(registry, repunch->memory);

	if (memory)
		note_recount(memory, &job->parts[0]);
	vm_ledgers_commit(registry);
	tell_all_changed(repunch->gmemd);
	page_job_free(job);
	free(repunch);
}

/* False without memory for it: then it is only counted. */
static bool punch_again(struct gmemd *gmemd, struct memory *memory)
{
	struct page_job *job = page_job_new(memory->vm->owner, 1);
	struct repunch *repunch = malloc(sizeof *repunch);

	if (!job || !repunch) {
		page_job_free(job);
		free(repunch);
		return false;
	}
	*repunch = (struct repunch){gmemd, memory->id};
	page_job_add(job, PAGES_PUNCH, memory->pages, 0, memory->size);
	job->done = punched_again;
	job->context = repunch;
	page_worker_submit(gmemd->pages, job);
	return true;
}

/* Rounds of counts */

/* Some may be gone by now. */
static void round_over(struct page_job *job)
{
	struct recounting *recounting = job->context;
	struct gmemd *gmemd = recounting->gmemd;

	for (size_t i = 0; i < recounting->count; i++) {
		struct memory *memory =
			registry_closed_memory(&gmemd->registry, recounting->ids[i]);

		if (memory)
			note_recount(memory, &job->parts[i]);
	}
	vm_ledgers_commit(&gmemd->registry);
	recounts_pause(&gmemd->registry.recounts, job->spent / 1000, closed_memory_clock());
	recounting->counting = false;
	page_job_free(job);
	tell_all_changed(gmemd);
}

static struct memory *take_due(struct registry *registry, uint64_t now)
{
	struct recount *recount = recounts_take(&registry->recounts, now);

	return recount ? CONTAINER_OF(recount, struct closed, recount)->memory : NULL;
}

static void fill_round(struct recounting *recounting, struct page_job *job)
{
	struct gmemd *gmemd = recounting->gmemd;
	uint64_t now = closed_memory_clock(), bytes = 0;
	struct memory *memory;

	recounting->count = 0;
	for (size_t i = 0; i < ROUND_FILES && bytes < ROUND_BYTES; i++) {
		memory = take_due(&gmemd->registry, now);
		if (!memory)
			return;
		if (recount_is_to_be_punched(&memory->closed->recount, now) &&
			punch_again(gmemd, memory))
			continue;
		page_job_add(job, PAGES_COUNT, memory->pages, 0, memory->size);
		recounting->ids[recounting->count++] = memory->id;
		bytes += memory->resident;
	}
}

static void begin_round(struct recounting *recounting)
{
	struct gmemd *gmemd = recounting->gmemd;
	struct page_job *job = page_job_new(gmemd->self, ROUND_FILES);

	if (!job)
		return; /* another look comes */
	fill_round(recounting, job);
	if (recounting->count == 0) {
		page_job_free(job);
		return;
	}
	recounting->counting = true;
	job->done = round_over;
	job->context = recounting;
	page_worker_submit(gmemd->pages, job);
}

static void look_for_due(void *context)
{
	struct recounting *recounting = context;

	tell_all_changed(recounting->gmemd);
	if (!recounting->counting && recounting->gmemd->registry.recounts.count > 0)
		begin_round(recounting);
	timer_file_set(recounting->timer, LOOK_INTERVAL);
}

int recounting_new(struct gmemd *gmemd, struct recounting **ret)
{
	struct recounting *recounting = calloc(1, sizeof *recounting);
	int r;

	if (!recounting)
		return -ENOMEM;
	recounting->gmemd = gmemd;
	r = timer_file_new(gmemd->base, look_for_due, recounting, &recounting->timer);
	if (r < 0) {
		recounting_free(recounting);
		return r;
	}
	timer_file_set(recounting->timer, LOOK_INTERVAL);
	*ret = recounting;
	return 0;
}

struct recounting *recounting_free(struct recounting *recounting)
{
	if (!recounting)
		return NULL;
	timer_file_free(recounting->timer);
	free(recounting);
	return NULL;
}
