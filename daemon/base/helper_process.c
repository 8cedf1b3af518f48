/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Helper processes. See helper_process.h.
 */
#include "daemon/base/helper_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

/* Of one helper, at most. */
#define FILES_MAX 4

/* In the build, all are in one folder. */
static int find_beside(const char *name, char ret[static PATH_MAX])
{
	size_t room = PATH_MAX - strlen(name) - 1;
	ssize_t length = readlink("/proc/self/exe", ret, room);
	char *slash;

	if (length <= 0 || (size_t)length == room)
		return -ENOENT;
	ret[length] = '\0';
	slash = strrchr(ret, '/');
	if (!slash)
		return -ENOENT;
	strcpy(slash + 1, name);
	return access(ret, X_OK) < 0 ? -errno : 0;
}

static const char *find_program(const struct helper_program *program, char path[static PATH_MAX])
{
	if (program->path)
		return program->path;
	if (find_beside(program->name, path) < 0)
		snprintf(path, PATH_MAX, "%s/%s",
			program->folder ? program->folder : GMEMD_LIBEXECDIR, program->name);
	return path;
}

/* Above all numbers that the helper has its files at, so that none is overwritten. */
struct copies {
	size_t count;
	int fds[FILES_MAX];
};

static void copies_close(struct copies *copies)
{
	while (copies->count > 0)
		fd_close(copies->fds[--copies->count]);
}

static int copies_make(const int *files, size_t count, struct copies *ret)
{
	const int above = HELPER_FIRST_FILE + (int)count;

	ret->count = 0;
	if (count > FILES_MAX)
		return -EINVAL;
	while (ret->count < count) {
		int fd = fcntl(files[ret->count], F_DUPFD_CLOEXEC, above);

		if (fd < 0)
			return -errno;
		ret->fds[ret->count++] = fd;
	}
	return 0;
}

static int hand_over(const struct helper_program *program, const struct copies *copies,
	posix_spawn_file_actions_t *actions)
{
	const int end = HELPER_FIRST_FILE + (int)copies->count;
	int own = program->outlives ? STDERR_FILENO : HELPER_FIRST_FILE;
	int r = 0;

	for (int fd = 0; r == 0 && !program->standard_files && fd < own; fd++)
		r = posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
	for (size_t i = 0; r == 0 && i < copies->count; i++)
		r = posix_spawn_file_actions_adddup2(
			actions, copies->fds[i], HELPER_FIRST_FILE + (int)i);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, end);
	return -r;
}

static int spawn_program(
	const struct helper_program *program, const posix_spawn_file_actions_t *actions, pid_t *ret)
{
	char *const alone[] = {(char *)program->name, NULL}, *const nothing[] = {NULL};
	short session = program->outlives ? POSIX_SPAWN_SETSID : 0;
	char path[PATH_MAX];
	posix_spawnattr_t attributes;
	sigset_t signals;
	int r = posix_spawnattr_init(&attributes);

	if (r != 0)
		return -r;
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(&attributes, &signals);
	sigfillset(&signals);
	posix_spawnattr_setsigdefault(&attributes, &signals);
	posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | session);
	r = posix_spawn(ret, find_program(program, path), actions, &attributes,
		program->arguments ? program->arguments : alone,
		program->outlives ? environ : nothing);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

static int spawn_with(const struct helper_program *program, const struct copies *copies, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	int r = -posix_spawn_file_actions_init(&actions);

	if (r < 0)
		return r;
	r = hand_over(program, copies, &actions);
	if (r == 0)
		r = spawn_program(program, &actions, ret);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int helper_process_spawn(
	const struct helper_program *program, const int *files, size_t count, pid_t *ret_pid)
{
	struct copies copies;
	int r = copies_make(files, count, &copies);

	if (r == 0)
		r = spawn_with(program, &copies, ret_pid);
	copies_close(&copies);
	return r;
}

int helper_process_start(
	const struct helper_program *program, const int *files, size_t count, int *ret_pidfd)
{
	pid_t child;
	int r = helper_process_spawn(program, files, count, &child);

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

void helper_process_kill(int pidfd)
{
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

bool helper_process_wait(int pidfd, int milliseconds)
{
	struct pollfd event = {.fd = pidfd, .events = POLLIN};

	return poll(&event, 1, milliseconds) > 0;
}

struct helper_end helper_process_reap(int pidfd)
{
	siginfo_t info = {.si_pid = 0};

	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0) {
		if (errno != EINTR)
			return (struct helper_end){0, 0};
	}
	if (info.si_code == CLD_EXITED)
		return (struct helper_end){.status = info.si_status};
	return (struct helper_end){.signal = info.si_status};
}
