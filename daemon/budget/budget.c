/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets. See budget.h.
 */
#include "daemon/budget/budget.h"

#include <assert.h>
#include <stddef.h>

static uint64_t largest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t budget_known_above(const struct budget *budget)
{
	return largest(budget->committed, budget->reserve);
}

/* How much of that is reserves. */
static uint64_t promised_above(const struct budget *budget)
{
	return largest(budget->promised, budget->reserve);
}

/* What was taken back at a start may be more than a new configuration allows. */
static bool has_room(const struct budget *level, uint64_t bytes)
{
	if (level->lifted)
		return bytes <= UINT64_MAX - level->committed;
	return level->committed <= level->limit && bytes <= level->limit - level->committed;
}

/* What a reserve of one within it covers has been committed since. */
static bool bounds(const struct budget *level, uint64_t bytes)
{
	return level->bounds_reserves && !level->lifted &&
	       (level->used > level->limit || bytes > level->limit - level->used);
}

uint64_t budget_most(const struct budget *budget)
{
	uint64_t each = budget->within ? budget->within->each : 0;

	return each > 0 && each < budget->limit ? each : budget->limit;
}

/* What each within another may have. */
static bool is_each_full(const struct budget *level, uint64_t charge)
{
	uint64_t most = budget_most(level);

	if (most == level->limit || level->within->lifted)
		return false;
	return level->used > most || charge > most - level->used;
}

/* What the larger ones would have more of it. */
static uint64_t growth(const struct budget *level, uint64_t bytes)
{
	uint64_t committed = level->committed + bytes;

	return largest(committed, level->reserve) - budget_known_above(level);
}

/* charge: of what is charged in all; 0 where it is but reserved. */
static const struct budget *find_refusing(
	const struct budget *budget, uint64_t bytes, uint64_t charge)
{
	for (const struct budget *level = budget; level; level = level->within) {
		bool asked = level == budget || bytes > 0;

		if ((asked && !has_room(level, bytes)) ||
			(charge > 0 && (bounds(level, charge) || is_each_full(level, charge))))
			return level;
		bytes = growth(level, bytes);
	}
	return NULL;
}

/* From there up. */
static void take(struct budget *budget, uint64_t bytes)
{
	for (struct budget *level = budget; level && bytes > 0; level = level->within) {
		uint64_t more = growth(level, bytes);

		level->committed += bytes;
		bytes = more;
	}
}

static void let_go(struct budget *budget, uint64_t bytes)
{
	for (struct budget *level = budget; level && bytes > 0; level = level->within) {
		uint64_t before = budget_known_above(level);

		assert(level->committed >= bytes);
		level->committed -= bytes;
		bytes = before - budget_known_above(level);
	}
}

const struct budget *budget_refuses(const struct budget *budget, uint64_t bytes)
{
	return find_refusing(budget, bytes, bytes);
}

void budget_charge_anyway(struct budget *budget, uint64_t bytes)
{
	take(budget, bytes);
	for (struct budget *level = budget; level; level = level->within)
		level->used += bytes;
}

const struct budget *budget_charge(struct budget *budget, uint64_t bytes)
{
	const struct budget *refused = budget_refuses(budget, bytes);

	if (!refused)
		budget_charge_anyway(budget, bytes);
	return refused;
}

void budget_give_back(struct budget *budget, uint64_t bytes)
{
	let_go(budget, bytes);
	for (struct budget *level = budget; level; level = level->within)
		level->used -= bytes;
}

/* Of what is known above of reserves, from one level to the next. */
static void promise_above(struct budget *budget, uint64_t before, uint64_t now)
{
	for (struct budget *level = budget->within; level && before != now; level = level->within) {
		uint64_t had = promised_above(level);

		level->promised = level->promised - before + now;
		before = had;
		now = promised_above(level);
	}
}

void budget_set_reserve_anyway(struct budget *budget, uint64_t reserve)
{
	uint64_t had = budget_known_above(budget), will = largest(budget->committed, reserve);
	uint64_t promised = promised_above(budget);

	budget->reserve = reserve;
	if (will > had)
		take(budget->within, will - had);
	else
		let_go(budget->within, had - will);
	promise_above(budget, promised, promised_above(budget));
}

const struct budget *budget_set_reserve(struct budget *budget, uint64_t reserve)
{
	uint64_t had = budget_known_above(budget), will = largest(budget->committed, reserve);
	const struct budget *refused =
		will > had ? find_refusing(budget->within, will - had, /* charge= */ 0) : NULL;

	if (!refused)
		budget_set_reserve_anyway(budget, reserve);
	return refused;
}

const struct budget *budget_promise(struct budget *budget)
{
	const struct budget *refused;

	assert(!budget->is_promised);
	if (budget->limit == BUDGET_UNLIMITED || !budget->within)
		return NULL;
	refused = budget_set_reserve(budget, budget->limit);
	budget->is_promised = !refused;
	return refused;
}

void budget_end_promise(struct budget *budget)
{
	if (!budget->is_promised)
		return;
	budget->is_promised = false;
	budget_set_reserve(budget, 0);
}

const struct budget *budget_set_limit(struct budget *budget, uint64_t limit)
{
	uint64_t before = budget->limit;
	const struct budget *refused = NULL;

	budget->limit = limit;
	if (budget->is_promised)
		refused = budget_set_reserve(budget, limit);
	else if (before == BUDGET_UNLIMITED)
		refused = budget_promise(budget);
	if (refused)
		budget->limit = before;
	return refused;
}

/* From the old ones, or to the new ones. */
static void leave(struct budget *budget)
{
	let_go(budget->within, budget_known_above(budget));
	promise_above(budget, promised_above(budget), 0);
	for (struct budget *level = budget->within; level; level = level->within)
		level->used -= budget->used;
}

static void join(struct budget *budget)
{
	take(budget->within, budget_known_above(budget));
	promise_above(budget, 0, promised_above(budget));
	for (struct budget *level = budget->within; level; level = level->within)
		level->used += budget->used;
}

/* Of one that is within nothing now. */
static void limit_alone(struct budget *budget, uint64_t limit)
{
	if (budget->limit == BUDGET_UNLIMITED && limit != BUDGET_UNLIMITED)
		budget->is_promised = true;
	budget->limit = limit;
	if (budget->is_promised)
		budget->reserve = limit;
}

/* Host, node or tenant, and one below. */
#define LEVELS_MAX 4

/* What levels had, from one up. */
struct levels_had {
	uint64_t committed[LEVELS_MAX], used[LEVELS_MAX];
};

static void note_levels(const struct budget *level, struct levels_had *ret)
{
	for (unsigned i = 0; level; level = level->within, i++) {
		assert(i < LEVELS_MAX);
		ret->committed[i] = level->committed;
		ret->used[i] = level->used;
	}
}

/* One that has more than it had, and more than it may have. */
static const struct budget *find_passed(const struct budget *level, const struct levels_had *had)
{
	for (unsigned i = 0; level; level = level->within, i++) {
		bool more = level->committed > had->committed[i], uses = level->used > had->used[i];

		if (level->lifted)
			continue;
		if ((more && level->committed > level->limit) ||
			(uses && level->bounds_reserves && level->used > level->limit))
			return level;
	}
	return NULL;
}

const struct budget *budget_move(struct budget *budget, struct budget *to, uint64_t limit)
{
	const struct budget before = *budget, *refused;
	struct levels_had had;

	note_levels(to, &had);
	leave(budget);
	limit_alone(budget, limit);
	budget->within = to;
	join(budget);
	refused = find_passed(to, &had);
	if (refused) {
		leave(budget);
		*budget = before;
		join(budget);
	}
	return refused;
}

void budget_move_anyway(struct budget *budget, struct budget *to)
{
	leave(budget);
	budget->within = to;
	join(budget);
}

static bool is_within(const struct budget *budget, const struct budget *level)
{
	while (budget && budget != level)
		budget = budget->within;
	return budget;
}

const struct budget *budget_hand_over_refused(struct budget *from, const struct budget *to)
{
	const struct budget *refused = NULL, *level = to->within;
	uint64_t bytes = to->limit;

	budget_set_reserve_anyway(from, 0);
	for (; !refused && level && !is_within(from, level); level = level->within) {
		if (bytes > 0 && !has_room(level, bytes))
			refused = level;
		bytes = growth(level, bytes);
	}
	budget_set_reserve_anyway(from, from->limit);
	return refused;
}

void budget_hand_over(struct budget *from, struct budget *to)
{
	assert(from->is_promised && from->committed == 0);
	assert(!to->is_promised && to->committed == 0 && to->limit <= from->limit);
	budget_end_promise(from);
	budget_set_reserve_anyway(to, to->limit);
	to->is_promised = true;
}
