/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets: how much memory may be committed, and is. Each is within a larger one, up to the host's.
 *
 * A charge is taken at all levels or at none. Charge first, commit second, give back in the
 * destructor.
 */
#pragma once

#include <stdint.h>

#define BUDGET_UNLIMITED UINT64_MAX

struct budget {
	const char *scope; /* as in the error: vm, tenant, node, host */
	uint64_t limit;    /* bytes */
	uint64_t committed;
	struct budget *within; /* NULL for the outermost */
};

/* NULL where all levels took the charge, else the level that refused; then nothing has changed. */
const struct budget *budget_charge(struct budget *budget, uint64_t bytes);
void budget_give_back(struct budget *budget, uint64_t bytes);
