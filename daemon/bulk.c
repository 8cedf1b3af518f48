/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk work. See bulk.h.
 */
#include "daemon/bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

#include "kernel/cleanup.h"
#include "kernel/memory_file.h"

/* What one step takes of a file: some milliseconds' work where all its pages are there. */
#define PIECE (64ull << 20)

struct bulk {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct bulk_queue waiting, finished; /* under the lock */
	bool ending;
	int finished_fd; /* an eventfd */
	struct event *event;
};

struct bulk_job *bulk_job_grow(struct bulk_job *job, size_t room)
{
	struct bulk_job *grown = realloc(job, sizeof *grown + room * sizeof *grown->ranges);

	if (grown && !job)
		*grown = (struct bulk_job){.count = 0};
	return grown;
}

struct bulk_job *bulk_job_new(size_t room)
{
	return bulk_job_grow(NULL, room);
}

void bulk_job_add(struct bulk_job *job, enum bulk_kind kind, int fd, uint64_t offset, uint64_t size)
{
	job->ranges[job->count++] =
		(struct bulk_range){.kind = kind, .fd = fd, .offset = offset, .size = size};
}

static void close_files(struct bulk_job *job, size_t count)
{
	for (size_t i = 0; i < count; i++)
		job->ranges[i].fd = fd_close(job->ranges[i].fd);
}

/* Has it work on fds of its own. False where there is no room for them, and all is as it was. */
static bool own_files(struct bulk_job *job)
{
	int *fds = calloc(job->count, sizeof *fds);
	size_t count = 0;

	while (fds && count < job->count) {
		fds[count] = fcntl(job->ranges[count].fd, F_DUPFD_CLOEXEC, 3);
		if (fds[count] < 0)
			break;
		count++;
	}
	for (size_t i = 0; i < count; i++) {
		if (count == job->count)
			job->ranges[i].fd = fds[i];
		else
			fd_close(fds[i]);
	}
	free(fds);
	return count == job->count;
}

struct bulk_job *bulk_job_free(struct bulk_job *job)
{
	free(job);
	return NULL;
}

uint64_t bulk_job_released(const struct bulk_job *job)
{
	uint64_t released = 0;

	for (size_t i = 0; i < job->count; i++)
		released += job->ranges[i].released;
	return released;
}

/* What was there when it was punched is gone; what comes back after that is new. */
static void work(struct bulk_range *range, uint64_t offset, uint64_t size)
{
	uint64_t bytes = 0;

	memory_file_resident_range(range->fd, offset, size, &bytes);
	range->resident += bytes;
	if (range->kind == BULK_PUNCH && bytes > 0 &&
		memory_file_punch(range->fd, offset, size) == 0)
		range->released += bytes;
}

/* One step of it. False where that was the last. */
static bool step(struct bulk_job *job)
{
	struct bulk_range *range = &job->ranges[job->index];
	uint64_t size = range->size - job->offset;

	if (size > PIECE)
		size = PIECE;
	work(range, range->offset + job->offset, size);
	job->offset += size;
	if (job->offset == range->size) {
		job->offset = 0;
		job->index++;
	}
	return job->index < job->count;
}

/* The job is the thread's while it is on neither queue. */
static struct bulk_job *take(struct bulk *bulk)
{
	struct bulk_job *job = NULL;

	while (!bulk->ending && !(job = TAILQ_FIRST(&bulk->waiting)))
		pthread_cond_wait(&bulk->more, &bulk->lock);
	if (job)
		TAILQ_REMOVE(&bulk->waiting, job, link);
	return job;
}

static void *run(void *context)
{
	struct bulk *bulk = context;
	struct bulk_job *job;

	pthread_mutex_lock(&bulk->lock);
	while ((job = take(bulk))) {
		bool more;

		pthread_mutex_unlock(&bulk->lock);
		more = step(job);
		if (!more)
			close_files(job, job->count);
		pthread_mutex_lock(&bulk->lock);
		TAILQ_INSERT_TAIL(more ? &bulk->waiting : &bulk->finished, job, link);
		if (!more)
			eventfd_write(bulk->finished_fd, 1);
	}
	pthread_mutex_unlock(&bulk->lock);
	return NULL;
}

static void finish(struct bulk *bulk, struct bulk_queue *queue)
{
	struct bulk_job *job;

	do {
		pthread_mutex_lock(&bulk->lock);
		job = TAILQ_FIRST(queue);
		if (job)
			TAILQ_REMOVE(queue, job, link);
		pthread_mutex_unlock(&bulk->lock);
		if (job) {
			close_files(job, job->count);
			job->done(job);
		}
	} while (job);
}

static void finished_event(evutil_socket_t fd, short what, void *context)
{
	struct bulk *bulk = context;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	finish(bulk, &bulk->finished);
}

static int bulk_start(struct event_base *base, struct bulk *bulk)
{
	bulk->event =
		event_new(base, bulk->finished_fd, EV_READ | EV_PERSIST, finished_event, bulk);
	if (!bulk->event || event_add(bulk->event, NULL) < 0)
		return -ENOMEM;
	return -pthread_create(&bulk->thread, NULL, run, bulk);
}

static void bulk_clear(struct bulk *bulk)
{
	if (bulk->event)
		event_free(bulk->event);
	fd_close(bulk->finished_fd);
	pthread_cond_destroy(&bulk->more);
	pthread_mutex_destroy(&bulk->lock);
	free(bulk);
}

int bulk_new(struct event_base *base, struct bulk **ret)
{
	struct bulk *bulk = calloc(1, sizeof *bulk);
	int r;

	if (!bulk)
		return -ENOMEM;
	pthread_mutex_init(&bulk->lock, NULL);
	pthread_cond_init(&bulk->more, NULL);
	TAILQ_INIT(&bulk->waiting);
	TAILQ_INIT(&bulk->finished);
	bulk->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = bulk->finished_fd < 0 ? -errno : bulk_start(base, bulk);
	if (r < 0)
		bulk_clear(bulk);
	else
		*ret = bulk;
	return r;
}

struct bulk *bulk_free(struct bulk *bulk)
{
	if (!bulk)
		return NULL;
	pthread_mutex_lock(&bulk->lock);
	bulk->ending = true;
	pthread_cond_signal(&bulk->more);
	pthread_mutex_unlock(&bulk->lock);
	pthread_join(bulk->thread, NULL);
	finish(bulk, &bulk->finished);
	finish(bulk, &bulk->waiting);
	bulk_clear(bulk);
	return NULL;
}

static bool is_small(const struct bulk_job *job)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < job->count && bytes <= BULK_SMALL; i++) {
		if (job->ranges[i].size > BULK_SMALL)
			return false;
		bytes += job->ranges[i].size;
	}
	return bytes <= BULK_SMALL;
}

bool bulk_do(struct bulk *bulk, struct bulk_job *job)
{
	if (is_small(job) || !own_files(job)) {
		while (job->index < job->count)
			step(job);
		return true;
	}
	pthread_mutex_lock(&bulk->lock);
	TAILQ_INSERT_TAIL(&bulk->waiting, job, link);
	pthread_cond_signal(&bulk->more);
	pthread_mutex_unlock(&bulk->lock);
	return false;
}
