/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets. See budget.h.
 */
#include "daemon/budget/budget.h"

#include <assert.h>
#include <stddef.h>

/* The next level that a charge reaches: none above a promised one, which have it already. */
static struct budget *above(const struct budget *level)
{
	return level->is_promised ? NULL : level->within;
}

/* What was taken back at a start may be more than a new configuration allows. */
static bool has_room(const struct budget *level, uint64_t bytes)
{
	if (level->lifted)
		return bytes <= UINT64_MAX - level->committed;
	return level->committed <= level->limit && bytes <= level->limit - level->committed;
}

const struct budget *budget_refuses(const struct budget *budget, uint64_t bytes)
{
	for (const struct budget *level = budget; level; level = above(level)) {
		if (!has_room(level, bytes))
			return level;
	}
	return NULL;
}

const struct budget *budget_charge(struct budget *budget, uint64_t bytes)
{
	const struct budget *refused = budget_refuses(budget, bytes);

	if (refused)
		return refused;
	for (struct budget *level = budget; level; level = above(level))
		level->committed += bytes;
	return NULL;
}

/* What the levels above have of it. */
static uint64_t known_above(const struct budget *budget)
{
	if (budget->is_promised && budget->committed < budget->limit)
		return budget->limit;
	return budget->committed;
}

void budget_charge_anyway(struct budget *budget, uint64_t bytes)
{
	for (struct budget *level = budget; level && bytes > 0; level = level->within) {
		uint64_t before = known_above(level);

		level->committed += bytes;
		bytes = known_above(level) - before;
	}
}

void budget_give_back(struct budget *budget, uint64_t bytes)
{
	for (struct budget *level = budget; level && bytes > 0; level = level->within) {
		uint64_t before = known_above(level);

		assert(level->committed >= bytes);
		level->committed -= bytes;
		bytes = before - known_above(level);
	}
}

const struct budget *budget_charge_alone(struct budget *budget, uint64_t bytes)
{
	if (!has_room(budget, bytes))
		return budget;
	budget->committed += bytes;
	return NULL;
}

void budget_give_back_alone(struct budget *budget, uint64_t bytes)
{
	assert(budget->committed >= bytes);
	budget->committed -= bytes;
}

/* What the levels above know of it as promised, beside what is promised to those within it. */
static uint64_t promised_beside(const struct budget *budget)
{
	return budget->limit - budget->promised;
}

const struct budget *budget_promise(struct budget *budget)
{
	const struct budget *refused;
	uint64_t unused;

	assert(!budget->is_promised);
	if (budget->limit == BUDGET_UNLIMITED || !budget->within)
		return NULL;
	unused = budget->limit > budget->committed ? budget->limit - budget->committed : 0;
	refused = budget_charge(budget->within, unused);
	if (refused)
		return refused;
	for (struct budget *level = budget->within; level; level = above(level))
		level->promised += promised_beside(budget);
	budget->is_promised = true;
	return NULL;
}

void budget_end_promise(struct budget *budget)
{
	uint64_t unused = known_above(budget) - budget->committed;

	if (!budget->is_promised)
		return;
	budget->is_promised = false;
	for (struct budget *level = budget->within; level; level = above(level)) {
		assert(level->promised >= promised_beside(budget));
		level->promised -= promised_beside(budget);
	}
	budget_give_back(budget->within, unused);
}

/* Of a promise: what is charged above changes by the difference alone, so that nothing is lost
 * where that is refused. */
static const struct budget *change_promise(struct budget *budget, uint64_t limit)
{
	uint64_t had = known_above(budget), before = budget->limit;
	uint64_t will = limit > budget->committed ? limit : budget->committed;
	const struct budget *refused =
		will > had ? budget_charge(budget->within, will - had) : NULL;

	if (refused)
		return refused;
	budget->limit = limit;
	if (will < had)
		budget_give_back(budget->within, had - will);
	for (struct budget *level = budget->within; level; level = above(level))
		level->promised += limit - before;
	return NULL;
}

const struct budget *budget_set_limit(struct budget *budget, uint64_t limit)
{
	uint64_t before = budget->limit;
	const struct budget *refused;

	if (budget->is_promised)
		return change_promise(budget, limit);
	budget->limit = limit;
	refused = before == BUDGET_UNLIMITED ? budget_promise(budget) : NULL;
	if (refused)
		budget->limit = before;
	return refused;
}
