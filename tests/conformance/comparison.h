/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two subjects side by side: the same calls on both, what differs, and the shortest sequence of
 * calls in which it does.
 */
#pragma once

#include "tests/conformance/call.h"

struct comparison {
	struct subject *model; /* what is right by definition of this test */
	struct subject *other;
	uint64_t calls[CALL_KINDS], succeeded[CALL_KINDS];
	char difference[256]; /* what differed after the last call of the last sequence */
};

/*
 * Makes the calls on both, from new VMs. Returns how many were made until the two differed, 0 where
 * they never did.
 */
size_t comparison_run(struct comparison *comparison, const struct call *calls, size_t count);

/*
 * Leaves out of a sequence that differs what it differs without. Returns how many calls stay, which
 * then are the first in calls.
 */
size_t comparison_shrink(struct comparison *comparison, struct call *calls, size_t count);
