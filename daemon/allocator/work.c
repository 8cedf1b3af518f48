/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An allocator's work. See work.h.
 */
#include "daemon/allocator/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "daemon/allocator/cgroup_room.h"
#include "daemon/base/numa_node.h"
#include "kernel/host/memory_file.h"

/* A step of looking at what is there. */
#define GIGABYTE (1ull << 30)

struct work {
	struct allocation *allocation;
	int memory;
	char *mapped; /* the range, where it is to be populated; NULL: not */
	struct allocator_room room;
	atomic_flag allocating; /* by a thread that populates, too */
	_Atomic int end;        /* enum allocation_end: the first that came */
};

struct worker {
	struct work *work;
	struct allocation_thread *record;
	pthread_t thread;
};

/* The first to stop says why: -EDQUOT is for want of the room that there is, no other's errno. */
static void stop_work(struct work *work, int r, const struct cgroup_room *room)
{
	int running = ALLOCATION_RUNNING;
	int end = r == -EDQUOT ? ALLOCATION_NO_ROOM : ALLOCATION_FAILED;

	if (!atomic_compare_exchange_strong(&work->end, &running, end))
		return;
	if (r == -EDQUOT)
		work->allocation->room = *room;
	else
		work->allocation->error = -r;
}

/* Chunks begin and end at multiples of their size; the range cuts off the first and the last. */
static bool next_chunk(struct allocation *allocation, struct allocation_progress *ret)
{
	uint64_t first = allocation->offset / allocation->chunk;
	uint64_t number = first + atomic_fetch_add(&allocation->cursor, 1);
	uint64_t start = number * allocation->chunk, end = start + allocation->chunk;
	uint64_t range_end = allocation->offset + allocation->size;

	if (start >= range_end)
		return false;
	if (start < allocation->offset)
		start = allocation->offset;
	if (end > range_end)
		end = range_end;
	ret->offset = start;
	ret->size = end - start;
	return true;
}

static void publish_progress(
	struct allocation_thread *record, const struct allocation_progress *progress)
{
	unsigned other = !atomic_load_explicit(&record->current, memory_order_relaxed);

	record->progress[other] = *progress;
	atomic_store_explicit(&record->current, other, memory_order_release);
}

static int allocate_part(int memory, uint64_t offset, uint64_t size)
{
	while (fallocate(memory, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Populating allocates, too, and takes a sixth longer for that. But only one thread at a time can
 * allocate in a memfd: the others don't wait for it. */
static int allocate_before_populating(struct work *work, uint64_t offset, uint64_t size)
{
	int r;

	if (atomic_flag_test_and_set(&work->allocating))
		return 0;
	r = allocate_part(work->memory, offset, size);
	atomic_flag_clear(&work->allocating);
	return r;
}

/* The page tables are given back at once, by each thread its own: at this process's end one would
 * have to take all of them down. */
static int populate_part(char *bytes, uint64_t size)
{
	while (madvise(bytes, size, MADV_POPULATE_WRITE) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	madvise(bytes, size, MADV_DONTNEED);
	return 0;
}

/* What has come of one that failed is counted; of one that did not, all has, and counting would
 * cost a twentieth of the time. */
static int allocate_chunk(struct worker *worker, struct allocation_progress *progress)
{
	struct work *work = worker->work;
	uint64_t resident;
	int r;

	publish_progress(worker->record, progress);
	if (work->mapped)
		r = allocate_before_populating(work, progress->offset, progress->size);
	else
		r = allocate_part(work->memory, progress->offset, progress->size);
	if (r == 0 && work->mapped)
		r = populate_part(work->mapped + (progress->offset - work->allocation->offset),
			progress->size);
	resident = r == 0 ? progress->size : progress->resident;
	if (r == 0)
		atomic_fetch_add(&work->allocation->done, progress->size);
	else
		memory_file_resident_range(
			work->memory, progress->offset, progress->size, &resident);
	if (resident > progress->resident)
		progress->allocated += resident - progress->resident;
	return r;
}

static int do_chunk(
	struct worker *worker, struct allocation_progress *progress, struct cgroup_room *ret_room)
{
	struct work *work = worker->work;
	uint64_t missing;
	int r = memory_file_resident_range(
		work->memory, progress->offset, progress->size, &progress->resident);

	if (r < 0)
		return r;
	missing = progress->size - progress->resident;
	r = allocator_room_take(&work->room, missing, ret_room);
	if (r < 0)
		return r;
	r = allocate_chunk(worker, progress);
	allocator_room_charged(&work->room, missing);
	return r;
}

static void *run_thread(void *context)
{
	struct worker *worker = context;
	struct work *work = worker->work;
	struct allocation_progress progress = {.allocated = 0};
	struct cgroup_room room = {.bytes = 0};

	while (work->end == ALLOCATION_RUNNING && next_chunk(work->allocation, &progress)) {
		int r = do_chunk(worker, &progress, &room);

		if (r < 0)
			stop_work(work, r, &room);
	}
	progress.size = 0;
	publish_progress(worker->record, &progress);
	return NULL;
}

/* The usual refusal: before anything was allocated. */
static int check_room(struct work *work, struct cgroup_room *ret_room)
{
	const struct allocation *allocation = work->allocation;
	uint64_t missing = allocation->size, resident, step;

	if (!work->room.limited)
		return 0;
	for (uint64_t done = 0; done < allocation->size; done += step) {
		int r;

		step = allocation->size - done < GIGABYTE ? allocation->size - done : GIGABYTE;
		r = memory_file_resident_range(
			work->memory, allocation->offset + done, step, &resident);
		if (r < 0)
			return r;
		missing -= resident;
	}
	return allocator_room_check(&work->room, missing, ret_room);
}

static unsigned count_threads(const struct allocation *allocation)
{
	uint64_t chunks = allocation->size / allocation->chunk + 1;
	unsigned threads = allocation->threads ? allocation->threads : node_cores(allocation->node);

	if (threads > allocation->records)
		threads = allocation->records;
	return threads > chunks ? (unsigned)chunks : threads;
}

/* A cgroup may let no more threads be started: those that are do all of it. */
static int run_all(struct work *work)
{
	unsigned wanted = count_threads(work->allocation), started;
	struct worker *workers = calloc(wanted, sizeof *workers);

	if (!workers)
		return -ENOMEM;
	for (unsigned i = 0; i < wanted; i++)
		workers[i] = (struct worker){work, &work->allocation->thread[i], 0};
	for (started = 1; started < wanted; started++) {
		if (pthread_create(&workers[started].thread, NULL, run_thread, &workers[started]) !=
			0)
			break;
	}
	run_thread(&workers[0]);
	while (started-- > 1)
		pthread_join(workers[started].thread, NULL);
	free(workers);
	return 0;
}

static int map_range(struct work *work)
{
	const struct allocation *allocation = work->allocation;
	void *mapped;

	if (!allocation->populate)
		return 0;
	mapped = mmap(NULL, allocation->size, PROT_READ | PROT_WRITE, MAP_SHARED, work->memory,
		(off_t)allocation->offset);
	if (mapped == MAP_FAILED)
		return -errno;
	/* Each page is touched once: that this process has used it is not noted, which takes a
	 * tenth of the time. */
	madvise(mapped, allocation->size, MADV_SEQUENTIAL);
	work->mapped = mapped;
	return 0;
}

enum allocation_end allocator_work(struct allocation *allocation, int memory)
{
	struct work work = {
		.allocation = allocation, .memory = memory, .allocating = ATOMIC_FLAG_INIT};
	struct cgroup_room room = {.bytes = 0};
	int r = allocator_room_init(&work.room, allocation->ignore_room);

	if (r == 0)
		r = check_room(&work, &room);
	if (r == 0)
		r = map_range(&work);
	if (r == 0)
		r = run_all(&work);
	if (r < 0)
		stop_work(&work, r, &room);
	return work.end == ALLOCATION_RUNNING ? ALLOCATION_DONE : (enum allocation_end)work.end;
}
