/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When closed memories are counted again. See recount_policy.h.
 */
#include "daemon/vm/recount_policy.h"

void recounts_init(struct recounts *recounts)
{
	*recounts = (struct recounts){.count = 0};
	for (size_t level = 0; level < RECOUNT_LEVELS; level++)
		TAILQ_INIT(&recounts->levels[level]);
}

/* All of a level wait equally long, so whoever comes last is due last. */
static void wait_for_count(struct recounts *recounts, struct recount *recount, uint64_t now)
{
	recount->due = now + (RECOUNT_FIRST << recount->level);
	recount->waits = true;
	TAILQ_INSERT_TAIL(&recounts->levels[recount->level], recount, link);
	recounts->count++;
}

void recounts_add(struct recounts *recounts, struct recount *recount, bool filled, uint64_t now)
{
	*recount = (struct recount){.since = now, .filled = filled};
	wait_for_count(recounts, recount, now);
}

void recounts_remove(struct recounts *recounts, struct recount *recount)
{
	if (!recount->waits)
		return;
	TAILQ_REMOVE(&recounts->levels[recount->level], recount, link);
	recount->waits = false;
	recounts->count--;
}

struct recount *recounts_take(struct recounts *recounts, uint64_t now)
{
	struct recount *first = NULL;

	if (now < recounts->pause_end)
		return NULL;
	for (size_t level = 0; level < RECOUNT_LEVELS; level++) {
		struct recount *one = TAILQ_FIRST(&recounts->levels[level]);

		if (one && (!first || one->due < first->due))
			first = one;
	}
	if (!first || first->due > now)
		return NULL;
	recounts_remove(recounts, first);
	return first;
}

bool recounts_note(struct recount *recount, bool filled, bool given_back, uint64_t now)
{
	bool changed = filled != recount->filled;

	if (changed || given_back)
		recount->since = now;
	recount->filled = filled;
	return changed;
}

void recounts_again(struct recounts *recounts, struct recount *recount, bool changed, uint64_t now)
{
	if (changed)
		recount->level = 0;
	else if (recount->level + 1 < RECOUNT_LEVELS)
		recount->level++;
	wait_for_count(recounts, recount, now);
}

void recounts_pause(struct recounts *recounts, uint64_t spent, uint64_t now)
{
	uint64_t pause = spent > RECOUNT_PAUSE_MAX / RECOUNT_PAUSE_FACTOR
				 ? RECOUNT_PAUSE_MAX
				 : spent * RECOUNT_PAUSE_FACTOR;

	recounts->pause_end = now + pause;
}

bool recount_is_to_be_punched(const struct recount *recount, uint64_t now)
{
	return recount->filled && now - recount->since >= RECOUNT_REPUNCH;
}

bool recount_may_be_let_go(const struct recount *recount, uint64_t process_end, uint64_t now)
{
	uint64_t since = process_end > recount->since ? process_end : recount->since;

	return process_end > 0 && !recount->filled && now - since >= RECOUNT_LET_GO;
}
