/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inheritance: what the keeper held when this gmemd started, by id.
 *
 * Who takes a file of it has it from then on; the keeper goes on holding its own until that is
 * dropped there.
 */
#pragma once

#include "daemon/fdstore/fdstore.h"

struct bulk;
struct inheritance;
struct owner;

/* All of it; empty where there is no keeper, or one that ends amid it: half of what was held says
 * nothing. Other errors are custody_take()'s: the keeper has it still. */
int inheritance_new(struct custody *custody, struct inheritance **ret);
/* Closes what was not taken. Takes NULL, returns NULL. */
struct inheritance *inheritance_free(struct inheritance *inheritance);

/* The file, which is the caller's from then on; -1 where there is none. */
int inheritance_take(
	struct inheritance *inheritance, enum custody_kind kind, uint64_t owner, uint64_t member);
/* The next id of that kind, from *position on, which is 0 at first; NULL at the end. */
const struct keeper_id *inheritance_next(
	const struct inheritance *inheritance, enum custody_kind kind, size_t *position);

/* Whether all of it has been taken. */
bool inheritance_is_empty(const struct inheritance *inheritance);
/* Has the keeper drop what was not taken: it belongs to nothing. Returns how many that were. The
 * page worker closes what is large, in the owner's turns. */
unsigned inheritance_drop_rest(
	struct inheritance *inheritance, struct bulk *bulk, struct owner *owner);
