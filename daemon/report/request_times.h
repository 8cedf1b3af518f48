/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long requests take, by method: from when one is taken up until its answer is made, be that
 * later. Counted in the buckets of protocol/acts.h, for metrics.get.
 */
#pragma once

#include <stdint.h>

#include "daemon/base/stage.h"
#include "protocol/acts.h"
#include "protocol/methods.h"

struct json_object;

struct request_times {
	struct {
		uint64_t counts[REQUEST_TIME_BUCKETS + 1]; /* the last: beyond all bounds */
		uint64_t microseconds;                     /* of all together */
	} methods[METHODS];
};

/* Of one request. */
struct request_timer {
	const struct method *method; /* NULL: it is not known, and not counted */
	uint64_t began;              /* nanoseconds */
	uint64_t number;             /* its packet's, as stages have it */
	bool measured;               /* its stages were, then */
};

void request_timer_begin(struct request_timer *timer, const struct stages *stages);
void request_timer_end(
	const struct request_timer *timer, struct request_times *times, struct stages *stages);

/* As metrics.get has it. */
void request_times_describe(const struct request_times *times, struct json_object *object);
