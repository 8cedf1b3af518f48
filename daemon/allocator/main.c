/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-allocator: allocates guest memory in the name of a VM, in a process of its own.
 *
 * The kernel charges pages to the cgroup of the task that allocates them, places them by its memory
 * policy, and kills it where there is no memory left; so that none of this befalls gmemd, which
 * starts it and tells it what to do (shared_progress.h). It ends when gmemd does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/allocator/work.h"
#include "daemon/base/capabilities.h"
#include "daemon/base/numa_node.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "kernel/host/process_start.h"

#define NICENESS 10

/* Of all tasks that the kernel could kill for want of memory, this one. Needs no privilege. */
static int be_first_to_be_killed(void)
{
	static const char most[] = "1000";
	cleanup_fd int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, most, strlen(most)) < 0)
		return -errno;
	return 0;
}

/* After privileges are given up, which could undo it; and the parent may have died before. */
static int end_with_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

/*
 * Behind whoever has something to do now: as many threads as there are processors would else keep
 * gmemd, and VMs that run, waiting for milliseconds. An idle processor is used all the same.
 */
static void give_way(void)
{
	setpriority(PRIO_PROCESS, 0, NICENESS);
}

static enum allocation_end fail_start(struct allocation *allocation, int r)
{
	allocation->error = -r;
	return ALLOCATION_FAILED;
}

/* This process's pages; and those of the memory, whose own policy goes before that from Linux 6.19
 * on, and may have been changed by whoever has mapped it. A file of huge pages has none. */
static int bind_all(int node)
{
	uint64_t size;
	int r = node_bind(node);

	if (memory_file_huge(ALLOCATION_MEMORY) > 0)
		return r;
	if (r == 0)
		r = memory_file_size(ALLOCATION_MEMORY, &size);
	return r == 0 ? node_bind_file(ALLOCATION_MEMORY, size, node) : r;
}

/* Whoever has mapped the memory may have changed its policy meanwhile, and may have touched pages
 * before. */
static enum allocation_end look_where_it_is(struct allocation *allocation)
{
	allocation->elsewhere = node_elsewhere(ALLOCATION_MEMORY, allocation->offset,
		allocation->size, allocation->chunk, allocation->node);
	return ALLOCATION_DONE;
}

static enum allocation_end allocate_all(struct allocation *allocation)
{
	enum allocation_end end;
	int r = be_first_to_be_killed();

	if (r == 0)
		r = capabilities_give_up();
	if (r == 0)
		r = end_with_parent(allocation->parent);
	if (r < 0)
		return fail_start(allocation, r);
	give_way();
	if (fcntl(ALLOCATION_ENTRANCE, F_GETFD) >= 0)
		r = cgroup_enter(ALLOCATION_ENTRANCE);
	if (r == -ENODEV)
		return ALLOCATION_CGROUP_GONE;
	if (r == 0)
		r = bind_all(allocation->node);
	if (r < 0)
		return fail_start(allocation, r);
	end = allocator_work(allocation, ALLOCATION_MEMORY);
	return end == ALLOCATION_DONE ? look_where_it_is(allocation) : end;
}

/* NULL where gmemd has not handed one over. */
static struct allocation *map_allocation(void)
{
	uint64_t length = 0;
	void *mapped;

	if (memory_file_size(ALLOCATION_STATE, &length) < 0)
		return NULL;
	mapped = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, ALLOCATION_STATE, 0);
	return mapped == MAP_FAILED ? NULL : mapped;
}

int main(void)
{
	int started = process_start(PROCESS_DAEMON);
	struct allocation *allocation = map_allocation();
	sigset_t all;

	if (started < 0 || !allocation) {
		fprintf(stderr, "gmemd-allocator is started by gmemd\n");
		return 2;
	}
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	allocation->end = allocate_all(allocation);
	_exit(allocation->end == ALLOCATION_DONE ? EXIT_SUCCESS : EXIT_FAILURE);
}
