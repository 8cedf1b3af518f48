/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in reserve: how many gmemd may hold for operators and its keeper beyond what it may hold
 * for all others.
 *
 * RLIMIT_NOFILE's soft limit is kept below the hard one, and is raised to it for as long as gmemd
 * serves an operator: so peers that have it hold as many files as it may don't keep operators out.
 */
#pragma once

#include <sys/resource.h>

/* Raises the soft limit to what the reserve leaves of the hard one. -EMFILE where that is not
 * enough to begin with. */
int file_reserve_set_up(void);

/* Opens the reserve. Whoever does so closes it again, with what that has returned, before anybody
 * else is served. It may be opened twice, one within the other. */
rlim_t file_reserve_open(void);
void file_reserve_close(rlim_t usual);
