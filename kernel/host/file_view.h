/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views of a file: whether a process shows itself, at an address, a range of that very file.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "kernel/host/memory_file.h"

/* [address, address + length) of the process is expected to be [offset, offset + length) of the
 * file, shared. The length is not 0. */
struct file_view {
	uint64_t address, length, offset;
	struct file_identity file;
};

/* As many as there is a bit for. */
#define FILE_VIEWS_MAX 64

/*
 * Which of the views the process has, as it is now: bit N is the Nth's. Mappings that follow one
 * another may be one view; what may be done in them doesn't matter. 0 or a negative errno. Can take
 * as long as the process's own mapping calls take.
 */
int file_views_look(
	pid_t process, const struct file_view *views, size_t count, uint64_t *ret_shown);

/* The same by what was read of a process's maps, or smaps. */
int file_views_look_in(
	FILE *maps, const struct file_view *views, size_t count, uint64_t *ret_shown);
