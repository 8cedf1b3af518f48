/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMM's files. See files.h.
 */
#include "client/shim/files.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "client/shim/book.h"
#include "client/shim/ram.h"

/* No page of it is there but those of numbers in use. */
static struct file *_Atomic table[FILES_MAX];
static unsigned counts[FILE_KINDS];

bool files_has(int fd)
{
	return fd >= 0 && fd < FILES_MAX &&
	       atomic_load_explicit(&table[fd], memory_order_relaxed) != NULL;
}

struct file *files_get(int fd)
{
	return files_has(fd) ? table[fd] : NULL;
}

struct file *file_new(enum file_kind kind)
{
	struct file *file = book_allocate(sizeof *file);

	file->kind = kind;
	return file;
}

void file_leave_ram(struct file *file)
{
	if (file->ram)
		ram_leave(file->ram);
	file->ram = NULL;
}

static void file_free(struct file *file)
{
	file_leave_ram(file);
	free(file);
}

int files_find(const struct ram *ram)
{
	for (int fd = 0; fd < FILES_MAX; fd++) {
		if (table[fd] && table[fd]->ram == ram)
			return fd;
	}
	return -1;
}

void file_join(struct file *file)
{
	file->numbers++;
}

void file_leave(struct file *file)
{
	if (--file->numbers == 0)
		file_free(file);
}

void files_drop(int fd)
{
	struct file *file = files_get(fd);

	if (!file)
		return;
	table[fd] = NULL;
	counts[file->kind]--;
	file_leave(file);
}

void files_put(int fd, struct file *file)
{
	file_join(file); /* it may have this number already */
	files_drop(fd);
	if (fd < 0 || fd >= FILES_MAX) {
		file_leave(file);
		return;
	}
	table[fd] = file;
	counts[file->kind]++;
}

void files_keep(int fd)
{
	if (fd >= 0)
		files_put(fd, file_new(FILE_OWN));
}

bool files_are_own(int fd)
{
	const struct file *file = files_get(fd);

	return file && file->kind == FILE_OWN;
}

void files_drop_range(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd < FILES_MAX; fd++)
		files_drop((int)fd);
}

unsigned files_count(enum file_kind kind)
{
	return counts[kind];
}
