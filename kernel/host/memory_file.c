/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that hold guest memory. See memory_file.h.
 */
#include "kernel/host/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/process.h"

#define MEMFD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int file_look_at(int fd, struct file_look *ret)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	*ret = (struct file_look){.identity = {.device = status.st_dev, .inode = status.st_ino},
		.size = (uint64_t)status.st_size,
		.is_regular = S_ISREG(status.st_mode)};
	return 0;
}

int file_identity_of(int fd, struct file_identity *ret)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	*ret = (struct file_identity){.device = status.st_dev, .inode = status.st_ino};
	return 0;
}

int file_identity_compare(const struct file_identity *a, const struct file_identity *b)
{
	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	return 0;
}

/*
 * By its name first: it may be any file, and asking its file system may wait for whoever serves
 * that. Up to 6.18 it is an anonymous inode; no path can look like one, for paths begin with '/'.
 */
bool memory_file_is_guest_memfd(int fd)
{
	struct statfs status;
	char target[PATH_MAX];

	if (process_file_target(getpid(), fd, target, sizeof target) < 0)
		return false;
	if (strcmp(target, "anon_inode:[kvm-gmem]") == 0)
		return true;
	return strncmp(target, "/[kvm-gmem]", strlen("/[kvm-gmem]")) == 0 &&
	       fstatfs(fd, &status) == 0 && status.f_type == GMEM_GUEST_MEMFD_MAGIC;
}

bool memory_file_is_kept_guest_memfd(int fd, const struct file_look *look)
{
	struct statfs system;

	return look->is_regular && fstatfs(fd, &system) == 0 &&
	       (system.f_type == GMEM_GUEST_MEMFD_MAGIC || system.f_type == ANON_INODE_FS_MAGIC);
}

bool memory_file_is_any(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return (seals >= 0 && (seals & MEMFD_SEALS) == MEMFD_SEALS) ||
	       memory_file_is_guest_memfd(fd);
}

int memory_file_size(int fd, uint64_t *ret_size)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	*ret_size = (uint64_t)status.st_size;
	return 0;
}

static int create_sealed(const char *name, uint64_t size, unsigned flags, int *ret_fd)
{
	cleanup_fd int fd =
		memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | flags);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, MEMFD_SEALS) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}

int memory_file_create_memfd(const char *name, uint64_t size, int *ret_fd)
{
	return create_sealed(name, size, 0, ret_fd);
}

int memory_file_create_huge(const char *name, uint64_t size, uint64_t page_size, int *ret_fd)
{
	const unsigned exponent = (unsigned)__builtin_ctzll(page_size);
	cleanup_fd int fd = -1;
	int r = create_sealed(name, size, MFD_HUGETLB | exponent << MAP_HUGE_SHIFT, &fd);

	if (r == 0)
		r = memory_file_reserve(fd, 0, size);
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}

uint64_t memory_file_huge(int fd)
{
	struct statfs status;

	if (fstatfs(fd, &status) < 0 || status.f_type != HUGETLBFS_MAGIC)
		return 0;
	return (uint64_t)status.f_bsize;
}

/* A shared mapping reserves what it could fault in, and the file keeps that when it is gone. */
int memory_file_reserve(int fd, uint64_t offset, uint64_t size)
{
	void *mapped = mmap(NULL, size, PROT_NONE, MAP_SHARED, fd, (off_t)offset);

	if (mapped == MAP_FAILED)
		return -errno;
	munmap(mapped, size);
	return 0;
}

bool memory_file_is_immutable(int fd)
{
	int flags;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_IMMUTABLE_FL;
}

int memory_file_set_immutable(int fd, bool immutable)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	flags = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

/* Seals first: only a memfd that was made to be sealed has these, so no file system of a peer's is
 * asked for the rest. */
bool memory_file_look_at_own(int fd, struct stat *ret)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & MEMFD_SEALS) == MEMFD_SEALS && fstat(fd, ret) == 0 &&
	       ret->st_uid == geteuid();
}

bool memory_file_is_of_this_user(int fd)
{
	struct stat status;

	return memory_file_look_at_own(fd, &status);
}

bool memory_file_is_own_memfd(int fd, const char *name)
{
	char target[PATH_MAX], expected[PATH_MAX];

	snprintf(expected, sizeof expected, "/memfd:%s (deleted)", name);
	return memory_file_is_of_this_user(fd) &&
	       process_file_target(getpid(), fd, target, sizeof target) == 0 &&
	       strcmp(target, expected) == 0;
}

/* cachestat(2) does not know them, but a file's blocks are as many as its pages have. */
static int huge_resident(int fd, uint64_t size, uint64_t *ret_bytes)
{
	struct stat status;
	uint64_t bytes;

	if (fstat(fd, &status) < 0)
		return -errno;
	bytes = (uint64_t)status.st_blocks * 512;
	*ret_bytes = size > 0 && size < bytes ? size : bytes;
	return 0;
}

/* A memfd's pages can be swapped out, and whoever has it can have them so, by MADV_PAGEOUT; they
 * are its pages still, with what was in them. Of such files cachestat(2) counts them, and nothing
 * else, as evicted; a guest_memfd has none. */
int memory_file_resident_range(int fd, uint64_t offset, uint64_t size, uint64_t *ret_bytes)
{
	struct gmem_cachestat_range range = {.off = offset, .len = size};
	struct gmem_cachestat counts;

	if (syscall(__NR_cachestat, fd, &range, &counts, 0) < 0)
		return errno == EOPNOTSUPP ? huge_resident(fd, size, ret_bytes) : -errno;
	*ret_bytes = (counts.nr_cache + counts.nr_evicted) * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

int memory_file_resident(int fd, uint64_t *ret_bytes)
{
	return memory_file_resident_range(fd, 0, 0 /* to the end */, ret_bytes);
}

int memory_file_punch(int fd, uint64_t offset, uint64_t size)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	while (fallocate(fd, mode, (off_t)offset, (off_t)size) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}
