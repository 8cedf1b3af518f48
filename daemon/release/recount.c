/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recounting. See recount.h.
 */
#include "daemon/release/recount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/log.h"
#include "daemon/pages/page_worker.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/vm_ledger.h"
#include "kernel/host/process.h"

/* How often it is looked whether any are due. */
static const struct timeval interval = {.tv_usec = RECOUNT_FIRST};

/* Of one round: files, and bytes of pages that they had when they were last counted. */
#define ROUND_FILES 256
#define ROUND_BYTES (UINT64_C(16) << 30)

struct recounting {
	struct gmemd *gmemd;
	struct event *timer;
	bool counting;
	size_t count;
	uint64_t ids[ROUND_FILES]; /* of the round's memories, in the order of its job's parts */
};

#define MEMORY_OF(pointer) ((struct memory *)((char *)(pointer)-offsetof(struct memory, recount)))

static void tell_changed(struct gmemd *gmemd, const struct memory *memory)
{
	struct vm *vm = memory->vm;

	if (memory->resident > 0 && !vm->said_filled) {
		log_vm_warning(vm->id,
			"closed memory %" PRIu64 " has %" PRIu64
			" bytes of pages, still or again: somebody has its file; they are charged",
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
	if (vm->remains && vm->remains_since == 0 && process_ended(vm->process.pidfd))
		vm->remains_since = now;
}

static void note_recount(struct memory *memory, const struct page_part *part)
{
	struct recounts *recounts = &memory->vm->registry->recounts;
	bool given_back = part->kind == PAGES_PUNCH, was_filled = memory->recount.filled;
	uint64_t now = closed_memory_clock();

	closed_memory_count(memory, given_back ? part->left : part->resident, given_back);
	find_process_end(memory->vm, now);
	if (recount_may_be_let_go(&memory->recount, memory->vm->remains_since, now))
		closed_memory_let_go(memory);
	else
		recounts_again(
			recounts, &memory->recount, was_filled != memory->recount.filled, now);
}

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

static void fill_round(struct recounting *recounting, struct page_job *job)
{
	struct registry *registry = &recounting->gmemd->registry;
	uint64_t now = closed_memory_clock(), bytes = 0;
	struct recount *recount;

	recounting->count = 0;
	while (recounting->count < ROUND_FILES && bytes < ROUND_BYTES &&
		(recount = recounts_take(&registry->recounts, now))) {
		struct memory *memory = MEMORY_OF(recount);
		bool punch = recount_is_to_be_punched(recount, now);

		page_job_add(
			job, punch ? PAGES_PUNCH : PAGES_COUNT, memory->pages, 0, memory->size);
		recounting->ids[recounting->count++] = memory->id;
		bytes += memory->resident;
	}
}

static void look_for_due(evutil_socket_t fd, short what, void *context)
{
	struct recounting *recounting = context;
	struct gmemd *gmemd = recounting->gmemd;
	struct page_job *job;

	(void)fd;
	(void)what;
	tell_all_changed(gmemd);
	if (recounting->counting || gmemd->registry.recounts.count == 0)
		return;
	job = page_job_new(gmemd->self, ROUND_FILES);
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

int recounting_new(struct gmemd *gmemd, struct recounting **ret)
{
	struct recounting *recounting = calloc(1, sizeof *recounting);

	if (!recounting)
		return -ENOMEM;
	recounting->gmemd = gmemd;
	recounting->timer = event_new(gmemd->base, -1, EV_PERSIST, look_for_due, recounting);
	if (!recounting->timer || event_add(recounting->timer, &interval) < 0) {
		recounting_free(recounting);
		return -ENOMEM;
	}
	*ret = recounting;
	return 0;
}

struct recounting *recounting_free(struct recounting *recounting)
{
	if (!recounting)
		return NULL;
	if (recounting->timer)
		event_free(recounting->timer);
	free(recounting);
	return NULL;
}
