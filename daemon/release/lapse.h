/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lapses: reservations that no VM was opened with in their time are given back, a bounded number at
 * once, and told of.
 */
#pragma once

#include "daemon/gmemd.h"

struct lapses;

/* -ENOMEM, -EMFILE. */
int lapses_new(struct gmemd *gmemd, struct lapses **ret);
/* Takes NULL, returns NULL. */
struct lapses *lapses_free(struct lapses *lapses);
/* There may be another that lapses first. */
void lapses_schedule(struct lapses *lapses);
