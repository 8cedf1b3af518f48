/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading guest memory without adding to it: a page that isn't there is not read, for reading it
 * through a mapping would allocate it. Nor is a page of zeroes written, so that a dump has holes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/ctl/dump/core_file.h"

struct dump_source {
	int fd;
	uint64_t size; /* bytes */
	char *mapped;  /* NULL: the file is read (a memfd); else it can't be (a guest_memfd) */
	char *buffer;
	unsigned char *there; /* of each page of a chunk, as mincore(2) tells */
};

/* What is copied at once, bytes. */
#define DUMP_CHUNK (4u << 20)

/* The fd is consumed on success. mapped: by a mapping, which any memory can be read by that can be
 * mapped at all; only root is told which of its pages are there. -ENOMEM, mmap(2)'s errors. */
int dump_source_open(int consume_fd, uint64_t size, bool mapped, struct dump_source *ret);
void dump_source_close(struct dump_source *source);

/*
 * Copies at most a chunk of the source to the core file, from there on. What can't be read, because
 * it has become private or its page is broken, adds to *unread. core_file_write()'s errors.
 */
int dump_copy(const struct dump_source *source, uint64_t from, uint64_t size,
	const struct core_file *core, uint64_t to, uint64_t *unread);
