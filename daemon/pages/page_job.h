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
#include "protocol/methods.h"

enum bulk_kind {
	BULK_COUNT, /* pages */
	BULK_PUNCH, /* count, and give back */
	BULK_CLOSE, /* give all of them back, then close the file, which nobody else uses */
};

/* Ranges of a file. */
struct bulk_part {
	enum bulk_kind kind;
	struct page_file *file; /* a reference */
	struct file_range one;
	struct file_range *many; /* owned; NULL: one alone */
	size_t count;
	/* What came of it, in bytes of pages. */
	uint64_t resident; /* before */
	uint64_t released;
};

TAILQ_HEAD(bulk_job_list, bulk_job);

struct bulk_job {
	TAILQ_ENTRY(bulk_job) link; /* from being submitted to done() */
	struct share_work share;    /* where it waits for the page worker */
	struct work work;           /* done(), in the loop */
	struct bulk *bulk;          /* whom it was submitted to */
	struct owner *owner;        /* a reference: whose turns it takes */
	bool of_the_dead;           /* the release of a VM whose process has ended */

	/* How far it is. */
	size_t part, range;
	uint64_t offset;
	unsigned rounds; /* of a file that is emptied */

	void (*done)(struct bulk_job *job); /* in the loop; the job is its to free */
	void *context;
	size_t count;
	struct bulk_part parts[];
};

/* A job with room for that many parts, and none. NULL without memory. */
struct bulk_job *bulk_job_new(struct owner *owner, size_t room);
/* The job with room for that many. NULL without memory, and the job is as it was. Not once it is
 * submitted. */
struct bulk_job *bulk_job_grow(struct bulk_job *job, size_t room);
/* Refers to the file. */
void bulk_job_add(struct bulk_job *job, enum bulk_kind kind, struct page_file *file,
	uint64_t offset, uint64_t size);
/* The same of at least one range of it, which are copied. -ENOMEM. */
int bulk_job_add_ranges(struct bulk_job *job, enum bulk_kind kind, struct page_file *file,
	const struct file_range *ranges, size_t count);
/* Takes NULL, returns NULL. Not one that waits. */
struct bulk_job *bulk_job_free(struct bulk_job *job);
/* Sums over its parts. */
uint64_t bulk_job_released(const struct bulk_job *job);

/* Whether all of it takes no longer than a step. */
bool bulk_job_is_small(const struct bulk_job *job);
/* One step of it. False where that was the last. */
bool bulk_job_step(struct bulk_job *job);
