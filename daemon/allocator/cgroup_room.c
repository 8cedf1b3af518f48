/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allowances. See cgroup_room.h.
 */
#include "daemon/allocator/cgroup_room.h"

#include <errno.h>
#include <time.h>

#define LOOK_EVERY_NS 5000000ull

/* What the kernel needs to keep track of the pages is charged, too. */
static uint64_t with_overhead(uint64_t bytes)
{
	return bytes + bytes / 128;
}

static uint64_t monotonic_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int allocator_room_init(struct allocator_room *own, bool ignore)
{
	int r;

	*own = (struct allocator_room){.cgroup = {.directory = -1}};
	pthread_mutex_init(&own->lock, NULL);
	if (ignore)
		return 0;
	r = cgroup_own(&own->cgroup);
	/* Where there is none, or none to be seen, nothing can be said of its room. */
	if (r == -ENOENT || r == -EXDEV)
		return 0;
	own->limited = r == 0;
	return r;
}

/* Half of what is there, so that it is looked at again before it is used up. */
static int read_room(struct allocator_room *own, uint64_t bytes, struct cgroup_room *ret_room)
{
	struct cgroup_room room;
	uint64_t free;
	int r = cgroup_room(&own->cgroup, &room);

	if (r < 0)
		return r;
	free = room.bytes > own->in_flight ? room.bytes - own->in_flight : 0;
	if (free < with_overhead(bytes)) {
		*ret_room = room;
		return -EDQUOT;
	}
	own->looked = monotonic_ns();
	own->credit = free / 2 > with_overhead(bytes) ? free / 2 : with_overhead(bytes);
	return 0;
}

int allocator_room_check(struct allocator_room *own, uint64_t bytes, struct cgroup_room *ret_room)
{
	int r;

	if (!own->limited)
		return 0;
	pthread_mutex_lock(&own->lock);
	r = read_room(own, bytes, ret_room);
	pthread_mutex_unlock(&own->lock);
	return r;
}

int allocator_room_take(struct allocator_room *own, uint64_t bytes, struct cgroup_room *ret_room)
{
	int r = 0;

	if (!own->limited)
		return 0;
	pthread_mutex_lock(&own->lock);
	if (own->credit < with_overhead(bytes) || monotonic_ns() - own->looked > LOOK_EVERY_NS)
		r = read_room(own, bytes, ret_room);
	if (r == 0) {
		own->credit -= with_overhead(bytes);
		own->in_flight += bytes;
	}
	pthread_mutex_unlock(&own->lock);
	return r;
}

void allocator_room_charged(struct allocator_room *own, uint64_t bytes)
{
	if (!own->limited)
		return;
	pthread_mutex_lock(&own->lock);
	own->in_flight -= bytes;
	pthread_mutex_unlock(&own->lock);
}
