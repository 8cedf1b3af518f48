/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who another process is. See process.h.
 */
#include "kernel/host/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"

/* Of a pidfd's file system, which is its own since Linux 6.9. */
#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446
#endif

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static int read_line(const char *path, const char *starts, char *ret, int size)
{
	cleanup_file FILE *file = fopen(path, "re");

	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(ret, size, file)) {
		if (strncmp(ret, starts, strlen(starts)) == 0)
			return 0;
	}
	return -ESRCH;
}

/* What follows the name in a line of stat, which may hold anything itself. */
static int read_stat(pid_t process, pid_t thread, char *ret, int size, const char **ret_rest)
{
	const char *end;
	char path[64];
	int r;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", process, thread);
	r = read_line(path, "", ret, size);
	end = r == 0 ? strrchr(ret, ')') : NULL;
	if (!end || end[1] != ' ')
		return r < 0 ? r : -ESRCH;
	*ret_rest = end + 2;
	return 0;
}

/* Processes of one pid are not started in the same tick. */
static int identity_of_stat(pid_t pid, uint64_t *ret)
{
	char line[1024];
	const char *rest;
	uint64_t started = 0;
	int r;

	r = read_stat(pid, pid, line, sizeof line, &rest);
	if (r < 0)
		return r;
	/* It is the 22nd member, and the state the 3rd. */
	for (unsigned member = 3; member < 22 && (rest = strchr(rest, ' ')); member++)
		rest++;
	if (!rest || sscanf(rest, "%" SCNu64, &started) != 1)
		return -ESRCH;
	*ret = started << 22 ^ (uint64_t)pid;
	return 0;
}

int process_identity(int pidfd, pid_t pid, uint64_t *ret)
{
	struct statfs system;
	struct stat status;

	if (fstatfs(pidfd, &system) < 0 || fstat(pidfd, &status) < 0)
		return -errno;
	if (system.f_type != PID_FS_MAGIC)
		return identity_of_stat(pid, ret);
	*ret = status.st_ino;
	return 0;
}

/* Before Linux 6.13. */
static int pid_of_fdinfo(int pidfd, pid_t *ret)
{
	char path[64], line[64];
	int r, pid = 0;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	r = read_line(path, "Pid:", line, sizeof line);
	if (r < 0)
		return r;
	if (sscanf(line, "Pid: %d", &pid) != 1 || pid <= 0)
		return -ESRCH;
	*ret = pid;
	return 0;
}

/* -ENOTTY and others where the kernel is older than it. */
static int ask_pid(int pidfd, pid_t *ret)
{
	struct gmem_pidfd_info info = {.mask = GMEM_PIDFD_INFO_PID};

	if (ioctl(pidfd, GMEM_PIDFD_GET_INFO, &info) < 0)
		return -errno;
	*ret = (pid_t)info.pid;
	return 0;
}

int process_pid(int pidfd, pid_t *ret)
{
	int r = ask_pid(pidfd, ret);

	return r == 0 || r == -ESRCH ? r : pid_of_fdinfo(pidfd, ret);
}

/* A pidfd that answers is in the file system of pidfds, which is older than that answer. */
int process_of_pidfd(int pidfd, pid_t pid, pid_t *ret_pid, uint64_t *ret_identity)
{
	struct stat status;

	if (ask_pid(pidfd, ret_pid) < 0) {
		if (process_pid(pidfd, ret_pid) < 0)
			*ret_pid = pid;
		return process_identity(pidfd, *ret_pid, ret_identity);
	}
	if (fstat(pidfd, &status) < 0)
		return -errno;
	*ret_identity = status.st_ino;
	return 0;
}

static int open_peer(int socket, pid_t pid, int *ret_pidfd)
{
	socklen_t length = sizeof *ret_pidfd;
	int pidfd = -1;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0) {
		if (errno != ENOPROTOOPT)
			return errno == EINVAL ? -ESRCH : -errno;
		pidfd = pidfd_open(pid, 0);
		if (pidfd < 0)
			return -errno;
	}
	*ret_pidfd = pidfd;
	return 0;
}

bool process_is_pidfd(int fd)
{
	struct statfs status;

	return fstatfs(fd, &status) == 0 && status.f_type == PID_FS_MAGIC;
}

/* Of what is a pidfd for certain: a kernel has all of them in one file system. */
static int identity_of_pidfd(int pidfd, pid_t pid, uint64_t *ret)
{
	static _Atomic bool in_own_system;
	struct stat status;

	if (!in_own_system)
		in_own_system = process_is_pidfd(pidfd);
	if (!in_own_system)
		return process_identity(pidfd, pid, ret);
	if (fstat(pidfd, &status) < 0)
		return -errno;
	*ret = status.st_ino;
	return 0;
}

int process_of_socket(int socket, struct process *ret)
{
	struct ucred credentials;
	socklen_t length = sizeof credentials;
	struct process process;
	int r;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
		return -errno;
	process = (struct process){
		.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
	r = open_peer(socket, process.pid, &process.pidfd);
	if (r < 0)
		return r;
	r = identity_of_pidfd(process.pidfd, process.pid, &process.identity);
	if (r < 0)
		process_release(&process);
	else
		*ret = process;
	return r;
}

void process_release(struct process *process)
{
	process->pidfd = fd_close(process->pidfd);
}

bool process_shares_pid_namespace(pid_t process)
{
	char path[64], line[256];
	int here, below;

	snprintf(path, sizeof path, "/proc/%d/status", process);
	/* One number for each namespace from that of /proc on. */
	return process > 0 && read_line(path, "NSpid:", line, sizeof line) == 0 &&
	       sscanf(line, "NSpid: %d %d", &here, &below) == 1;
}

bool process_ended(int pidfd)
{
	struct pollfd event = {.fd = pidfd, .events = POLLIN};

	return poll(&event, 1, 0) > 0;
}

bool process_has_thread(pid_t process, pid_t thread)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d", process, thread);
	/* access(2) would look without our capabilities, and hidepid= hide it. */
	return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0;
}

bool process_thread_lives(pid_t process, pid_t thread)
{
	char line[1024];
	const char *rest;

	return read_stat(process, thread, line, sizeof line, &rest) == 0 && *rest != 'Z' &&
	       *rest != 'X';
}

/* A debugger can keep any number of threads that have ended, and who looks has no time to lose. */
#define DEAD_THREADS_MAX 32

static int find_living_thread(pid_t process, pid_t *ret_thread)
{
	__attribute__((cleanup(close_directory))) DIR *directory = NULL;
	const struct dirent *entry;
	unsigned dead = 0;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task", process);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((entry = readdir(directory)) && dead < DEAD_THREADS_MAX) {
		pid_t thread = atoi(entry->d_name);

		if (thread <= 0)
			continue;
		if (process_thread_lives(process, thread)) {
			*ret_thread = thread;
			return 0;
		}
		dead++;
	}
	return entry ? -E2BIG : -ESRCH;
}

int process_living_thread(pid_t process, pid_t *ret_thread)
{
	if (!process_thread_lives(process, process))
		return find_living_thread(process, ret_thread);
	*ret_thread = process;
	return 0;
}

int process_file_target(pid_t process, int fd, char *ret, size_t size)
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof path, "/proc/%d/fd/%d", process, fd);
	length = readlink(path, ret, size);
	if (length < 0)
		return -errno;
	if ((size_t)length == size)
		return -ENAMETOOLONG;
	ret[length] = '\0';
	return 0;
}

bool process_attaching_is_off(void)
{
	cleanup_file FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");

	return file && fgetc(file) == '3';
}
