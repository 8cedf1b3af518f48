/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An allocator's room: how much of its own cgroup's room it may take.
 *
 * Past a cgroup's limit the kernel kills. The victim would be the allocator, but where
 * memory.oom.group is set all of the cgroup dies with it, and a service manager may stop a unit of
 * which one process was killed (systemd's OOMPolicy=). So it asks for room before each chunk, and
 * looks anew from time to time, for others allocate too and limits change. What is left to the
 * kernel's killing is a race.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/host/cgroup.h"

struct allocator_room {
	pthread_mutex_t lock;
	bool limited;
	struct cgroup cgroup;
	uint64_t credit;    /* bytes that may be taken before looking anew */
	uint64_t in_flight; /* taken, and perhaps not charged yet */
	uint64_t looked;    /* when, in nanoseconds */
};

/* Of the cgroup that the caller is in now. ignore: all that is asked for. */
int allocator_room_init(struct allocator_room *own, bool ignore);

/* Whether bytes can be had at all; takes nothing. -EDQUOT, and the room there is, where not. */
int allocator_room_check(struct allocator_room *own, uint64_t bytes, struct cgroup_room *ret_room);
/* Takes bytes before they are allocated. */
int allocator_room_take(struct allocator_room *own, uint64_t bytes, struct cgroup_room *ret_room);
/* They are allocated, and so charged. */
void allocator_room_charged(struct allocator_room *own, uint64_t bytes);
