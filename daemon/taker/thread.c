/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads of another process. See thread.h.
 */
#include "daemon/taker/thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/process.h"

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* The thread that has the number now may be another process's: so it is asked afterwards whether
 * the process has one of that number, while the thread behind the pidfd lives. */
static int visit_thread(
	const struct taker_process *process, pid_t thread, taker_thread_visit *visit, void *context)
{
	cleanup_fd int pidfd = pidfd_open(thread, PIDFD_THREAD);

	if (pidfd < 0)
		return -ESRCH;
	if (!process_has_thread(process->number, thread) || process_ended(pidfd))
		return -ESRCH;
	return visit(thread, pidfd, context);
}

int taker_threads_visit(
	const struct taker_process *process, taker_thread_visit *visit, void *context)
{
	__attribute__((cleanup(close_directory))) DIR *directory = NULL;
	const struct dirent *entry;
	char path[64];
	int r = -ESRCH;

	snprintf(path, sizeof path, "/proc/%d/task", process->number);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? -ESRCH : -errno;
	while (r == -ESRCH && (entry = readdir(directory))) {
		pid_t thread = atoi(entry->d_name);

		if (thread > 0)
			r = visit_thread(process, thread, visit, context);
	}
	/* While the process has not ended, its number is its own. */
	return process_ended(process->pidfd) ? -ESRCH : r;
}
