/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing by the page worker. See page_closer.h.
 */
#include "daemon/pages/page_closer.h"

#include "daemon/base/container_of.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/pages/page_worker.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"

static void file_closed(struct page_job *job);

static void close_by(struct page_closer *closer, struct page_job *job, struct page_file *file)
{
	bool released = page_file_is_released(file);
	uint64_t size = 0;

	memory_file_size(page_file_fd(file), &size);
	job->done = file_closed;
	job->context = closer;
	page_job_add(job, released ? PAGES_EMPTY : PAGES_CLOSE, file, 0, size);
	page_worker_submit(closer->pages, job);
}

/* The job's was the last reference. The first that is done without a spare one is that from then
 * on. */
static void file_closed(struct page_job *job)
{
	struct page_closer *closer = job->context;
	struct page_file *next = page_file_pop(&closer->waiting);

	if (next) {
		page_job_renew(job, page_file_owner(next));
		close_by(closer, job, next);
		page_file_unref(next);
	} else if (closer->spare) {
		page_job_free(job);
	} else {
		page_job_renew(job, NULL);
		closer->spare = job;
	}
}

static void begin_closing(struct page_file_closing *base, struct page_file *file)
{
	struct page_closer *closer = CONTAINER_OF(base, struct page_closer, base);
	struct page_job *job = page_job_new(page_file_owner(file), 1);

	if (!job && closer->spare) {
		job = closer->spare;
		closer->spare = NULL;
		page_job_renew(job, page_file_owner(file));
	}
	if (job)
		close_by(closer, job, file);
	else
		page_file_push(&closer->waiting, file);
}

void page_closer_init(struct page_closer *closer, struct page_worker *pages)
{
	*closer = (struct page_closer){.base = {begin_closing}, .pages = pages};
}

void page_closer_clear(struct page_closer *closer)
{
	closer->spare = page_job_free(closer->spare);
}

/* False without memory for a spare job, where there is none yet. */
static bool can_close(struct page_closer *closer)
{
	if (!closer->has_job)
		closer->spare = page_job_new(NULL, 1);
	closer->has_job |= closer->spare != NULL;
	return closer->has_job;
}

struct page_file *page_file_new(struct page_worker *pages, struct owner *owner, int consume_fd,
	uint64_t size, uint64_t huge)
{
	bool large = pages && size > PAGES_SMALL;
	struct page_closer *closer = large ? page_worker_closer(pages) : NULL;

	if (closer && !can_close(closer))
		return NULL;
	return page_file_make(owner, consume_fd, huge, closer ? &closer->base : NULL);
}

/* NULL where it is no memory's, or there is no memory for it. */
static struct page_file *new_if_memory(
	struct page_worker *pages, struct owner *owner, int consume_fd)
{
	uint64_t size;

	if (!memory_file_is_any(consume_fd) || memory_file_size(consume_fd, &size) < 0)
		return NULL;
	return page_file_new(pages, owner, consume_fd, size, memory_file_huge(consume_fd));
}

void page_file_dispose(struct page_worker *pages, struct owner *owner, int take_fd)
{
	struct page_file *file = new_if_memory(pages, owner, take_fd);

	if (file)
		page_file_unref(file);
	else
		fd_close(take_fd);
}

void page_file_dispose_held(struct page_worker *pages, struct owner *owner, struct fdstore *fdstore,
	const struct keeper_id *id, int take_fd)
{
	struct page_file *file = new_if_memory(pages, owner, take_fd);

	if (file) {
		fdstore_release(fdstore, (enum fdstore_kind)id->kind, id->owner, id->member,
			take_fd, page_file_closer(file));
		return;
	}
	fdstore_drop(fdstore, (enum fdstore_kind)id->kind, id->owner, id->member);
	fd_close(take_fd);
}
