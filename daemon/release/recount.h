/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recounting: looking whether closed memories have pages.
 *
 * The page worker counts those that are due, a bounded number at a time, in gmemd's own turns, and
 * gives pages back again that have been there for a while. What is found is
 * charged, by whoever has counted, and told from here.
 */
#pragma once

#include "daemon/gmemd.h"

struct recounting;

/* -ENOMEM, -EMFILE. */
int recounting_new(struct gmemd *gmemd, struct recounting **ret);
/* Takes NULL, returns NULL. The page worker must have ended. */
struct recounting *recounting_free(struct recounting *recounting);
