/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clock that no one sets: CLOCK_MONOTONIC.
 */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* How long it is until then; 0 where that is over. */
static inline uint64_t clock_ms_until(uint64_t then)
{
	uint64_t now = clock_ms();

	return then > now ? then - now : 0;
}
