/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting a gmemd-keeper that outlives this process. See keeper_client.h.
 *
 * It goes to the background by itself: what is started here returns as soon as it serves, or
 * another one does. So of several that are started at once one stays, and none is left to wait for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/helper_process.h"
#include "daemon/fdstore/keeper_client.h"
#include "kernel/base/cleanup.h"

#define PROGRAM "gmemd-keeper"

#define MILLISECONDS_MAX 5000

/* Until it has gone to the background. */
int keeper_await_spawned(pid_t pid)
{
	cleanup_fd int pidfd = pidfd_open(pid, 0);
	struct pollfd event = {.fd = pidfd, .events = POLLIN};
	int status, r;

	do {
		r = pidfd < 0 ? 1 : poll(&event, 1, MILLISECONDS_MAX);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (r <= 0)
		return -ETIMEDOUT;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -ECHILD;
}

int keeper_spawn(const char *runtime_directory, pid_t *ret_pid)
{
	char directory[PATH_MAX];
	char *const arguments[] = {PROGRAM, directory, "--exit-when-idle", "--background", NULL};
	const struct helper_program program = {
		.name = PROGRAM, .folder = GMEMD_SBINDIR, .arguments = arguments, .outlives = true};

	/* To start one that may make no socket would only fail. */
	if (faccessat(AT_FDCWD, runtime_directory, W_OK | X_OK, AT_EACCESS) < 0 && errno != ENOENT)
		return -EACCES;
	if (snprintf(directory, sizeof directory, "--runtime-directory=%s", runtime_directory) >=
		(int)sizeof directory)
		return -ENAMETOOLONG;
	return helper_process_spawn(&program, NULL, 0, ret_pid);
}
