/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inherited fds. See inherited_fds.h.
 */
#include "daemon/fdstore/inherited_fds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/keeper_client.h"
#include "kernel/base/cleanup.h"

/* Of a keeper whose connections end amid it. */
#define TRIES_MAX 5

struct file {
	struct keeper_id id;
	int fd; /* -1: taken */
};

struct inherited_fds {
	struct fdstore *fdstore;
	struct file *files; /* in the order of their ids */
	size_t count, room;
};

static int collect_file(const struct keeper_id *id, int fd, void *context)
{
	struct inherited_fds *inherited = context;

	if (inherited->count == inherited->room) {
		size_t room = 2 * inherited->room + 64;
		struct file *files = reallocarray(inherited->files, room, sizeof *files);

		if (!files) {
			fd_close(fd);
			return -ENOMEM;
		}
		inherited->files = files;
		inherited->room = room;
	}
	inherited->files[inherited->count++] = (struct file){*id, fd};
	return 0;
}

static int compare_ids(const void *left, const void *right)
{
	const struct keeper_id *a = &((const struct file *)left)->id;
	const struct keeper_id *b = &((const struct file *)right)->id;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	return a->member < b->member ? -1 : a->member > b->member;
}

/* As the keeper hands them over, unless it is told something meanwhile. */
static bool is_in_order(const struct inherited_fds *inherited)
{
	for (size_t i = 1; i < inherited->count; i++) {
		if (compare_ids(&inherited->files[i - 1], &inherited->files[i]) > 0)
			return false;
	}
	return true;
}

static void close_all(struct inherited_fds *inherited)
{
	while (inherited->count > 0)
		fd_close(inherited->files[--inherited->count].fd);
}

/* Half of what a keeper holds says nothing. One that is there still, though the connection has
 * ended, has all of it; where it is gone the next one has what there is. */
static int take_all(struct inherited_fds *inherited)
{
	int r = fdstore_take(inherited->fdstore, collect_file, inherited);

	for (unsigned i = 1; keeper_is_missing(r) && i < TRIES_MAX; i++) {
		log_warning("the connection to gmemd-keeper has ended amid what it holds, which is "
			    "taken anew: %s",
			strerror(-r));
		close_all(inherited);
		r = fdstore_find_again(inherited->fdstore);
		if (r == 0)
			r = fdstore_take(inherited->fdstore, collect_file, inherited);
	}
	return r;
}

int inherited_fds_new(struct fdstore *fdstore, struct inherited_fds **ret)
{
	struct inherited_fds *inherited = calloc(1, sizeof *inherited);
	int r;

	if (!inherited)
		return -ENOMEM;
	inherited->fdstore = fdstore;
	r = take_all(inherited);
	if (r < 0) {
		log_error("what gmemd-keeper holds could not be taken: %s", strerror(-r));
		inherited_fds_free(inherited);
		return r;
	}
	if (!is_in_order(inherited))
		qsort(inherited->files, inherited->count, sizeof *inherited->files, compare_ids);
	*ret = inherited;
	return 0;
}

struct inherited_fds *inherited_fds_free(struct inherited_fds *inherited)
{
	if (!inherited)
		return NULL;
	close_all(inherited);
	free(inherited->files);
	free(inherited);
	return NULL;
}

int inherited_fds_take(
	struct inherited_fds *inherited, enum fdstore_kind kind, uint64_t owner, uint64_t member)
{
	struct file key = {.id = {kind, owner, member}};
	struct file *file;
	int fd;

	if (inherited->count == 0)
		return -1;
	file = bsearch(&key, inherited->files, inherited->count, sizeof key, compare_ids);
	if (!file)
		return -1;
	fd = file->fd;
	file->fd = -1; /* the caller's */
	return fd;
}

const struct keeper_id *inherited_fds_next(
	const struct inherited_fds *inherited, enum fdstore_kind kind, size_t *position)
{
	while (*position < inherited->count) {
		const struct file *file = &inherited->files[(*position)++];

		if (file->id.kind == kind)
			return &file->id;
	}
	return NULL;
}

const struct keeper_id *inherited_fds_previous(
	const struct inherited_fds *inherited, enum fdstore_kind kind, size_t *position)
{
	while (*position < inherited->count) {
		const struct file *file = &inherited->files[inherited->count - ++*position];

		if (file->id.kind == kind)
			return &file->id;
	}
	return NULL;
}

bool inherited_fds_is_empty(const struct inherited_fds *inherited)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (inherited->files[i].fd >= 0)
			return false;
	}
	return true;
}

unsigned inherited_fds_drop_rest(struct inherited_fds *inherited,
	void (*drop)(void *context, const struct keeper_id *id, int take_fd), void *context)
{
	unsigned dropped = 0;

	for (size_t i = 0; i < inherited->count; i++) {
		struct file *file = &inherited->files[i];

		if (file->fd < 0)
			continue;
		drop(context, &file->id, file->fd);
		file->fd = -1; /* handed over */
		dropped++;
	}
	return dropped;
}
