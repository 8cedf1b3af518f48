/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inherited fds: what the keeper held when this gmemd started, by id.
 *
 * Who takes a file of it has it from then on; the keeper goes on holding its own until that is
 * dropped there.
 */
#pragma once

#include <errno.h>

#include "daemon/fdstore/fdstore.h"

struct page_worker;
struct inherited_fds;
struct owner;

/* All of it; empty where there is no keeper. After an error, which is logged, the keeper has it
 * still. */
int inherited_fds_new(struct fdstore *fdstore, struct inherited_fds **ret);
/* Closes what was not taken. Takes NULL, returns NULL. */
struct inherited_fds *inherited_fds_free(struct inherited_fds *inherited);

/* Whether gmemd had too little of something, such as memory, and nothing is wrong with what was
 * left: then another start may take it over, and this one must end. */
static inline bool inheriting_lacks(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -EAGAIN ||
	       r == -EIO;
}

/* The file, which is the caller's from then on; -1 where there is none. */
int inherited_fds_take(
	struct inherited_fds *inherited, enum fdstore_kind kind, uint64_t owner, uint64_t member);
/* The next id of that kind, from *position on, which is 0 at first; NULL at the end. */
const struct keeper_id *inherited_fds_next(
	const struct inherited_fds *inherited, enum fdstore_kind kind, size_t *position);
/* The same from the end on: the id that is before those that *position has counted. */
const struct keeper_id *inherited_fds_previous(
	const struct inherited_fds *inherited, enum fdstore_kind kind, size_t *position);

/* Whether all of it has been taken. */
bool inherited_fds_is_empty(const struct inherited_fds *inherited);
/* Calls drop, which takes the file, for each that was not taken: it belongs to nothing. Returns how
 * many those were. */
unsigned inherited_fds_drop_rest(struct inherited_fds *inherited,
	void (*drop)(void *context, const struct keeper_id *id, int take_fd), void *context);
