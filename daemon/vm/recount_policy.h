/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When closed memories are counted again, given back again and let go: the rules alone, with a
 * clock of the caller's.
 *
 * Each waits longer for its next count as long as nothing changes, up to RECOUNT_LEVELS. A round of
 * counts is followed by a pause in proportion to what it took, so that all of them together take
 * no more than a small part of a processor, however many there are. Times are microseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/base/tree.h"

#define RECOUNT_SECOND UINT64_C(1000000)
/* From one count to the next at first; it doubles from level to level. */
#define RECOUNT_FIRST  (RECOUNT_SECOND / 2)
#define RECOUNT_LEVELS 6
/* A pause is so many times the round before it. */
#define RECOUNT_PAUSE_FACTOR 250
#define RECOUNT_PAUSE_MAX    (120 * RECOUNT_SECOND)
/* How long pages that are there again may stay until they are given back again: whoever had put
 * them there may be gone. */
#define RECOUNT_REPUNCH (30 * RECOUNT_SECOND)
/* How long one must have been empty, after its VM's process has ended, to be let go. */
#define RECOUNT_LET_GO (60 * RECOUNT_SECOND)

TAILQ_HEAD(recount_level, recount);

/* Of one closed memory. */
struct recount {
	TAILQ_ENTRY(recount) link; /* while it waits */
	bool waits;
	unsigned level;
	uint64_t due;
	uint64_t since; /* when it was first found as it is, empty or not, or given back last */
	bool filled;    /* whether it has pages, as last counted */
};

/* Those that wait, by level: in each, the one that is due first is the first. */
struct recounts {
	struct recount_level levels[RECOUNT_LEVELS];
	size_t count;
	uint64_t pause_end;
};

void recounts_init(struct recounts *recounts);

/* It was just closed, and waits for its first count. */
void recounts_add(struct recounts *recounts, struct recount *recount, bool filled, uint64_t now);
/* It waits no more, if it did. */
void recounts_remove(struct recounts *recounts, struct recount *recount);
/* One that is due, which waits no more then; NULL where none is, and in a pause. */
struct recount *recounts_take(struct recounts *recounts, uint64_t now);
/* It was counted. Returns whether it has changed from empty to not, or back. */
bool recounts_note(struct recount *recount, bool filled, bool given_back, uint64_t now);
/* It waits for its next count; sooner where it has changed. */
void recounts_again(struct recounts *recounts, struct recount *recount, bool changed, uint64_t now);
/* A round has ended, for which a processor was busy so long. */
void recounts_pause(struct recounts *recounts, uint64_t spent, uint64_t now);

/* Whether its pages are to be given back again. */
bool recount_is_to_be_punched(const struct recount *recount, uint64_t now);
/* process_end: when its VM's process was found to have ended; 0: it has not. */
bool recount_may_be_let_go(const struct recount *recount, uint64_t process_end, uint64_t now);
