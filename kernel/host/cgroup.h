/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory cgroup of a process: which it is, how much it still may have, how to enter it.
 *
 * It is the v1 memory controller's where that is mounted, else the one of the unified hierarchy
 * (v2). Pages are charged to the cgroup that the task which allocates them is in at that moment.
 * Functions return 0 or a negative errno and write outputs only on success; what is asked of a
 * cgroup that has been removed gives -ENODEV. References: Documentation/admin-guide/cgroup-v2.rst,
 * Documentation/admin-guide/cgroup-v1/memory.rst, cgroups(7).
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup {
	bool unified;  /* v2 */
	int directory; /* owned */
};

#define CGROUP_UNLIMITED UINT64_MAX

struct cgroup_room {
	uint64_t bytes; /* CGROUP_UNLIMITED where nothing limits it */
	/* Of the cgroup that leaves the least room; CGROUP_UNLIMITED and 0 where none limits it. */
	uint64_t limit;
	uint64_t used; /* without what can be reclaimed; may be more than the limit */
};

struct cgroup_location {
	bool unified;
	char path[PATH_MAX]; /* of its directory */
};

/*
 * Where the memory cgroup is, by the texts of /proc/PID/cgroup and of /proc/self/mountinfo.
 * -ENOENT where the process has none, -EXDEV where no mount shows it to us: it is outside of our
 * cgroup namespace or of what is mounted.
 */
int cgroup_locate(const char *cgroups, const char *mounts, struct cgroup_location *ret);

/*
 * The memory cgroup that a process is in now; the caller releases it. -ESRCH where the process has
 * ended, so that a pid used again deceives nobody; else as cgroup_locate().
 */
int cgroup_of_process(pid_t process, int pidfd, struct cgroup *ret);
/* The caller's own. */
int cgroup_own(struct cgroup *ret);
int cgroup_duplicate(const struct cgroup *cgroup, struct cgroup *ret);
/* Closes what it holds. */
void cgroup_release(struct cgroup *cgroup);

/*
 * How much can be allocated in it before the kernel kills there: the least of limit minus use over
 * it and all above it that we see.
 *
 * Page cache of files is no use in this sense, for the kernel frees it before it kills: a VMM that
 * has read its disk image is not out of memory. Dirty pages and those on their way to disk are, and
 * so are tmpfs, guest memory and what is locked, none of which the kernel counts as files. What it
 * could swap out is not taken for room either. An estimate, for others allocate meanwhile.
 * memory.high slows down and refuses nothing.
 */
int cgroup_room(const struct cgroup *cgroup, struct cgroup_room *ret);

/* Bytes that are charged to it, and to those below it. -ENOENT where no controller counts them. */
int cgroup_usage(const struct cgroup *cgroup, uint64_t *ret);

/*
 * How many of its own processes the kernel has killed for want of memory, there or anywhere above.
 * 0 where no memory controller counts them.
 */
int cgroup_oom_kills(const struct cgroup *cgroup, uint64_t *ret_count);

/*
 * Opens it for entering; the caller owns the fd. The kernel checks the rights of who opened it, not
 * of who enters (Linux 5.16): CAP_DAC_OVERRIDE where it is another user's.
 */
int cgroup_open_entrance(const struct cgroup *cgroup, int *ret_fd);
/* Moves the caller's process there, with all its threads; what it has allocated stays charged where
 * it was. */
int cgroup_enter(int entrance);
