/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preallocates as gmemd does, under whatever unit it is run, and says who was charged.
 *
 * preallocate PID MIB: gives up privileges as gmemd does, allocates a memfd in the name of the
 * process, and exits 0 if all was allocated and the process's cgroup uses that much more.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon/base/privileges.h"
#include "daemon/prealloc/helper_run.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"

/* What the VMM may have given back meanwhile, and what each processor has charged in advance. */
#define USAGE_SLACK (4ull << 20)

static struct preallocation_result result = {.outcome = PREALLOCATION_FAILED};

static void done(void *context, const struct preallocation_result *ended)
{
	result = *ended;
	event_base_loopbreak(context);
}

static uint64_t usage(const struct cgroup *cgroup)
{
	const char *name = cgroup->unified ? "memory.current" : "memory.usage_in_bytes";
	cleanup_fd int fd = openat(cgroup->directory, name, O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	if (read(fd, text, sizeof text - 1) < 0)
		return 0;
	return strtoull(text, NULL, 10);
}

static int preallocate(int file, uint64_t size, const struct cgroup *cgroup)
{
	struct event_base *base = event_base_new();
	const struct preallocation_events events = {.done = done, .context = base};
	const struct preallocation_request request = {
		.file = file, .size = size, .node = NODE_ANY, .cgroup = cgroup};
	struct preallocation *preallocation;
	int r = preallocation_start(base, &request, &events, &preallocation);

	if (r == 0) {
		event_base_dispatch(base);
		preallocation_free(preallocation);
	}
	event_base_free(base);
	return r;
}

static int run(pid_t process, uint64_t size)
{
	cleanup_fd int pidfd = pidfd_open(process, 0), file = -1;
	struct cgroup cgroup = {.directory = -1};
	uint64_t before;
	int r = cgroup_of_process(process, pidfd, &cgroup);

	if (r < 0)
		return r;
	before = usage(&cgroup);
	r = memory_file_create_memfd("preallocate", size, &file);
	if (r == 0)
		r = preallocate(file, size, &cgroup);
	if (r == 0) {
		printf("outcome %d, error %d, %" PRIu64 " bytes allocated, used %" PRIu64
		       " before and %" PRIu64 " now\n",
			result.outcome, result.error, result.allocated, before, usage(&cgroup));
		r = result.outcome == PREALLOCATION_DONE &&
				    usage(&cgroup) + USAGE_SLACK >= before + size
			    ? 0
			    : -EPROTO;
	}
	cgroup_release(&cgroup);
	return r;
}

int main(int argc, char **argv)
{
	int r = argc == 3 ? privileges_give_up() : -EINVAL;

	if (r == 0)
		r = run(atoi(argv[1]), strtoull(argv[2], NULL, 10) << 20);
	if (r < 0)
		fprintf(stderr, "preallocate: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
