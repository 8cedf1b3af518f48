/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading guest memory. See copy.h.
 */
#include "client/ctl/dump/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define PAGE 4096u

int dump_source_open(int consume_fd, uint64_t size, bool mapped, struct dump_source *ret)
{
	struct dump_source source = {.fd = consume_fd, .size = size};

	if (mapped) {
		void *bytes =
			mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, consume_fd, 0);

		if (bytes == MAP_FAILED)
			return -errno;
		source.mapped = bytes;
	}
	source.buffer = malloc(DUMP_CHUNK);
	source.there = malloc(DUMP_CHUNK / PAGE);
	if (!source.buffer || !source.there) {
		source.fd = -1; /* the caller's */
		dump_source_close(&source);
		return -ENOMEM;
	}
	*ret = source;
	return 0;
}

void dump_source_close(struct dump_source *source)
{
	if (source->mapped)
		munmap(source->mapped, source->size);
	free(source->buffer);
	free(source->there);
	fd_close(source->fd);
	*source = (struct dump_source){.fd = -1};
}

/* As the kernel reads it, for which what is private is an error and no SIGBUS. */
static ssize_t read_mapped(const struct dump_source *source, uint64_t from, size_t size)
{
	const struct iovec local = {source->buffer, size}, remote = {source->mapped + from, size};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static bool read_some(const struct dump_source *source, uint64_t from, size_t size)
{
	ssize_t length = source->mapped ? read_mapped(source, from, size)
					: pread(source->fd, source->buffer, size, (off_t)from);

	return length == (ssize_t)size;
}

static bool is_zero(const char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* What the buffer has, without its pages of zeroes. */
static int write_pages(
	const struct dump_source *source, size_t size, const struct core_file *core, uint64_t to)
{
	size_t begin = 0;
	int r = 0;

	while (r == 0 && begin < size) {
		size_t end = begin;

		while (end < size && !is_zero(source->buffer + end))
			end += PAGE;
		if (end > begin)
			r = core_file_write(core, to + begin, source->buffer + begin, end - begin);
		begin = end + PAGE;
	}
	return r;
}

/* Page by page where not all of it can be read. */
static int copy_there(const struct dump_source *source, uint64_t from, size_t size,
	const struct core_file *core, uint64_t to, uint64_t *unread)
{
	int r = 0;

	if (read_some(source, from, size))
		return write_pages(source, size, core, to);
	for (size_t page = 0; r == 0 && page < size; page += PAGE) {
		if (read_some(source, from + page, PAGE))
			r = write_pages(source, PAGE, core, to + page);
		else
			*unread += PAGE;
	}
	return r;
}

/* The next part that is there, from *begin on: up to *ret_end. False where there is none. */
static bool next_mapped(
	const struct dump_source *source, size_t size, size_t *begin, size_t *ret_end)
{
	while (*begin < size && !(source->there[*begin / PAGE] & 1))
		*begin += PAGE;
	*ret_end = *begin;
	while (*ret_end < size && source->there[*ret_end / PAGE] & 1)
		*ret_end += PAGE;
	return *begin < size;
}

static int copy_mapped(const struct dump_source *source, uint64_t from, size_t size,
	const struct core_file *core, uint64_t to, uint64_t *unread)
{
	size_t begin = 0, end;
	int r = 0;

	if (mincore(source->mapped + from, size, source->there) < 0)
		return -errno;
	for (; r == 0 && next_mapped(source, size, &begin, &end); begin = end)
		r = copy_there(source, from + begin, end - begin, core, to + begin, unread);
	return r;
}

/* What is swapped out is data, too, which mincore(2) would not say. */
static int copy_read(const struct dump_source *source, uint64_t from, size_t size,
	const struct core_file *core, uint64_t to, uint64_t *unread)
{
	uint64_t end = from + size, at = from;
	int r = 0;

	while (r == 0 && at < end) {
		off_t data = lseek(source->fd, (off_t)at, SEEK_DATA);
		off_t hole = data < 0 ? -1 : lseek(source->fd, data, SEEK_HOLE);

		if (hole < 0)
			return errno == ENXIO ? 0 : -errno;
		if ((uint64_t)data >= end)
			return 0;
		at = (uint64_t)hole < end ? (uint64_t)hole : end;
		r = copy_there(source, (uint64_t)data, (size_t)(at - (uint64_t)data), core,
			to + ((uint64_t)data - from), unread);
	}
	return r;
}

int dump_copy(const struct dump_source *source, uint64_t from, uint64_t size,
	const struct core_file *core, uint64_t to, uint64_t *unread)
{
	size_t part = size < DUMP_CHUNK ? (size_t)size : DUMP_CHUNK;

	return source->mapped ? copy_mapped(source, from, part, core, to, unread)
			      : copy_read(source, from, part, core, to, unread);
}
