/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preallocation. See helper_run.h.
 */
#include "daemon/prealloc/helper_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/allocator/shared_progress.h"
#include "daemon/base/privileges.h"
#include "daemon/prealloc/allocator_process.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"

/* How long it takes a killed helper to end, and some more. One that takes longer is init's then. */
#define PATIENCE_MS 1000

struct preallocation {
	struct preallocation_events events;
	struct allocation *allocation; /* shared with the helper */
	unsigned records;              /* of threads, in that */
	int file;                      /* our own reference */
	int pidfd;
	struct event *end;
	struct event *tick;
	struct cgroup cgroup;  /* that the helper is in; no directory where there is none */
	uint64_t kills_before; /* of the cgroup's processes, by the kernel */
	uint64_t reported;     /* bytes */
	uint64_t huge;         /* bytes of a page; 0: they are the host's own */
	uint64_t resident;     /* bytes before, of huge pages */
	bool cancelled;
};

static void preallocation_clear(struct preallocation *preallocation)
{
	if (preallocation->end)
		event_free(preallocation->end);
	if (preallocation->tick)
		event_free(preallocation->tick);
	if (preallocation->allocation)
		munmap(preallocation->allocation, allocation_length(preallocation->records));
	cgroup_release(&preallocation->cgroup);
	fd_close(preallocation->file);
	fd_close(preallocation->pidfd);
	free(preallocation);
}

/* What came of it */

/* What of the chunk that a thread was at when it was killed has come by it. */
static uint64_t count_unfinished(int file, const struct allocation_progress *progress)
{
	uint64_t resident;

	if (progress->size == 0 ||
		memory_file_resident_range(file, progress->offset, progress->size, &resident) < 0)
		return 0;
	return resident > progress->resident ? resident - progress->resident : 0;
}

/* The kernel counts huge pages for a file as a whole alone: what a guest or another helper has
 * allocated meanwhile is among them. */
static uint64_t count_huge(const struct preallocation *preallocation)
{
	uint64_t resident = 0;

	memory_file_resident(preallocation->file, &resident);
	return resident > preallocation->resident ? resident - preallocation->resident : 0;
}

/* The helper has ended, so nothing of this changes any more. */
static uint64_t count_allocated(const struct preallocation *preallocation)
{
	uint64_t allocated = 0;

	if (preallocation->huge > 0)
		return count_huge(preallocation);

	for (unsigned i = 0; i < preallocation->records; i++) {
		const struct allocation_thread *thread = &preallocation->allocation->thread[i];
		const struct allocation_progress *progress = &thread->progress[thread->current & 1];

		allocated += progress->allocated;
		allocated += count_unfinished(preallocation->file, progress);
	}
	return allocated;
}

static uint64_t count_kills(const struct preallocation *preallocation)
{
	uint64_t count = 0;

	if (preallocation->cgroup.directory >= 0)
		cgroup_oom_kills(&preallocation->cgroup, &count);
	return count;
}

static enum preallocation_outcome outcome_by_helper(const struct preallocation *preallocation)
{
	switch ((enum allocation_end)preallocation->allocation->end) {
	case ALLOCATION_DONE:
		return PREALLOCATION_DONE;
	case ALLOCATION_NO_ROOM:
		return PREALLOCATION_NO_ROOM;
	case ALLOCATION_CGROUP_GONE:
		return PREALLOCATION_CGROUP_GONE;
	case ALLOCATION_RUNNING:
	case ALLOCATION_FAILED:
		break;
	}
	return PREALLOCATION_FAILED;
}

/* Who kills with SIGKILL isn't said; the kernel counts its own. */
static enum preallocation_outcome outcome(const struct preallocation *preallocation, int signal)
{
	enum preallocation_outcome told = outcome_by_helper(preallocation);

	if (told != PREALLOCATION_FAILED || preallocation->allocation->error)
		return told;
	if (preallocation->cancelled)
		return PREALLOCATION_CANCELLED;
	if (signal == SIGKILL && count_kills(preallocation) > preallocation->kills_before)
		return PREALLOCATION_OUT_OF_MEMORY;
	return signal ? PREALLOCATION_KILLED : PREALLOCATION_FAILED;
}

static void tell_room(
	const struct preallocation *preallocation, struct preallocation_result *result)
{
	result->room = (struct cgroup_room){CGROUP_UNLIMITED, CGROUP_UNLIMITED, 0};
	if (result->outcome == PREALLOCATION_NO_ROOM)
		result->room = preallocation->allocation->room;
	else if (result->outcome == PREALLOCATION_OUT_OF_MEMORY)
		cgroup_room(&preallocation->cgroup, &result->room);
}

static void helper_ended(evutil_socket_t pidfd, short what, void *context)
{
	struct preallocation *preallocation = context;
	int signal = helper_process_reap(pidfd).signal;
	struct preallocation_result result = {.outcome = outcome(preallocation, signal)};

	(void)what;
	preallocation->pidfd = -1;
	event_del(preallocation->end);
	event_del(preallocation->tick);
	fd_close(pidfd);
	result.allocated = count_allocated(preallocation);
	result.elsewhere = preallocation->allocation->elsewhere;
	if (result.outcome == PREALLOCATION_FAILED)
		result.error = preallocation->allocation->error ? -preallocation->allocation->error
								: -EPROTO;
	tell_room(preallocation, &result);
	preallocation->events.done(preallocation->events.context, &result);
}

/* Progress */

/* Anew each time, so that two never come sooner after each other. */
static int tick_later(struct preallocation *preallocation)
{
	const struct timeval interval = {.tv_usec = 100000};

	return event_add(preallocation->tick, &interval) < 0 ? -ENOMEM : 0;
}

static void ticked(evutil_socket_t fd, short what, void *context)
{
	struct preallocation *preallocation = context;
	uint64_t done = preallocation->allocation->done;

	(void)fd;
	(void)what;
	tick_later(preallocation);
	if (done == preallocation->reported)
		return;
	preallocation->reported = done;
	if (preallocation->events.progress)
		preallocation->events.progress(
			preallocation->events.context, done, preallocation->allocation->size);
}

/* Starting it */

static uint64_t chunk_of(const struct preallocation *preallocation)
{
	return preallocation->huge > ALLOCATION_CHUNK ? preallocation->huge : ALLOCATION_CHUNK;
}

/* The helper may have fewer cores, in the VM's cgroup. */
static unsigned count_records(const struct preallocation_request *request)
{
	unsigned cores = node_cores(request->node);

	return cores > PREALLOCATION_THREADS ? cores : PREALLOCATION_THREADS;
}

/* Huge pages need no room in a memory cgroup. Where it counts them all the same, what does not fit
 * fails and kills nobody. */
static int share(struct preallocation *preallocation, const struct preallocation_request *request,
	int *ret_state)
{
	cleanup_fd int state = -1;
	unsigned records = count_records(request);
	size_t length = allocation_length(records);
	struct allocation *allocation;
	int r = memory_file_create_memfd("gmemd-allocation", length, &state);

	if (r < 0)
		return r;
	allocation = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, state, 0);
	if (allocation == MAP_FAILED)
		return -errno;
	*allocation = (struct allocation){
		.parent = getpid(),
		.offset = request->offset,
		.size = request->size,
		.chunk = chunk_of(preallocation),
		.node = request->node,
		.populate = request->populate,
		.ignore_room = request->ignore_room || preallocation->huge > 0,
		.threads = request->threads,
		.records = records,
	};
	preallocation->allocation = allocation;
	preallocation->records = records;
	*ret_state = state;
	state = -1; /* handed over */
	return 0;
}

/* A host without memory cgroups has none to look at. */
static int find_cgroup(
	struct preallocation *preallocation, const struct cgroup *cgroup, int *ret_entrance)
{
	int r;

	if (!cgroup) {
		r = cgroup_own(&preallocation->cgroup);
		return r == -ENOENT || r == -EXDEV ? 0 : r;
	}
	r = cgroup_duplicate(cgroup, &preallocation->cgroup);
	if (r < 0)
		return r;
	privileges_raise_to_enter();
	r = cgroup_open_entrance(cgroup, ret_entrance);
	privileges_lower();
	return r;
}

static int watch_helper(struct event_base *base, struct preallocation *preallocation)
{
	preallocation->end =
		event_new(base, preallocation->pidfd, EV_READ, helper_ended, preallocation);
	preallocation->tick = evtimer_new(base, ticked, preallocation);
	if (!preallocation->end || !preallocation->tick || event_add(preallocation->end, NULL) < 0)
		return -ENOMEM;
	return tick_later(preallocation);
}

static int start_helper(struct event_base *base, const struct preallocation_request *request,
	struct preallocation *preallocation)
{
	cleanup_fd int state = -1, entrance = -1;
	int r;

	preallocation->file = fcntl(request->file, F_DUPFD_CLOEXEC, 0);
	if (preallocation->file < 0)
		return -errno;
	preallocation->huge = memory_file_huge(preallocation->file);
	if (preallocation->huge > 0)
		memory_file_resident(preallocation->file, &preallocation->resident);
	r = find_cgroup(preallocation, request->cgroup, &entrance);
	if (r == 0)
		r = share(preallocation, request, &state);
	preallocation->kills_before = count_kills(preallocation);
	if (r == 0)
		r = allocator_process_start(request->program,
			&(struct allocator_files){state, preallocation->file, entrance},
			&preallocation->pidfd);
	return r < 0 ? r : watch_helper(base, preallocation);
}

int preallocation_start(struct event_base *base, const struct preallocation_request *request,
	const struct preallocation_events *events, struct preallocation **ret)
{
	struct preallocation *preallocation;
	int r;

	if (request->size == 0 || (request->node != NODE_ANY && !node_exists(request->node)))
		return -EINVAL;
	preallocation = malloc(sizeof *preallocation);
	if (!preallocation)
		return -ENOMEM;
	*preallocation = (struct preallocation){
		.events = *events, .file = -1, .pidfd = -1, .cgroup = {.directory = -1}};
	r = start_helper(base, request, preallocation);
	if (r < 0) {
		preallocation_free(preallocation);
		return r;
	}
	*ret = preallocation;
	return 0;
}

/* Ending it */

void preallocation_cancel(struct preallocation *preallocation)
{
	if (preallocation->pidfd < 0)
		return;
	preallocation->cancelled = true;
	helper_process_kill(preallocation->pidfd);
}

static void left_over_ended(evutil_socket_t pidfd, short what, void *context)
{
	(void)what;
	helper_process_reap(pidfd);
	preallocation_clear(context);
}

/* True where the loop will wait for it. */
static bool leave_to_loop(struct preallocation *preallocation)
{
	if (!preallocation->end || event_del(preallocation->end) < 0)
		return false;
	if (preallocation->tick)
		event_del(preallocation->tick);
	return event_assign(preallocation->end, event_get_base(preallocation->end),
		       preallocation->pidfd, EV_READ, left_over_ended, preallocation) == 0 &&
	       event_add(preallocation->end, NULL) == 0;
}

struct preallocation *preallocation_free(struct preallocation *preallocation)
{
	if (!preallocation)
		return NULL;
	if (preallocation->pidfd >= 0) {
		helper_process_kill(preallocation->pidfd);
		if (leave_to_loop(preallocation))
			return NULL;
		/* Without memory for that there is nothing left to do but to wait here. */
		helper_process_reap(preallocation->pidfd);
	}
	preallocation_clear(preallocation);
	return NULL;
}

void preallocation_finish(struct preallocation *preallocation)
{
	if (preallocation->pidfd >= 0) {
		helper_process_kill(preallocation->pidfd);
		if (helper_process_wait(preallocation->pidfd, PATIENCE_MS))
			helper_process_reap(preallocation->pidfd);
	}
	preallocation_clear(preallocation);
}
