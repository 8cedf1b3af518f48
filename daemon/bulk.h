/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk work: what takes long because memories are large, done by one thread for all of gmemd.
 *
 * Pages are counted or given back in steps, of which each job gets one in turn: so neither the loop
 * nor a small VM's job waits for a large one's. The thread touches nothing but the jobs.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Bytes of files whose pages are sooner counted or freed than handed over. */
#define BULK_SMALL (16ull << 20)

enum bulk_kind {
	BULK_COUNT, /* pages */
	BULK_PUNCH, /* count, and give back */
};

/* A part of a file. */
struct bulk_range {
	enum bulk_kind kind;
	int fd; /* of who adds it; the job's own once the thread has it */
	uint64_t offset;
	uint64_t size;
	/* What came of it, in bytes of pages. */
	uint64_t resident; /* before */
	uint64_t released;
};

struct bulk_job;

TAILQ_HEAD(bulk_queue, bulk_job);

struct bulk_job {
	TAILQ_ENTRY(bulk_job) link; /* and where the thread is: its own */
	size_t index;
	uint64_t offset;

	void (*done)(struct bulk_job *job); /* in the loop; the job is then its to free */
	void *context;
	size_t count;
	struct bulk_range ranges[];
};

struct bulk;

/* -ENOMEM, -EMFILE, -EAGAIN. */
int bulk_new(struct event_base *base, struct bulk **ret);
/* Ends the thread after its step. Jobs that are not finished are done as they are. Takes NULL,
 * returns NULL. */
struct bulk *bulk_free(struct bulk *bulk);

/* A job with room for that many ranges, and none. NULL without memory. */
struct bulk_job *bulk_job_new(size_t room);
/* The job, NULL for a new one, with room for that many. NULL without memory, and the job is as it
 * was. Not once it is submitted. */
struct bulk_job *bulk_job_grow(struct bulk_job *job, size_t room);
/* The fd must stay open until bulk_do() has returned. */
void bulk_job_add(
	struct bulk_job *job, enum bulk_kind kind, int fd, uint64_t offset, uint64_t size);
/* Takes NULL, returns NULL. Not one that the thread has. */
struct bulk_job *bulk_job_free(struct bulk_job *job);
/* Sums over its ranges. */
uint64_t bulk_job_released(const struct bulk_job *job);

/*
 * True where it is done: what is small is not handed over, nor what there are no fds for. Else the
 * thread has it, and done will be called.
 */
bool bulk_do(struct bulk *bulk, struct bulk_job *job);
