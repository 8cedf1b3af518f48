/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memfds of guests' RAM. See memfds.h.
 */
#include "client/shim/memfds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/shim/book.h"
#include "client/shim/policy.h"
#include "client/shim/ram.h"
#include "client/shim/real.h"

static const char *const guest_names[] = {
	"memory-backend-memfd", /* QEMU's */
	"ch_ram",               /* Cloud Hypervisor's */
	"crosvm_guest",         /* crosvm's */
};

static bool is_guest_name(const char *name)
{
	for (size_t i = 0; i < sizeof guest_names / sizeof *guest_names; i++) {
		if (strcmp(name, guest_names[i]) == 0)
			return true;
	}
	return false;
}

void memfds_note(int fd, const char *name, unsigned flags)
{
	struct file *file;

	if (!is_guest_name(name) || !book_is_claimed() || !book_open())
		return;
	file = file_new(FILE_MEMFD);
	snprintf(file->name, sizeof file->name, "%s", name);
	file->flags = flags;
	files_put(fd, file);
	book_close();
}

/* With its flags. */
static int take_place(int number, int fd)
{
	int flags = real_calls()->fcntl(number, F_GETFD);

	if (flags < 0)
		return -errno;
	return real_calls()->dup3(fd, number, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0 ? -errno : 0;
}

/* Huge pages, which may be of the host's default size, are their file system's blocks. */
static uint64_t page_size_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 ? (uint64_t)status.st_blksize
				       : (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_empty(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_size == 0;
}

/* Of all numbers that the VMM has of the memfd the one it names: another would be a file that
 * nobody maps. */
static bool is_to_become_ram(int fd, const struct file *file, uint64_t size)
{
	return file && file->kind == FILE_MEMFD && !file->ram && file->numbers == 1 && size > 0 &&
	       size % page_size_of(fd) == 0 && is_empty(fd);
}

int memfds_become(int fd, struct file *file, struct ram *ram)
{
	int r = files_get(fd) == file ? take_place(fd, ram->fd) : -EBADF;

	ram_join(ram);
	if (r == 0)
		file->ram = ram;
	else
		ram_leave(ram);
	return r;
}

/* It may have been closed while the books were. */
static int convert(int fd, struct file *file, uint64_t size)
{
	struct ram_wish wish = {.size = size, .node = POLICY_ANY_NODE};
	struct ram *ram;
	char name[64];
	int r;

	memcpy(name, file->name, sizeof name);
	wish.kind = name;
	if (file->flags & MFD_HUGETLB)
		wish.page_size = page_size_of(fd);
	file_join(file);
	book_close();
	r = ram_create(&wish, &ram);
	book_open();
	if (r == 0)
		r = memfds_become(fd, file, ram);
	file_leave(file);
	return r;
}

int memfds_resize(int fd, uint64_t size)
{
	struct file *file = files_get(fd);

	if (is_to_become_ram(fd, file, size))
		return convert(fd, file, size);
	if (!file || !file->ram)
		return -EAGAIN;
	return size == file->ram->size ? 0 : -EPERM;
}

int memfds_seal(struct file *file, unsigned seals)
{
	if (!(file->flags & MFD_ALLOW_SEALING) || (file->seals & F_SEAL_SEAL))
		return -EPERM;
	file->seals |= seals;
	return 0;
}

int memfds_allocate(const struct file *file, int64_t offset, int64_t size)
{
	if (offset < 0 || size <= 0)
		return -EINVAL;
	if ((uint64_t)offset + (uint64_t)size > file->ram->size)
		return -EPERM;
	if (real_calls()->fallocate64(file->ram->fd, FALLOC_FL_KEEP_SIZE, offset, size) < 0)
		return -errno;
	return 0;
}

int memfds_punch(const struct file *file, int mode, int64_t offset, int64_t size)
{
	if (real_calls()->fallocate64(file->ram->fd, mode, offset, size) < 0)
		return -errno;
	ram_freed(file->ram, (uint64_t)offset, (uint64_t)size);
	return 0;
}

static int new_memfd(const struct file *file)
{
	int fd = real_calls()->memfd_create(file->name, file->flags | MFD_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (real_calls()->ftruncate64(fd, (int64_t)file->ram->size) < 0 ||
		(file->seals && real_calls()->fcntl(fd, F_ADD_SEALS, file->seals) < 0))
		r = -errno;
	if (r == 0)
		return fd;
	real_calls()->close(fd);
	return r;
}

/* Nobody has mapped it: it is given up when it is mapped first. */
int memfds_give_up(int fd)
{
	struct file *file = files_get(fd);
	int r, memfd = new_memfd(file);

	if (memfd < 0)
		return memfd;
	r = take_place(fd, memfd);
	real_calls()->close(memfd);
	if (r < 0)
		return r;
	ram_leave(file->ram);
	file->ram = NULL;
	file->kind = FILE_MEMFD;
	return 0;
}
