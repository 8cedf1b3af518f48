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

int allowance_init(struct allowance *allowance, bool ignore)
{
	int r;

	*allowance = (struct allowance){.cgroup = {.directory = -1}};
	pthread_mutex_init(&allowance->lock, NULL);
	if (ignore)
		return 0;
	r = cgroup_own(&allowance->cgroup);
	/* Where there is none, or none to be seen, nothing can be said of its room. */
	if (r == -ENOENT || r == -EXDEV)
		return 0;
	allowance->limited = r == 0;
	return r;
}

/* Half of what is there, so that it is looked at again before it is used up. */
static int read_room(struct allowance *allowance, uint64_t bytes, struct cgroup_room *ret_room)
{
	struct cgroup_room room;
	uint64_t free;
	int r = cgroup_room(&allowance->cgroup, &room);

	if (r < 0)
		return r;
	free = room.bytes > allowance->in_flight ? room.bytes - allowance->in_flight : 0;
	if (free < with_overhead(bytes)) {
		*ret_room = room;
		return -EDQUOT;
	}
	allowance->looked = monotonic_ns();
	allowance->credit = free / 2 > with_overhead(bytes) ? free / 2 : with_overhead(bytes);
	return 0;
}

int allowance_check(struct allowance *allowance, uint64_t bytes, struct cgroup_room *ret_room)
{
	int r;

	if (!allowance->limited)
		return 0;
	pthread_mutex_lock(&allowance->lock);
	r = read_room(allowance, bytes, ret_room);
	pthread_mutex_unlock(&allowance->lock);
	return r;
}

int allowance_take(struct allowance *allowance, uint64_t bytes, struct cgroup_room *ret_room)
{
	int r = 0;

	if (!allowance->limited)
		return 0;
	pthread_mutex_lock(&allowance->lock);
	if (allowance->credit < with_overhead(bytes) ||
		monotonic_ns() - allowance->looked > LOOK_EVERY_NS)
		r = read_room(allowance, bytes, ret_room);
	if (r == 0) {
		allowance->credit -= with_overhead(bytes);
		allowance->in_flight += bytes;
	}
	pthread_mutex_unlock(&allowance->lock);
	return r;
}

void allowance_settle(struct allowance *allowance, uint64_t bytes)
{
	if (!allowance->limited)
		return;
	pthread_mutex_lock(&allowance->lock);
	allowance->in_flight -= bytes;
	pthread_mutex_unlock(&allowance->lock);
}
