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
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/fdstore/keeper_client.h"
#include "kernel/base/cleanup.h"

#define PROGRAM "gmemd-keeper"

#define MILLISECONDS_MAX 5000
#define TRIES_MAX        100

/* Beside this program, where that is. */
static int find_program(char path[static PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof PROGRAM);
	char *name;

	if (length > 0 && length < PATH_MAX - (ssize_t)sizeof PROGRAM) {
		path[length] = '\0';
		name = strrchr(path, '/');
		if (name) {
			strcpy(name + 1, PROGRAM);
			if (access(path, X_OK) == 0)
				return 0;
		}
	}
	strcpy(path, GMEMD_SBINDIR "/" PROGRAM);
	return access(path, X_OK) < 0 ? -errno : 0;
}

/* Nothing of this process's goes along but stderr and the environment: no files, no signal mask, no
 * ignored signals. */
static int spawn_keeper(const char *path, char *const *arguments, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(
			&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	if (r == 0)
		r = posix_spawn(ret_pid, path, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

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
	char path[PATH_MAX], directory[PATH_MAX];
	char *arguments[] = {PROGRAM, directory, "--exit-when-idle", "--background", NULL};
	int r = find_program(path);

	if (r < 0)
		return r;
	/* To start one that may make no socket would only fail. */
	if (faccessat(AT_FDCWD, runtime_directory, W_OK | X_OK, AT_EACCESS) < 0 && errno != ENOENT)
		return -EACCES;
	if (snprintf(directory, sizeof directory, "--runtime-directory=%s", runtime_directory) >=
		(int)sizeof directory)
		return -ENAMETOOLONG;
	return spawn_keeper(path, arguments, ret_pid);
}

static int check_serves(const char *runtime_directory)
{
	struct keeper_client *keeper;
	int r = keeper_connect(runtime_directory, &keeper);

	if (r == 0)
		keeper_free(keeper);
	return r;
}

int keeper_start(const char *runtime_directory)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int r = check_serves(runtime_directory);
	pid_t pid;

	/* Who holds the lock may not listen yet, or not any more. */
	for (unsigned i = 0; keeper_is_missing(r) && i < TRIES_MAX; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		r = keeper_spawn(runtime_directory, &pid);
		if (r == 0)
			r = keeper_await_spawned(pid);
		if (r < 0)
			return r;
		r = check_serves(runtime_directory);
	}
	return keeper_is_missing(r) ? -ETIMEDOUT : r;
}
