/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inheritance. See inherited_fds.h.
 */
#include "daemon/fdstore/inherited_fds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/keeper_client.h"
#include "daemon/pages/page_file.h"
#include "kernel/base/cleanup.h"

struct file {
	struct keeper_id id;
	int fd; /* -1: taken */
};

struct inheritance {
	struct custody *custody;
	struct file *files; /* in the order of their ids */
	size_t count, room;
};

static int collect(const struct keeper_id *id, int fd, void *context)
{
	struct inheritance *inheritance = context;

	if (inheritance->count == inheritance->room) {
		size_t room = 2 * inheritance->room + 64;
		struct file *files = reallocarray(inheritance->files, room, sizeof *files);

		if (!files) {
			fd_close(fd);
			return -ENOMEM;
		}
		inheritance->files = files;
		inheritance->room = room;
	}
	inheritance->files[inheritance->count++] = (struct file){*id, fd};
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct keeper_id *a = &((const struct file *)left)->id;
	const struct keeper_id *b = &((const struct file *)right)->id;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	return a->member < b->member ? -1 : a->member > b->member;
}

/* Of a keeper that is gone. */
static void drop_all(struct inheritance *inheritance)
{
	while (inheritance->count > 0) {
		struct file *file = &inheritance->files[--inheritance->count];

		custody_drop(inheritance->custody, file->id.kind, file->id.owner, file->id.member);
		fd_close(file->fd);
	}
}

static void close_all(struct inheritance *inheritance)
{
	while (inheritance->count > 0)
		fd_close(inheritance->files[--inheritance->count].fd);
}

int inheritance_new(struct custody *custody, struct inheritance **ret)
{
	struct inheritance *inheritance = calloc(1, sizeof *inheritance);
	int r;

	if (!inheritance)
		return -ENOMEM;
	inheritance->custody = custody;
	r = custody_take(custody, collect, inheritance);
	if (r < 0 && !keeper_is_missing(r)) {
		inheritance_free(inheritance);
		return r;
	}
	if (r < 0) {
		log_warning("what gmemd-keeper holds could not be taken: %s", strerror(-r));
		drop_all(inheritance);
	}
	if (inheritance->count > 0)
		qsort(inheritance->files, inheritance->count, sizeof *inheritance->files, compare);
	*ret = inheritance;
	return 0;
}

struct inheritance *inheritance_free(struct inheritance *inheritance)
{
	if (!inheritance)
		return NULL;
	close_all(inheritance);
	free(inheritance->files);
	free(inheritance);
	return NULL;
}

int inheritance_take(
	struct inheritance *inheritance, enum custody_kind kind, uint64_t owner, uint64_t member)
{
	struct file key = {.id = {kind, owner, member}};
	struct file *file;
	int fd;

	if (inheritance->count == 0)
		return -1;
	file = bsearch(&key, inheritance->files, inheritance->count, sizeof key, compare);
	if (!file)
		return -1;
	fd = file->fd;
	file->fd = -1; /* the caller's */
	return fd;
}

const struct keeper_id *inheritance_next(
	const struct inheritance *inheritance, enum custody_kind kind, size_t *position)
{
	while (*position < inheritance->count) {
		const struct file *file = &inheritance->files[(*position)++];

		if (file->id.kind == kind)
			return &file->id;
	}
	return NULL;
}

bool inheritance_is_empty(const struct inheritance *inheritance)
{
	for (size_t i = 0; i < inheritance->count; i++) {
		if (inheritance->files[i].fd >= 0)
			return false;
	}
	return true;
}

unsigned inheritance_drop_rest(
	struct inheritance *inheritance, struct bulk *bulk, struct owner *owner)
{
	unsigned dropped = 0;

	for (size_t i = 0; i < inheritance->count; i++) {
		struct file *file = &inheritance->files[i];

		if (file->fd < 0)
			continue;
		page_file_dispose_held(bulk, owner, inheritance->custody, &file->id, file->fd);
		file->fd = -1; /* handed over */
		dropped++;
	}
	return dropped;
}
