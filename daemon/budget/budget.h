/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets: how much memory may be committed, and is. Each is within a larger one, up to the host's.
 *
 * A charge is taken at all levels or at none. Charge first, commit second, give back in the
 * destructor.
 *
 * A budget can have a reserve: so much the larger ones take beforehand, so that charges within it
 * can be refused by it alone. So nothing counts twice, and what is reserved and what is committed
 * beside it never pass a limit together. A budget is promised where its reserve is its whole limit.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_UNLIMITED UINT64_MAX

struct budget {
	const char *scope;    /* as in the error: vm, tenant, node, host */
	uint64_t limit;       /* bytes; while it is promised, budget_set_limit() alone changes it */
	uint64_t committed;   /* a reserve of one within it counts as a whole */
	uint64_t promised;    /* how much of that is reserves of those within it */
	uint64_t used;        /* how much is charged, without any reserve */
	uint64_t reserve;     /* taken by those that it is within; see budget_set_reserve() */
	bool is_promised;     /* the reserve is the limit */
	bool bounds_reserves; /* what is charged within a reserve of one within it stays within its
				 limit, too, where that was lowered since */
	bool lifted;          /* the limit refuses nothing for now */
	uint64_t each; /* what one right within it may be charged at most; 0: that has its limit */
	struct budget *within; /* NULL for the outermost */
};

/* NULL where all levels took the charge, else the level that refused; then nothing has changed. */
const struct budget *budget_charge(struct budget *budget, uint64_t bytes);
void budget_give_back(struct budget *budget, uint64_t bytes);
/* What is there already, whatever the limits: what passes a reserve counts for the larger ones,
 * too. It is given back like any other. */
void budget_charge_anyway(struct budget *budget, uint64_t bytes);
/* The level that would refuse a charge, NULL for none. */
const struct budget *budget_refuses(const struct budget *budget, uint64_t bytes);

/* What may be charged of it at most, as an error is to tell. */
uint64_t budget_most(const struct budget *budget);
/* What the larger ones have of it: what is committed, or its reserve where that is more. */
uint64_t budget_known_above(const struct budget *budget);

/*
 * Its reserve from now on; what is committed of it already is part of that. NULL, or the level that
 * can't have it; then nothing has changed.
 */
const struct budget *budget_set_reserve(struct budget *budget, uint64_t reserve);
/* The same, whatever the limits. */
void budget_set_reserve_anyway(struct budget *budget, uint64_t reserve);
/*
 * Promises the budget its limit. NULL where those that it is within can keep the promise, else the
 * one that can't; then nothing has changed. An unlimited budget is promised nothing, and NULL is
 * returned.
 */
const struct budget *budget_promise(struct budget *budget);
/* The budget's limit from now on, promised where the old one was. NULL, or who can't keep that
 * promise; then nothing has changed. What is committed beyond it stays so, and grows no more. */
const struct budget *budget_set_limit(struct budget *budget, uint64_t limit);
/* Ends the promise, where there is one. What is still committed stays charged at all levels. */
void budget_end_promise(struct budget *budget);

/* It is within another from now on, with all that it has and with that limit, as
 * budget_set_limit() has it. NULL, or who has not room for what it gets more than it had; then
 * nothing has changed. */
const struct budget *budget_move(struct budget *budget, struct budget *to, uint64_t limit);
/* The same, with its own limit and whatever the others are. */
void budget_move_anyway(struct budget *budget, struct budget *to);

/*
 * The promise of the one, of which nothing is committed, becomes the other's, whose limit is no
 * more than that: as much as its limit is, and the rest ends. That is one step, in which what both
 * are within refuses nothing, whatever its limit is by now. Who else would: NULL, or a level that
 * the other alone is within.
 */
const struct budget *budget_hand_over_refused(struct budget *from, const struct budget *to);
/* Whoever would refuse it. */
void budget_hand_over(struct budget *from, struct budget *to);
