/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd and an allocator have in common: a small memfd that tells the allocator what to do and
 * gmemd how far it is, readable whenever the allocator is killed.
 *
 * gmemd writes the first part before the allocator starts, the allocator the rest.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/host/cgroup.h"

/* What it inherits besides the standard files. */
enum allocation_fd {
	ALLOCATION_STATE = 3,
	ALLOCATION_MEMORY,
	ALLOCATION_ENTRANCE, /* of the cgroup to enter; not open where there is none */
	ALLOCATION_FDS_END,
};

/* So small that all threads' together are allocated in a few milliseconds. */
#define ALLOCATION_CHUNK (4ull << 20)

enum allocation_end {
	ALLOCATION_RUNNING,
	ALLOCATION_DONE,
	ALLOCATION_NO_ROOM,     /* the cgroup's */
	ALLOCATION_CGROUP_GONE, /* before it could be entered */
	ALLOCATION_FAILED,      /* with an error */
};

/* What a thread has allocated, and the chunk that it is at. */
struct allocation_progress {
	uint64_t allocated; /* bytes, by the chunks before */
	uint64_t offset;
	uint64_t size;     /* 0: at none */
	uint64_t resident; /* bytes of the chunk that were there before */
};

/* Both of a thread's figures change at once, so that a kill at any moment leaves one true picture:
 * it writes the one that isn't current, then makes it so. */
struct allocation_thread {
	_Atomic unsigned current;
	struct allocation_progress progress[2];
};

struct allocation {
	pid_t parent;
	uint64_t offset;
	uint64_t size;
	uint64_t chunk; /* bytes: ALLOCATION_CHUNK, or a huge page where that is larger */
	int node;       /* or NODE_ANY */
	bool populate;  /* pages are touched besides: zeroed, and in this process's page tables */
	bool ignore_room;
	unsigned threads; /* at most; 0: as many as the node has cores */
	unsigned records; /* of threads, below: no more are started */

	_Atomic int end; /* enum allocation_end */
	_Atomic int error;
	struct cgroup_room room; /* with ALLOCATION_NO_ROOM */
	uint64_t elsewhere;      /* bytes on another node than that; with ALLOCATION_DONE */
	_Atomic uint64_t cursor; /* the next chunk's number */
	_Atomic uint64_t done;   /* bytes, whether they had to be allocated or were there */
	struct allocation_thread thread[];
};

/* Bytes of one with so many records. */
static inline size_t allocation_length(unsigned records)
{
	return sizeof(struct allocation) + records * sizeof(struct allocation_thread);
}
