/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in reserve. See file_reserve.h.
 */
#include "daemon/file_reserve.h"

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

/* The soft limit may have been changed since it was set up, by prlimit(1). */
rlim_t file_reserve_open(void)
{
	struct rlimit limit;
	rlim_t usual;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return RLIM_INFINITY;
	usual = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return usual;
}

void file_reserve_close(rlim_t usual)
{
	struct rlimit limit;

	/* Whoever has changed it meanwhile has the last word. */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != limit.rlim_max)
		return;
	limit.rlim_cur = usual < limit.rlim_max ? usual : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}
