/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counting pages. See page_count.h.
 */
#include "daemon/vm/page_count.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/pages/page_worker.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/slot_views.h"

struct page_count {
	struct registry *registry;
	struct page_job *job;
	uint64_t *ids; /* of the memories that its ranges are */
	size_t room;
	void (*done)(void *context);
	void *context;
	bool is_counted;
	bool awaits_views;
	struct views_waiter waiter;
};

struct page_count *page_count_new(struct registry *registry, struct owner *owner)
{
	struct page_count *count = calloc(1, sizeof *count);

	if (!count)
		return NULL;
	count->registry = registry;
	count->job = page_job_new(owner, 0);
	if (!count->job)
		return page_count_free(count);
	return count;
}

struct page_count *page_count_free(struct page_count *count)
{
	if (!count)
		return NULL;
	if (count->awaits_views)
		views_await_no_more(&count->waiter);
	page_job_free(count->job);
	free(count->ids);
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
static void write_count(struct registry *registry, uint64_t id, uint64_t resident)
{
	struct memory *memory = registry_memory(registry, id);

	if (memory) {
		memory->resident = resident;
		return;
	}
	memory = registry_closed_memory(registry, id);
	if (memory)
		closed_memory_count(memory, resident, /* given_back= */ false);
}

static void write_counts(const struct page_count *count)
{
	const struct page_job *job = count->job;

	for (size_t i = 0; i < job->count; i++)
		write_count(count->registry, count->ids[i], job->parts[i].resident);
}

static void finish(struct page_count *count)
{
	if (!count->is_counted || count->awaits_views)
		return;
	count->done(count->context);
	page_count_free(count);
}

static void job_counted(struct page_job *job)
{
	struct page_count *count = job->context;

	write_counts(count);
	count->is_counted = true;
	finish(count);
}

static void views_seen(struct views_waiter *waiter)
{
	struct page_count *count = CONTAINER_OF(waiter, struct page_count, waiter);

	count->awaits_views = false;
	finish(count);
}

void page_count_await_views(struct page_count *count, struct vm *vm)
{
	count->waiter.done = views_seen;
	count->awaits_views = views_await(vm, &count->waiter);
}

void page_count_run(struct page_count *take_count, void (*done)(void *context), void *context)
{
	struct page_count *count = take_count;

	count->done = done;
	count->context = context;
	count->job->done = job_counted;
	count->job->context = count;
	page_worker_do(count->registry->pages, count->job);
}
