/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times of requests. See request_times.h.
 */
#include "daemon/report/request_times.h"

#include <time.h>

#include "protocol/json.h"

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void request_timer_begin(struct request_timer *timer, const struct stages *stages)
{
	*timer = (struct request_timer){.began = monotonic_ns(),
		.number = stages->now.number,
		.measured = stages->measuring > 0};
}

void request_timer_end(
	const struct request_timer *timer, struct request_times *times, struct stages *stages)
{
	uint64_t microseconds;
	unsigned bucket = 0;

	if (timer->measured)
		stages->sums.requests[timer->method ? timer->method - methods : METHODS]++;
	if (!timer->method)
		return;
	microseconds = (monotonic_ns() - timer->began) / 1000;
	while (bucket < REQUEST_TIME_BUCKETS && microseconds > request_time_bounds_us[bucket])
		bucket++;
	times->methods[timer->method - methods].counts[bucket]++;
	times->methods[timer->method - methods].microseconds += microseconds;
}

static void append_uint(struct json_object *array, uint64_t number)
{
	json_append(array, json_new_uint(number));
}

static void describe_method(
	const struct request_times *times, unsigned number, struct json_object *object)
{
	struct json_object *buckets;
	uint64_t count = 0;

	json_add_string(object, "method", methods[number].name);
	buckets = json_add_array(object, "buckets");
	for (unsigned bucket = 0; bucket < REQUEST_TIME_BUCKETS; bucket++) {
		count += times->methods[number].counts[bucket];
		append_uint(buckets, count);
	}
	json_add_uint(object, "count", count + times->methods[number].counts[REQUEST_TIME_BUCKETS]);
	json_add_uint(object, "sum_us", times->methods[number].microseconds);
}

void request_times_describe(const struct request_times *times, struct json_object *object)
{
	struct json_object *bounds = json_add_array(object, "bounds_us"), *list;

	for (unsigned bucket = 0; bucket < REQUEST_TIME_BUCKETS; bucket++)
		append_uint(bounds, request_time_bounds_us[bucket]);
	list = json_add_array(object, "methods");
	for (unsigned number = 0; number < METHODS; number++)
		describe_method(times, number, json_append_object(list));
}
