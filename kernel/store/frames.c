/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of guest page frames in a file. See frames.h.
 */
#include "kernel/store/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kernel/host/memory_file.h"

#define CHUNK 4096 /* bytes of bits that are read or written at once */

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of one set, in the file. */
static uint64_t set_bytes(void)
{
	return FRAMES_END / page_size() / 8;
}

int frames_new(int *ret_fd)
{
	return memory_file_create_memfd("gmemd-frames", FRAMES_SETS * set_bytes(), ret_fd);
}

/* Bits of frames, the first being that of frame 8 * first_byte. */
static void fill_frames(
	const struct ranges *ranges, uint64_t first_byte, unsigned char *bits, size_t count)
{
	uint64_t page = page_size(), start = first_byte * 8 * page, end = start + count * 8 * page;
	struct range_place place;
	const struct range *range = ranges_from(ranges, start, &place);

	memset(bits, 0, count);
	for (; range && range->start < end; range = ranges_next(&place)) {
		uint64_t from = range->start > start ? range->start : start;
		uint64_t to = range->end < end ? range->end : end;

		for (uint64_t frame = (from - start) / page; frame < (to - start) / page; frame++)
			bits[frame / 8] |= (unsigned char)(1u << frame % 8);
	}
}

int frames_write(
	int fd, enum frames_set set, const struct ranges *ranges, uint64_t start, uint64_t size)
{
	uint64_t per_byte = 8 * page_size();
	uint64_t at = start / per_byte, end = (start + size + per_byte - 1) / per_byte;
	unsigned char bits[CHUNK];

	if (end > set_bytes())
		return -EINVAL;
	while (at < end) {
		size_t count = end - at < CHUNK ? end - at : CHUNK;
		ssize_t written;

		fill_frames(ranges, at, bits, count);
		written = pwrite(fd, bits, count, (off_t)(set * set_bytes() + at));
		if (written < 0 && errno != EINTR)
			return -errno;
		at += written > 0 ? (size_t)written : 0;
	}
	return 0;
}

static int add_bits(
	struct ranges *ret, uint64_t first_byte, const unsigned char *bits, size_t count)
{
	uint64_t page = page_size(), frame = 0, frames = count * 8;
	int r = 0;

	while (r == 0 && frame < frames) {
		uint64_t first = frame;

		while (frame < frames && bits[frame / 8] & 1u << frame % 8)
			frame++;
		if (frame > first)
			r = ranges_add(
				ret, (first_byte * 8 + first) * page, (frame - first) * page);
		else
			frame++;
	}
	return r;
}

/* The part of the file from at to end, in which there are no holes. */
static int read_data(int fd, uint64_t base, uint64_t at, uint64_t end, struct ranges *ret)
{
	unsigned char bits[CHUNK];
	int r = 0;

	while (r == 0 && at < end) {
		size_t count = end - at < CHUNK ? end - at : CHUNK;
		ssize_t got = pread(fd, bits, count, (off_t)at);

		if (got <= 0)
			return got < 0 ? -errno : -EBADMSG;
		r = add_bits(ret, at - base, bits, (size_t)got);
		at += (size_t)got;
	}
	return r;
}

int frames_read(int fd, enum frames_set set, struct ranges *ret)
{
	uint64_t base = set * set_bytes(), end = base + set_bytes(), size;
	off_t data = (off_t)base, hole;
	int r = 0;

	if (memory_file_size(fd, &size) < 0 || size == 0 || size % set_bytes() != 0)
		return -EBADMSG;
	if (size < end)
		return 0;
	while (r == 0) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		if ((uint64_t)data >= end)
			return 0;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		r = read_data(
			fd, base, (uint64_t)data, (uint64_t)hole < end ? (uint64_t)hole : end, ret);
		data = hole;
	}
	return r;
}
