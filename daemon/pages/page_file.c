/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page files. See page_file.h.
 */
#include "daemon/pages/page_file.h"

#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/fdstore/fdstore.h"
#include "kernel/base/cleanup.h"

struct page_file {
	struct fdstore_closer closer;
	struct owner *owner;
	union {
		struct page_file_closing *closing; /* NULL: whoever drops it closes it */
		struct page_file *next;            /* of those that wait to be closed */
	};
	int fd;
	unsigned references;
	uint8_t huge_shift; /* its pages are of 2^n bytes; 0: they are the host's own */
	bool released;      /* its pages are nobody's any more */
	bool charged;       /* to the owner, as a memory */
};

static void unref_by_closer(struct fdstore_closer *closer, int take_fd)
{
	(void)take_fd; /* the file's */
	page_file_unref(CONTAINER_OF(closer, struct page_file, closer));
}

struct page_file *page_file_make(
	struct owner *owner, int consume_fd, uint64_t huge, struct page_file_closing *closing)
{
	struct page_file *file = malloc(sizeof *file);

	if (!file)
		return NULL;
	*file = (struct page_file){.closer = {unref_by_closer},
		.fd = consume_fd,
		.huge_shift = huge > 0 ? (uint8_t)__builtin_ctzll(huge) : 0,
		.references = 1,
		.owner = owner_ref(owner),
		.closing = closing};
	return file;
}

struct page_file *page_file_ref(struct page_file *file)
{
	file->references++;
	return file;
}

static void page_file_free(struct page_file *file)
{
	page_file_close(file);
	if (file->charged)
		owner_give_back(file->owner, OWNER_MEMORIES);
	owner_unref(file->owner);
	free(file);
}

static void close_later(struct page_file *file)
{
	struct page_file_closing *closing = file->closing;

	file->closing = NULL;
	closing->begin(closing, file);
}

struct page_file *page_file_unref(struct page_file *file)
{
	if (!file)
		return NULL;
	if (file->references == 1 && file->closing)
		close_later(file);
	if (--file->references == 0)
		page_file_free(file);
	return NULL;
}

void page_file_push(struct page_file **list, struct page_file *file)
{
	file->next = *list;
	*list = page_file_ref(file);
}

struct page_file *page_file_pop(struct page_file **list)
{
	struct page_file *file = *list;

	if (!file)
		return NULL;
	*list = file->next;
	file->closing = NULL;
	return file;
}

void page_file_set_released(struct page_file *file)
{
	file->released = true;
}

void page_file_take_charge(struct page_file *file)
{
	file->charged = true;
}

struct fdstore_closer *page_file_closer(struct page_file *file)
{
	return &file->closer;
}

int page_file_fd(const struct page_file *file)
{
	return file->fd;
}

struct owner *page_file_owner(const struct page_file *file)
{
	return file->owner;
}

uint64_t page_file_huge(const struct page_file *file)
{
	return file->huge_shift > 0 ? UINT64_C(1) << file->huge_shift : 0;
}

bool page_file_is_released(const struct page_file *file)
{
	return file->released;
}

void page_file_close(struct page_file *file)
{
	file->fd = fd_close(file->fd);
}
