/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocator processes. See allocator_process.h.
 */
#include "daemon/allocator_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/allocation.h"
#include "kernel/cleanup.h"

#define PROGRAM "gmemd-allocator"

/* In the build, both are in one folder. */
static const char *find_program(char path[static PATH_MAX])
{
	static const char installed[] = GMEMD_LIBEXECDIR "/" PROGRAM;
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof PROGRAM);
	char *name;

	if (length <= 0 || length == PATH_MAX - (ssize_t)sizeof PROGRAM)
		return installed;
	path[length] = '\0';
	name = strrchr(path, '/');
	if (!name)
		return installed;
	strcpy(name + 1, PROGRAM);
	return access(path, X_OK) == 0 ? path : installed;
}

/* Copies above all numbers that the helper has its files at, so that none is overwritten. */
struct copies {
	int state, memory, entrance;
};

static void copies_close(struct copies *copies)
{
	fd_close(copies->state);
	fd_close(copies->memory);
	fd_close(copies->entrance);
}

static int copies_make(const struct allocator_files *files, struct copies *ret)
{
	ret->state = fcntl(files->state, F_DUPFD_CLOEXEC, ALLOCATION_FDS_END);
	ret->memory = fcntl(files->memory, F_DUPFD_CLOEXEC, ALLOCATION_FDS_END);
	ret->entrance = -1;
	if (files->entrance >= 0)
		ret->entrance = fcntl(files->entrance, F_DUPFD_CLOEXEC, ALLOCATION_FDS_END);
	if (ret->state >= 0 && ret->memory >= 0 && (ret->entrance >= 0 || files->entrance < 0))
		return 0;
	return -errno;
}

static int hand_over(const struct copies *copies, posix_spawn_file_actions_t *actions)
{
	bool enters = copies->entrance >= 0;
	int r = posix_spawn_file_actions_adddup2(actions, copies->state, ALLOCATION_STATE);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, copies->memory, ALLOCATION_MEMORY);
	if (r == 0 && enters)
		r = posix_spawn_file_actions_adddup2(
			actions, copies->entrance, ALLOCATION_ENTRANCE);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(
			actions, enters ? ALLOCATION_FDS_END : ALLOCATION_ENTRANCE);
	return -r;
}

static int spawn(const char *program, const posix_spawn_file_actions_t *actions, pid_t *ret)
{
	static char *const arguments[] = {(char *)PROGRAM, NULL}, *const environment[] = {NULL};
	posix_spawnattr_t attributes;
	sigset_t signals;
	int r = posix_spawnattr_init(&attributes);

	if (r != 0)
		return -r;
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(&attributes, &signals);
	sigfillset(&signals);
	posix_spawnattr_setsigdefault(&attributes, &signals);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn(ret, program, actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

static int spawn_with(const char *program, const struct copies *copies, pid_t *ret)
{
	char path[PATH_MAX];
	posix_spawn_file_actions_t actions;
	int r = -posix_spawn_file_actions_init(&actions);

	if (r < 0)
		return r;
	r = hand_over(copies, &actions);
	if (r == 0)
		r = spawn(program ? program : find_program(path), &actions, ret);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int allocator_process_start(
	const char *program, const struct allocator_files *files, int *ret_pidfd)
{
	struct copies copies;
	pid_t child;
	int r = copies_make(files, &copies);

	if (r == 0)
		r = spawn_with(program, &copies, &child);
	copies_close(&copies);
	if (r < 0)
		return r;
	*ret_pidfd = pidfd_open(child, 0);
	if (*ret_pidfd >= 0)
		return 0;
	r = -errno;
	kill(child, SIGKILL); /* still ours: nobody has waited for it */
	waitpid(child, NULL, 0);
	return r;
}

void allocator_process_kill(int pidfd)
{
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

bool allocator_process_wait(int pidfd, int milliseconds)
{
	struct pollfd event = {.fd = pidfd, .events = POLLIN};

	return poll(&event, 1, milliseconds) > 0;
}

int allocator_process_reap(int pidfd)
{
	siginfo_t info = {.si_pid = 0};

	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0) {
		if (errno != EINTR)
			return 0;
	}
	return info.si_code == CLD_EXITED ? 0 : info.si_status;
}
