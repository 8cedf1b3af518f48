/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of libc that this library stands before: by each name, the next one in the order in
 * which libraries were loaded, so that other preloaded ones keep their place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct real {
	int (*open)(const char *path, int flags, ...);
	int (*open64)(const char *path, int flags, ...);
	int (*openat)(int directory, const char *path, int flags, ...);
	int (*openat64)(int directory, const char *path, int flags, ...);
	int (*open_2)(const char *path, int flags);
	int (*open64_2)(const char *path, int flags);
	int (*openat_2)(int directory, const char *path, int flags);
	int (*openat64_2)(int directory, const char *path, int flags);
	int (*ioctl)(int fd, unsigned long request, ...);
	int (*fcntl)(int fd, int command, ...);
	int (*fcntl64)(int fd, int command, ...);
	int (*memfd_create)(const char *name, unsigned flags);
	int (*ftruncate)(int fd, int64_t size);
	int (*ftruncate64)(int fd, int64_t size);
	int (*fallocate)(int fd, int mode, int64_t offset, int64_t size);
	int (*fallocate64)(int fd, int mode, int64_t offset, int64_t size);
	int (*posix_fallocate)(int fd, int64_t offset, int64_t size);
	int (*posix_fallocate64)(int fd, int64_t offset, int64_t size);
	void *(*mmap)(
		void *address, size_t size, int protection, int flags, int fd, int64_t offset);
	void *(*mmap64)(
		void *address, size_t size, int protection, int flags, int fd, int64_t offset);
	int (*munmap)(void *address, size_t size);
	void *(*mremap)(void *address, size_t size, size_t new_size, int flags, ...);
	int (*mprotect)(void *address, size_t size, int protection);
	int (*madvise)(void *address, size_t size, int advice);
	int (*close)(int fd);
	int (*close_range)(unsigned first, unsigned last, int flags);
	void (*closefrom)(int first);
	int (*dup)(int fd);
	int (*dup2)(int fd, int number);
	int (*dup3)(int fd, int number, int flags);
	long (*syscall)(long number, ...);
};

/* All of them, whenever it is asked for. */
const struct real *real_calls(void);
