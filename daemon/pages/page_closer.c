/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing by the page worker. See page_closer.h.
 */
#include "daemon/pages/page_closer.h"

#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/pages/page_worker.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"

/* Made beforehand, so that closing can't fail. */
struct closing {
	struct page_file_closing base;
	struct page_worker *pages;
	struct page_job *job;
};

/* The job's is the last reference then. */
static void file_closed(struct page_job *job)
{
	page_job_free(job);
}

static void begin_closing(
	struct page_file_closing *take_closing, struct page_file *file, bool released)
{
	struct closing *closing = CONTAINER_OF(take_closing, struct closing, base);
	struct page_job *job = closing->job;
	uint64_t size = 0;

	memory_file_size(page_file_fd(file), &size);
	job->done = file_closed;
	page_job_add(job, released ? PAGES_EMPTY : PAGES_CLOSE, file, 0, size);
	page_worker_submit(closing->pages, job);
	free(closing);
}

static struct closing *closing_new(struct page_worker *pages, struct owner *owner)
{
	struct closing *closing = malloc(sizeof *closing);

	if (!closing)
		return NULL;
	*closing = (struct closing){{begin_closing}, pages, page_job_new(owner, 1)};
	if (closing->job)
		return closing;
	free(closing);
	return NULL;
}

static void closing_free(struct closing *closing)
{
	page_job_free(closing->job);
	free(closing);
}

struct page_file *page_file_new(struct page_worker *pages, struct owner *owner, int consume_fd,
	uint64_t size, uint64_t huge)
{
	bool large = pages && size > PAGES_SMALL;
	struct closing *closing = large ? closing_new(pages, owner) : NULL;
	struct page_file *file;

	if (large && !closing)
		return NULL;
	file = page_file_make(owner, consume_fd, huge, closing ? &closing->base : NULL);
	if (!file && closing)
		closing_free(closing);
	return file;
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
