/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in reserve. See file_reserve.h.
 */
#include "daemon/owner/file_reserve.h"

#include <errno.h>

/* gmemd's own, and some for who comes. */
#define FILES_MIN 28

/* Of all that it may hold, at most; of few, a part. */
#define RESERVE_MAX  256
#define RESERVE_PART 8

int file_reserve_set_up(void)
{
	struct rlimit limit;
	rlim_t reserve;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	reserve = limit.rlim_max / RESERVE_PART;
	limit.rlim_cur = limit.rlim_max - (reserve < RESERVE_MAX ? reserve : RESERVE_MAX);
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < FILES_MIN ? -EMFILE : 0;
}

/* Sets the soft limit, and tells what it was, in one step: an operator may change it meanwhile, by
 * prlimit(1). */
static rlim_t exchange_soft_limit(rlim_t soft, rlim_t hard)
{
	const struct rlimit limit = {soft < hard ? soft : hard, hard};
	struct rlimit before;

	return prlimit(0, RLIMIT_NOFILE, &limit, &before) < 0 ? RLIM_INFINITY : before.rlim_cur;
}

rlim_t file_reserve_open(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return RLIM_INFINITY;
	return exchange_soft_limit(limit.rlim_max, limit.rlim_max);
}

/* Whoever has changed it meanwhile has the last word. */
void file_reserve_close(rlim_t usual)
{
	struct rlimit limit;
	rlim_t before;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	before = exchange_soft_limit(usual, limit.rlim_max);
	if (before != limit.rlim_max && before != RLIM_INFINITY)
		exchange_soft_limit(before, limit.rlim_max);
}
