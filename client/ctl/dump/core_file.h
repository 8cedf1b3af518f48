/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file that a dump is: an ELF core of the guest's physical memory, a PT_LOAD segment for each
 * memslot, p_paddr and p_vaddr being its guest address; and a note of the owner "gmemd" whose text
 * is JSON and tells of the VM and of what was left out, which is a hole in the file.
 *
 * It is written to FILE.part from beginning to end, and that grows by what is done: a dump that was
 * interrupted goes on at the end of it, if it is of the same VM with the same slots. References:
 * elf(5), core(5).
 */
#pragma once

#include <stdint.h>

#include "client/ctl/dump/plan.h"

/* The note's type. */
#define DUMP_NOTE_ABOUT 1

struct core_file {
	int fd;
	uint64_t *offsets; /* of each of the plan's segments */
	uint64_t done;     /* bytes of the file, from its start */
	uint64_t size;     /* of the whole */
	char *path, *part_path;
};

/*
 * Begins the file, or goes on with what there is of it. -EEXIST where the file itself is there
 * already; of its part, -ESTALE where that is of another dump, -EPERM where it is another user's or
 * others may open it, -EBUSY where another process writes it; open(2)'s and write(2)'s errors.
 */
int core_file_begin(const char *path, const struct dump_plan *plan, struct core_file *ret);
/* Bytes at an offset behind all that is done; of what is not written until then, all is zeroes. */
int core_file_write(const struct core_file *core, uint64_t offset, const void *bytes, size_t size);
/* What is behind that offset is not done, whatever there is of it. */
int core_file_cut(struct core_file *core, uint64_t offset);
/* All before that offset is done. */
int core_file_advance(struct core_file *core, uint64_t offset);
/* It is whole, on its disk, and has its name. */
int core_file_finish(struct core_file *core);
/* What there is of it stays. */
void core_file_clear(struct core_file *core);
