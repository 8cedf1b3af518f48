/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames: sets of guest page frames in a file, a bit for each, so that they outlive who keeps them.
 *
 * The file is sparse: what costs memory is the pages of bits around frames that are in a set. A
 * process that is killed amid a write leaves some of that write's frames as they were; who goes on
 * writes them again. Addresses are bytes of guest-physical memory below 2^52. Functions return 0 or
 * a negative errno.
 */
#pragma once

#include "kernel/base/ranges.h"

/* Where guest-physical memory ends. */
#define FRAMES_END (1ull << 52)

/* In the order of their places in the file; an older gmemd's has the first ones alone. */
enum frames_set { FRAMES_PRIVATE, FRAMES_IN_BOTH, FRAMES_UNCERTAIN, FRAMES_SETS };

/* A file in which no frame is in a set. The caller owns the fd, which has FD_CLOEXEC. */
int frames_new(int *ret_fd);

/* Has the file's set be as the ranges are, in [start, start + size), whole pages. */
int frames_write(
	int fd, enum frames_set set, const struct ranges *ranges, uint64_t start, uint64_t size);

/* Adds what is in the file's set, nothing where the file has no such set. -EBADMSG where the fd
 * is no such file. */
int frames_read(int fd, enum frames_set set, struct ranges *ret);
