/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of the exporter's. See open_files.h.
 */
#include "client/exporter/open_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* For the one that gmemd is asked by, and what libraries open and close. */
#define RESERVE 4

int open_files_limit(void)
{
	int lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	struct rlimit limit;

	if (lowest < 0)
		return -errno;
	close(lowest);
	limit.rlim_cur = (rlim_t)lowest + CLIENTS_MAX;
	limit.rlim_max = limit.rlim_cur + RESERVE;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

int open_files_socket(int family, int type)
{
	struct rlimit limit, most;
	int fd, r;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	most = limit;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	fd = socket(family, type, 0);
	r = fd < 0 ? -errno : fd;
	setrlimit(RLIMIT_NOFILE, &limit);
	return r;
}
