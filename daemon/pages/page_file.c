/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page files. See page_file.h.
 */
#include "daemon/pages/page_file.h"

#include <stdlib.h>

#include "daemon/fdstore/fdstore.h"
#include "daemon/pages/page_worker.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"

struct page_file {
	struct fdstore_closer closer;
	int fd;
	uint64_t size;
	unsigned references;
	struct page_worker *pages;
	struct owner *owner;
	bool released;            /* its pages are nobody's any more */
	bool charged;             /* to the owner, as a memory */
	struct page_job *closing; /* made beforehand, so that it can't fail; NULL: needs none */
};

static void unref_by_closer(struct fdstore_closer *closer, int take_fd)
{
	(void)take_fd; /* the file's */
	page_file_unref((struct page_file *)closer);
}

struct page_file *page_file_new(
	struct page_worker *pages, struct owner *owner, int consume_fd, uint64_t size)
{
	bool large = pages && size > PAGES_SMALL;
	struct page_file *file = malloc(sizeof *file);
	struct page_job *closing = file && large ? page_job_new(owner, 1) : NULL;

	if (!file || (large && !closing)) {
		free(file);
		return NULL;
	}
	*file = (struct page_file){.closer = {unref_by_closer},
		.fd = consume_fd,
		.size = size,
		.references = 1,
		.pages = pages,
		.owner = owner_ref(owner),
		.closing = closing};
	return file;
}

struct page_file *page_file_ref(struct page_file *file)
{
	file->references++;
	return file;
}

static void page_file_free(struct page_file *file)
{
	page_file_close(file);
	if (file->charged)
		owner_give_back(file->owner, OWNER_MEMORIES);
	owner_unref(file->owner);
	free(file);
}

/* The job's is the last reference then. */
static void closed(struct page_job *job)
{
	page_job_free(job);
}

static void close_later(struct page_file *file)
{
	struct page_job *job = file->closing;

	file->closing = NULL;
	job->done = closed;
	page_job_add(job, file->released ? PAGES_EMPTY : PAGES_CLOSE, file, 0, file->size);
	page_worker_submit(file->pages, job);
}

struct page_file *page_file_unref(struct page_file *file)
{
	if (!file)
		return NULL;
	if (file->references == 1 && file->closing)
		close_later(file);
	if (--file->references == 0)
		page_file_free(file);
	return NULL;
}

void page_file_set_released(struct page_file *file)
{
	file->released = true;
}

void page_file_take_charge(struct page_file *file)
{
	file->charged = true;
}

/* NULL where it is no memory's, or there is no memory for it. */
static struct page_file *new_if_memory(
	struct page_worker *pages, struct owner *owner, int consume_fd)
{
	uint64_t size;

	if (!memory_file_is_any(consume_fd) || memory_file_size(consume_fd, &size) < 0)
		return NULL;
	return page_file_new(pages, owner, consume_fd, size);
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
			take_fd, &file->closer);
		return;
	}
	fdstore_drop(fdstore, (enum fdstore_kind)id->kind, id->owner, id->member);
	fd_close(take_fd);
}

struct fdstore_closer *page_file_closer(struct page_file *file)
{
	return &file->closer;
}

int page_file_fd(const struct page_file *file)
{
	return file->fd;
}

void page_file_close(struct page_file *file)
{
	file->fd = fd_close(file->fd);
}
