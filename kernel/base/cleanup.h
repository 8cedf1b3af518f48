/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scope-bound release of what a function holds: files, mappings of no library of their own, heap
 * memory.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes fd if it is one, keeps errno, returns -1: `fd = fd_close(fd)`. */
int fd_close(int fd);

static inline void fd_close_pointer(int *fd)
{
	fd_close(*fd);
}

static inline void free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void file_close_pointer(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define cleanup_fd   __attribute__((cleanup(fd_close_pointer)))
#define cleanup_free __attribute__((cleanup(free_pointer)))
#define cleanup_file __attribute__((cleanup(file_close_pointer)))
