/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profiles. See profile.h.
 */
#include "daemon/report/profile.h"

#include <stdlib.h>
#include <time.h>

#include "protocol/json.h"

struct profile {
	struct stages *stages;
	struct stage_sums before;
	uint64_t began, processor_time; /* nanoseconds */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct profile *profile_begin(struct stages *stages)
{
	struct profile *profile = malloc(sizeof *profile);

	if (!profile)
		return NULL;
	stages_measure_begin(stages);
	profile->stages = stages;
	/* What is measured is within it: so its time begins before and ends after. */
	profile->processor_time = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	profile->began = clock_ns(CLOCK_MONOTONIC);
	profile->before = *stages_settled(stages);
	return profile;
}

struct profile *profile_end(struct profile *profile)
{
	if (profile)
		stages_measure_end(profile->stages);
	free(profile);
	return NULL;
}

/* What is measured since it was begun. */
static struct stage_sums sums_since(const struct profile *profile)
{
	struct stage_sums sums = *stages_settled(profile->stages);

	for (unsigned method = 0; method <= METHODS; method++) {
		sums.requests[method] -= profile->before.requests[method];
		for (unsigned stage = 0; stage < STAGES; stage++)
			sums.ns[method][stage] -= profile->before.ns[method][stage];
	}
	return sums;
}

static bool took_time(const struct stage_sums *sums, unsigned method)
{
	uint64_t all = 0;

	for (unsigned stage = 0; stage < STAGES; stage++)
		all |= sums->ns[method][stage];
	return all > 0;
}

static void describe_method(
	const struct stage_sums *sums, unsigned method, struct json_object *object)
{
	struct json_object *times;

	if (method < METHODS)
		json_add_string(object, "method", methods[method].name);
	else
		json_add_null(object, "method");
	json_add_uint(object, "requests", sums->requests[method]);
	times = json_add_array(object, "times_ns");
	for (unsigned stage = 0; stage < STAGES; stage++)
		json_append(times, json_new_uint(sums->ns[method][stage]));
}

void profile_describe(const struct profile *profile, struct json_object *object)
{
	const struct stage_sums sums = sums_since(profile);
	struct json_object *list;

	json_add_uint(object, "elapsed_ns", clock_ns(CLOCK_MONOTONIC) - profile->began);
	json_add_uint(object, "processor_ns",
		clock_ns(CLOCK_THREAD_CPUTIME_ID) - profile->processor_time);
	list = json_add_array(object, "stages");
	for (unsigned stage = 0; stage < STAGES; stage++)
		json_append_string(list, stage_names[stage]);
	list = json_add_array(object, "methods");
	for (unsigned method = 0; method <= METHODS; method++) {
		if (took_time(&sums, method))
			describe_method(&sums, method, json_append_object(list));
	}
}
