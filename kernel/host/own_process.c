/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which process this is. See own_process.h.
 */
#include "kernel/host/own_process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"

/* A page that the kernel empties in a child (Linux 4.14). */
struct own_process_mark {
	bool here;
};

int own_process_mark(struct own_process_mark **ret)
{
	const size_t size = sizeof(struct own_process_mark);
	struct own_process_mark *mark =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (mark == MAP_FAILED)
		return -errno;
	if (madvise(mark, size, MADV_WIPEONFORK) < 0) {
		r = -errno;
		munmap(mark, size);
		return r;
	}
	mark->here = true;
	*ret = mark;
	return 0;
}

bool own_process_has_mark(const struct own_process_mark *mark)
{
	return mark->here;
}

struct own_process_mark *own_process_unmark(struct own_process_mark *mark)
{
	if (mark)
		munmap(mark, sizeof *mark);
	return NULL;
}

int own_process_number(uint64_t *ret)
{
	cleanup_fd int pidfd = pidfd_open(getpid(), 0);
	struct statfs filesystem;
	struct stat status;

	if (pidfd < 0 || fstatfs(pidfd, &filesystem) < 0 || fstat(pidfd, &status) < 0)
		return -errno;
	if (filesystem.f_type != PID_FS_MAGIC)
		return -EOPNOTSUPP;
	*ret = status.st_ino;
	return 0;
}

void own_process_tag(char *ret, size_t size)
{
	uint64_t number;

	if (own_process_number(&number) == 0)
		snprintf(ret, size, "%" PRIu64, number);
	else if (getrandom(&number, sizeof number, 0) == sizeof number)
		snprintf(ret, size, "%016" PRIx64, number);
	else
		snprintf(ret, size, "%d", getpid());
}
