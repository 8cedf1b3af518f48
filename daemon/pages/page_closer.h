/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing files that may be large, by the page worker.
 */
#pragma once

#include "daemon/pages/page_file.h"

struct fdstore;
struct keeper_id;
struct page_job;
struct page_worker;

/* A page worker's. */
struct page_closer {
	struct page_file_closing base;
	struct page_worker *pages;
	/* For when there is no memory for another: so closing can't fail, and it goes on. NULL
	 * while it is at work. */
	struct page_job *spare;
	bool has_job;              /* there is one, or one at work becomes it */
	struct page_file *waiting; /* for a job */
};

void page_closer_init(struct page_closer *closer, struct page_worker *pages);
void page_closer_clear(struct page_closer *closer);

/*
 * A file of the owner's, who is referred to. huge: its memory_file_huge(). pages, which must
 * outlive it, may be NULL: then it is closed by whoever drops it. The fd is consumed on success.
 * NULL without memory.
 */
struct page_file *page_file_new(struct page_worker *pages, struct owner *owner, int consume_fd,
	uint64_t size, uint64_t huge);
/* Closes a file of any kind that gmemd may be the last to hold, and that may be large. It keeps its
 * pages for as long as anybody else has it. */
void page_file_dispose(struct page_worker *pages, struct owner *owner, int take_fd);
/* The same of one that the keeper holds, which drops it first. */
void page_file_dispose_held(struct page_worker *pages, struct owner *owner, struct fdstore *fdstore,
	const struct keeper_id *id, int take_fd);
