/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model's guest_memfds: creation, holders, allocation, punching and the host's mappings, on a
 * memfd of the same size. See model.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "kernel/model/internal.h"

int model_memory_new(struct model_vm *vm, const struct kvm_create_guest_memfd *arguments,
	struct model_memory **ret)
{
	cleanup_fd int fd = -1;
	struct model_memory *memory;
	int r;

	if (arguments->flags & ~vm->rules.guest_memfd_flags)
		return -EINVAL;
	if ((int64_t)arguments->size <= 0 || !model_aligned(vm, arguments->size))
		return -EINVAL;
	r = memory_file_create_memfd("model-guest-memfd", arguments->size, &fd);
	if (r < 0)
		return r;
	memory = malloc(sizeof *memory);
	if (!memory)
		return -ENOMEM;
	*memory = (struct model_memory){
		.vm = vm,
		.holders = 1,
		.size = arguments->size,
		.flags = arguments->flags,
		.fd = fd,
	};
	fd = -1; /* the memory's */
	LIST_INSERT_HEAD(&vm->memories, memory, link);
	*ret = memory;
	return 0;
}

struct model_memory *model_memory_ref(struct model_memory *memory)
{
	memory->holders++;
	return memory;
}

struct model_memory *model_memory_unref(struct model_memory *memory)
{
	if (!memory || --memory->holders > 0)
		return NULL;
	model_slots_empty(memory);
	if (memory->vm)
		LIST_REMOVE(memory, link);
	fd_close(memory->fd);
	free(memory);
	return NULL;
}

int model_memory_fd(const struct model_memory *memory)
{
	return memory->fd;
}

uint64_t model_memory_size(const struct model_memory *memory)
{
	return memory->size;
}

uint64_t model_memory_flags(const struct model_memory *memory)
{
	return memory->flags;
}

int model_memory_resident(const struct model_memory *memory, uint64_t *ret_bytes)
{
	return memory_file_resident(memory->fd, ret_bytes);
}

/* Allocation */

/* What fallocate(2) checks of every file: vfs_fallocate(). */
static int check_fallocate(int mode, int64_t offset, int64_t length)
{
	int64_t end;

	if (offset < 0 || length <= 0)
		return -EINVAL;
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
	case FALLOC_FL_UNSHARE_RANGE:
		return __builtin_add_overflow(offset, length, &end) ? -EFBIG : 0;
	default:
		return -EOPNOTSUPP;
	}
}

int model_memory_fallocate(struct model_memory *memory, int mode, int64_t offset, int64_t length)
{
	const uint64_t unaligned = (uint64_t)sysconf(_SC_PAGESIZE) - 1;
	int r = check_fallocate(mode, offset, length);

	if (r < 0)
		return r;
	if (mode != FALLOC_FL_KEEP_SIZE && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if ((uint64_t)offset & unaligned || (uint64_t)length & unaligned)
		return -EINVAL;
	if (mode == FALLOC_FL_KEEP_SIZE && (uint64_t)(offset + length) > memory->size)
		return -EINVAL;
	return fallocate(memory->fd, mode, offset, length) < 0 ? -errno : 0;
}

/* The host's mappings */

/* What mmap(2) checks of every file: that there is room for the mapping, then that the file's
 * offset has a page number. */
static int check_mmap(uint64_t length, int64_t offset)
{
	const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);

	if (length == 0 || (uint64_t)offset & (page_size - 1))
		return -EINVAL;
	if (length > 1ULL << 47) /* more than there are user addresses */
		return -ENOMEM;
	return offset < 0 || (uint64_t)offset > INT64_MAX - length ? -EOVERFLOW : 0;
}

int model_memory_check_mapping(
	const struct model_memory *memory, size_t length, int protection, int flags, int64_t offset)
{
	int r = check_mmap(length, offset);

	if (r < 0)
		return r;
	if (protection & PROT_EXEC)
		return -EPERM;
	if (!(memory->flags & GUEST_MEMFD_FLAG_MMAP))
		return -ENODEV;
	return (flags & MAP_TYPE) == MAP_PRIVATE ? -EINVAL : 0;
}

/* Faults the pages in as a mapping would; a read of a memfd's hole leaves the hole. */
static int touch(struct model_memory *memory, uint64_t offset, size_t size)
{
	if (size == 0)
		return 0;
	return fallocate(memory->fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) < 0 ? -errno
											  : 0;
}

int model_memory_access(
	struct model_memory *memory, uint64_t offset, void *bytes, size_t size, bool write)
{
	ssize_t done;
	int r;

	if (!(memory->flags & GUEST_MEMFD_FLAG_MMAP))
		return -ENODEV;
	if (!(memory->flags & GUEST_MEMFD_FLAG_INIT_SHARED))
		return -EFAULT;
	if (offset > memory->size || size > memory->size - offset)
		return -EFAULT;
	r = touch(memory, offset, size);
	if (r < 0)
		return r;
	done = write ? pwrite(memory->fd, bytes, size, (off_t)offset)
		     : pread(memory->fd, bytes, size, (off_t)offset);
	return done == (ssize_t)size ? 0 : -EIO;
}
