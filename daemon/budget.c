/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets. See budget.h.
 */
#include "daemon/budget.h"

#include <assert.h>
#include <stddef.h>

const struct budget *budget_charge(struct budget *budget, uint64_t bytes)
{
	for (const struct budget *level = budget; level; level = level->within) {
		if (bytes > level->limit - level->committed)
			return level;
	}
	for (struct budget *level = budget; level; level = level->within)
		level->committed += bytes;
	return NULL;
}

void budget_give_back(struct budget *budget, uint64_t bytes)
{
	for (struct budget *level = budget; level; level = level->within) {
		assert(level->committed >= bytes);
		level->committed -= bytes;
	}
}
