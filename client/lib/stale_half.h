/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving back the half of converted frames that went stale, by this process.
 *
 * gmemd gives back what it finds in that half once a conversion is reported. Whoever else has the
 * file can keep all who punch it waiting, so its loop leaves that to other processes, which costs
 * more than a small conversion does. But this process has both files, and may wait for itself: what
 * it has given back before it reports, gmemd finds gone, and needs to do nothing about. gmemd
 * believes nothing of this: it looks, and what is left there, or has come back, it gives back.
 */
#pragma once

#include "client/lib/vm_state.h"

/*
 * The kernel has the range's frames as to says, and this thread's conversion of them has not ended:
 * nobody makes them anything else. The bytes of pages that went are added to *discarded; NULL: they
 * are not counted. Whether gmemd need not give back anything there: false where the range is large,
 * or not all of it is of slots whose halves are both this process's.
 */
bool stale_half_give_back(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *range,
	uint64_t *discarded);
