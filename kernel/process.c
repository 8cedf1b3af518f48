/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who another process is. See process.h.
 */
#include "kernel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/cleanup.h"
#include "kernel/uapi.h"

int process_of_socket(int socket, struct process *ret)
{
	struct ucred credentials;
	socklen_t length = sizeof credentials;
	int pidfd = -1;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
		return -errno;
	length = sizeof pidfd;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0) {
		if (errno != ENOPROTOOPT)
			return errno == EINVAL ? -ESRCH : -errno;
		pidfd = pidfd_open(credentials.pid, 0);
		if (pidfd < 0)
			return -errno;
	}
	*ret = (struct process){credentials.pid, credentials.uid, credentials.gid, pidfd};
	return 0;
}

void process_release(struct process *process)
{
	process->pidfd = fd_close(process->pidfd);
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
