/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preallocation: guest memory allocated before the guest touches it, by a short-lived helper
 * process, gmemd-allocator, which the VM's memory cgroup is charged for.
 *
 * Nothing here waits for the helper but preallocation_finish(). A helper ends with the thread that
 * started it: start it from the loop's. What was allocated stays, however it ends;
 * memory_file_punch() gives it back.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/numa_node.h"
#include "kernel/host/cgroup.h"

/* As many threads may be asked for on any host. */
#define PREALLOCATION_THREADS 64

enum preallocation_outcome {
	PREALLOCATION_DONE,
	PREALLOCATION_CANCELLED,
	/* The cgroup's limit leaves no room for what is missing; seen before anybody was killed. */
	PREALLOCATION_NO_ROOM,
	/* The kernel killed the helper for want of memory: the cgroup's, or the host's. */
	PREALLOCATION_OUT_OF_MEMORY,
	PREALLOCATION_KILLED,      /* by somebody else */
	PREALLOCATION_CGROUP_GONE, /* before it was entered; nothing is allocated */
	PREALLOCATION_FAILED,      /* with an error */
};

struct preallocation_result {
	enum preallocation_outcome outcome;
	int error; /* a negative errno, with PREALLOCATION_FAILED */
	/* bytes that it added, exact; of huge pages, that were added while it ran */
	uint64_t allocated;
	/* bytes of the range that lie on another node than was asked for, by one page of each
	 * chunk; with PREALLOCATION_DONE */
	uint64_t elsewhere;
	/* With PREALLOCATION_NO_ROOM as it was found, with PREALLOCATION_OUT_OF_MEMORY as it is
	 * now. */
	struct cgroup_room room;
};

struct preallocation_request {
	int file;              /* the memory's */
	uint64_t offset, size; /* bytes, multiples of the page size, size not 0 */
	/* 0: as many as the node has cores; at most so many are started, or PREALLOCATION_THREADS
	 * where those are more */
	unsigned threads;
	/* Its pages are zeroed, too, which else their first touch does. Only of a file that can be
	 * mapped. */
	bool populate;
	int node;                    /* to allocate on it alone, or NODE_ANY */
	const struct cgroup *cgroup; /* to charge; NULL: gmemd's own */
	/* Allocates though there is no room, till the kernel kills: for tests of that. */
	bool ignore_room;
	/* The helper's program; NULL: what was built or installed with gmemd. */
	const char *program;
};

/* All is called from the loop, and may free the preallocation. */
struct preallocation_events {
	/* At most ten a second, where anything has changed. NULL for nothing. */
	void (*progress)(void *context, uint64_t done, uint64_t total);
	/* Once, at the end. */
	void (*done)(void *context, const struct preallocation_result *result);
	void *context;
};

struct preallocation;

/*
 * Starts it; what the request names need not outlive the call. -EINVAL for a node that doesn't
 * exist, -ENODEV where the cgroup is gone, -EACCES where gmemd lacks what entering it takes,
 * -ENOENT without the helper's program; then nothing is called.
 */
int preallocation_start(struct event_base *base, const struct preallocation_request *request,
	const struct preallocation_events *events, struct preallocation **ret);

/* Stops it; done is called soon, with what it came to. It may have ended by itself meanwhile. */
void preallocation_cancel(struct preallocation *preallocation);

/*
 * Also ends it, if it still runs; done is not called then. Its helper may go on for a moment: the
 * loop waits for its end. Takes NULL, returns NULL.
 */
struct preallocation *preallocation_free(struct preallocation *preallocation);

/* The same where there is no loop any more: waits for the helper's end, for a second at most. */
void preallocation_finish(struct preallocation *preallocation);
