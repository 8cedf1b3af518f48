/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recounting: looking whether closed memories have pages, still or again.
 *
 * The page worker counts those that are due, a bounded number at a time, in gmemd's own turns, and
 * gives pages back again that have been there for a while. What is found is charged and told.
 */
#pragma once

#include "daemon/gmemd.h"
#include "daemon/vm/closed_memory.h"

struct recounting;

/* -ENOMEM. */
int recounting_new(struct gmemd *gmemd, struct recounting **ret);
/* Takes NULL, returns NULL. The page worker must have ended. */
struct recounting *recounting_free(struct recounting *recounting);

/* So many bytes a closed memory has: they are charged and, where it was empty or is now, told. */
void recounted(struct gmemd *gmemd, struct memory *memory, uint64_t resident, bool given_back);
/* Tells of one that has pages, in the log once for each VM. */
void recount_tell_filled(struct gmemd *gmemd, struct memory *memory);
