/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Helper processes. See helper_process.h.
 */
#include "daemon/base/helper_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

/* Of one helper, at most. */
#define FILES_MAX 4

/* Of what it does before it is another program. */
#define STACK_SIZE (64 * 1024)

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

/* ThreadSanitizer takes each clone(2) for a fork(2), and changes what it knows as in a copy. */
#ifdef __SANITIZE_THREAD__
int __clone(int (*body)(void *), void *stack, int flags, void *context, ...);
#define clone __clone
#endif

/*
 * Where a helper's files are put before it begins, with an empty file in each while there is none.
 * A helper copies this process's files up to the last of these places, and no others
 * (close_range(2) with CLOSE_RANGE_UNSHARE): there are nine for each VM, and this process waits
 * for that copy, which posix_spawn(3) makes of all. All places are behind those that the helper
 * has its files at, so that none is overwritten.
 */
static struct {
	pthread_mutex_t lock; /* one helper begins at a time, and others' starters wait */
	bool reserved;
	int files[FILES_MAX];
	int empty; /* /dev/null */
	unsigned end;
} places = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What a helper begins with, in memory that it shares until it is another program. */
struct beginning {
	const struct helper_program *program;
	const char *path;
	size_t count; /* of files */
	int error;
};

static int reserve_places(void)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[FILES_MAX + 1], last = 0;

	if (null < 0)
		return -errno;
	for (unsigned i = 0; i <= FILES_MAX; i++) {
		fds[i] = fcntl(null, F_DUPFD_CLOEXEC, HELPER_FIRST_FILE + FILES_MAX);
		if (fds[i] < 0) {
			int r = -errno;

			while (i > 0)
				fd_close(fds[--i]);
			return r;
		}
		last = fds[i] > last ? fds[i] : last;
	}
	memcpy(places.files, fds, sizeof places.files);
	places.empty = fds[FILES_MAX];
	places.end = (unsigned)last + 1;
	places.reserved = true;
	return 0;
}

int helper_process_reserve(void)
{
	int r;

	pthread_mutex_lock(&places.lock);
	r = places.reserved ? 0 : reserve_places();
	pthread_mutex_unlock(&places.lock);
	return r;
}

static void clear_places(size_t count)
{
	while (count-- > 0)
		dup3(places.empty, places.files[count], O_CLOEXEC);
}

/* dup3(2) says EBADF as well where fewer files than that may be open by now. */
static int fill_places(const int *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (dup3(files[i], places.files[i], O_CLOEXEC) < 0) {
			int r = errno == EBADF && fcntl(files[i], F_GETFD) >= 0 ? -EMFILE : -errno;

			clear_places(i);
			return r;
		}
	}
	return 0;
}

/*
 * The helper, until it is another program, has this process's memory, and its own files, signals'
 * handlers and mask, which begin as copies. So it makes nothing but system calls: what a sanitizer
 * notes of glibc's functions and of the calls on the stack, it would note of this process.
 */
#define IN_HELPER __attribute__((no_sanitize("thread")))

IN_HELPER static bool copy_file(int fd, int number)
{
	return syscall(SYS_dup3, fd, number, 0) >= 0;
}

IN_HELPER static bool have_files(const struct beginning *beginning)
{
	const struct helper_program *program = beginning->program;
	int own = program->outlives ? STDERR_FILENO : HELPER_FIRST_FILE;
	unsigned end = HELPER_FIRST_FILE + (unsigned)beginning->count;

	if (syscall(SYS_close_range, places.end, UINT_MAX, CLOSE_RANGE_UNSHARE) < 0)
		return false;
	for (int fd = 0; !program->standard_files && fd < own; fd++) {
		if (!copy_file(places.empty, fd))
			return false;
	}
	for (size_t i = 0; i < beginning->count; i++) {
		if (!copy_file(places.files[i], HELPER_FIRST_FILE + (int)i))
			return false;
	}
	return syscall(SYS_close_range, end, UINT_MAX, 0) == 0;
}

/* Before any can come: a handler would do this process's work, with the helper's files. */
IN_HELPER static void heed_signals(void)
{
	static const uint64_t defaults[4], none; /* as the kernel has actions and masks */

	for (int number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, defaults, NULL, sizeof none);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

/* It must not return. */
IN_HELPER static int become(void *context)
{
	struct beginning *beginning = context;
	const struct helper_program *program = beginning->program;
	char *const alone[] = {(char *)program->name, NULL}, *const nothing[] = {NULL};

	if (have_files(beginning) && (!program->outlives || syscall(SYS_setsid) >= 0)) {
		heed_signals();
		syscall(SYS_execve, beginning->path,
			program->arguments ? program->arguments : alone,
			program->outlives ? environ : nothing);
	}
	beginning->error = errno;
	syscall(SYS_exit_group, EXIT_FAILURE);
	__builtin_unreachable();
}

/* This thread goes on once the helper is another program. */
static int clone_helper(struct beginning *beginning, pid_t *ret)
{
	static _Alignas(max_align_t) unsigned char stack[STACK_SIZE];
	sigset_t all, before;
	pid_t pid;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone(become, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD,
		beginning);
	r = pid < 0 ? -errno : -beginning->error;
	if (pid >= 0 && r < 0)
		waitpid(pid, NULL, 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		*ret = pid;
	return r;
}

static int spawn_with_places(struct beginning *beginning, const int *files, pid_t *ret)
{
	int r = places.reserved ? 0 : reserve_places();

	if (r == 0)
		r = fill_places(files, beginning->count);
	if (r < 0)
		return r;
	r = clone_helper(beginning, ret);
	clear_places(beginning->count);
	return r;
}

int helper_process_spawn(
	const struct helper_program *program, const int *files, size_t count, pid_t *ret_pid)
{
	char path[PATH_MAX];
	struct beginning beginning = {
		.program = program, .path = find_program(program, path), .count = count};
	int r;

	if (count > FILES_MAX)
		return -EINVAL;
	pthread_mutex_lock(&places.lock);
	r = spawn_with_places(&beginning, files, ret_pid);
	pthread_mutex_unlock(&places.lock);
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

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* However many signals this process has to handle meanwhile. */
bool helper_process_wait(int pidfd, int milliseconds)
{
	const int64_t end = now_ms() + milliseconds;
	struct pollfd event = {.fd = pidfd, .events = POLLIN};
	int left = milliseconds, r;

	while ((r = poll(&event, 1, left)) < 0 && errno == EINTR) {
		if (milliseconds >= 0)
			left = end > now_ms() ? (int)(end - now_ms()) : 0;
	}
	return r > 0;
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
