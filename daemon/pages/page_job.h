/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs on pages: what is to be counted, given back or closed, and for whom.
 *
 * A job is worked on in steps, each of which takes a few milliseconds at most.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/owner/scheduler.h"
#include "daemon/pages/page_file.h"
#include "daemon/puncher/punch.h"
#include "protocol/methods.h"

struct puncher;

/* Bytes of files whose pages are sooner counted than handed over. */
#define PAGES_SMALL (2ull << 20)

enum page_job_kind {
	PAGES_COUNT, /* pages */
	PAGES_PUNCH, /* count, and give back */
	/* give all of them back, then close the file, which nobody is to use any more */
	PAGES_EMPTY,
	PAGES_CLOSE, /* close the file, and leave its pages to whoever has it too */
};

/* Ranges of a file. */
struct page_part {
	enum page_job_kind kind;
	struct page_file *file; /* a reference */
	enum punch_kind punch;
	struct file_range one;
	struct file_range *many; /* owned; NULL: one alone */
	size_t count;
	/* What came of it, in bytes of pages. */
	uint64_t resident; /* before */
	uint64_t released;
	uint64_t left; /* counted again after they were given back */
};

TAILQ_HEAD(page_job_list, page_job);

struct page_job {
	TAILQ_ENTRY(page_job) link; /* from being submitted to done() */
	struct share_work share;    /* where it waits for the page worker */
	struct work work;           /* done(), in the loop */
	struct page_worker *pages;  /* whom it was submitted to */
	struct owner *owner;        /* a reference: whose turns it takes */
	struct owner *taken_from;   /* a reference: whose files an operator empties, or NULL */
	bool of_the_dead;           /* the release of a VM whose process has ended */

	/* How far it is. */
	size_t part, range;
	uint64_t offset;
	unsigned rounds; /* of a file that is emptied */
	uint64_t spent;  /* on it by the page worker, nanoseconds */

	void (*done)(struct page_job *job); /* in the loop; the job is its to free */
	void *context;
	size_t count;
	struct page_part parts[];
};

/* A job with room for that many parts, and none. NULL without memory. owner may be NULL: then it is
 * to be renewed before it is submitted. */
struct page_job *page_job_new(struct owner *owner, size_t room);
/* One that is done, or was not submitted, is a new one of that owner's, with the same room. */
void page_job_renew(struct page_job *job, struct owner *owner);
/* The job with room for that many. NULL without memory, and the job is as it was. Not once it is
 * submitted. */
struct page_job *page_job_grow(struct page_job *job, size_t room);
/* An operator's job gives back pages of that owner's, who can keep it waiting: it waits with others
 * of the kind, so that no other work of operators' does. Not once it is submitted. */
void page_job_take_from(struct page_job *job, struct owner *owner);
/* Refers to the file. */
void page_job_add(struct page_job *job, enum page_job_kind kind, struct page_file *file,
	uint64_t offset, uint64_t size);
/* The same of at least one range of it, which are copied. -ENOMEM. */
int page_job_add_ranges(struct page_job *job, enum page_job_kind kind, struct page_file *file,
	const struct file_range *ranges, size_t count);
/* Takes NULL, returns NULL. Not one that waits. */
struct page_job *page_job_free(struct page_job *job);
/* What is left of a file that it has given back. */
uint64_t page_job_left(const struct page_job *job, const struct page_file *file);
/* Sums over its parts. */
uint64_t page_job_released(const struct page_job *job);

/*
 * Whether the loop may do it: it is short, and gives nothing back. Whoever else has a file can keep
 * all who punch it waiting for as long as it likes, by allocating in it.
 */
bool page_job_is_for_loop(const struct page_job *job);
/* One step of it. Without a puncher, as in the loop, pages are counted and none is given back.
 * False where that was the last. */
bool page_job_step(struct page_job *job, struct puncher *puncher);
/* False of one that ended with the page worker. */
bool page_job_is_done(const struct page_job *job);
