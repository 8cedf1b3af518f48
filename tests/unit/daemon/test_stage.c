/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stages: an inner one's time is not the outer's, each is of its request's method, and what was not
 * measured from its beginning is not measured. The clock goes on when the test says so.
 */
#include "daemon/base/stage.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/report/profile.h"
#include "protocol/json.h"
#include "tests/lib/unit.h"

static const struct method *const ping = &methods[METHOD_PING], *const get =
									&methods[METHOD_VM_GET];
static struct stages stages;
/* next_step goes by with the next look, half of it with the one after. */
static uint64_t now, next_step;

/* In the place of the stages' clock_gettime(). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	(void)clock;
	now += next_step;
	next_step /= 2;
	*ret_time = (struct timespec){.tv_nsec = (long)now};
	return 0;
}

static int set_up(void)
{
	memset(&stages, 0, sizeof stages);
	stages_measure_begin(&stages);
	return 0;
}

static void stage(enum stage stage, uint64_t time)
{
	stage_begin(&stages, stage);
	now += time;
	stage_end(&stages, stage, 0);
}

static uint64_t time_of(const struct method *method, enum stage stage)
{
	return stages_settled(&stages)->ns[method ? method - methods : METHODS][stage];
}

static uint64_t time_of_all(void)
{
	const struct stage_sums *sums = stages_settled(&stages);
	uint64_t all = 0;

	for (unsigned method = 0; method <= METHODS; method++) {
		for (unsigned i = 0; i < STAGES; i++)
			all += sums->ns[method][i];
	}
	return all;
}

static void test_nested(void)
{
	set_up();
	stages_turn_to(&stages, 1, ping);
	stage_begin(&stages, STAGE_ACT);
	now += 5;
	stage(STAGE_KEEP, 7);
	now += 11;
	stage(STAGE_ACT, 13);
	stage_end(&stages, STAGE_ACT, 0);
	now += 17; /* between two */
	stage(STAGE_ANSWER, 19);
	CU_ASSERT_EQUAL(time_of(ping, STAGE_ACT), 5 + 11 + 13);
	CU_ASSERT_EQUAL(time_of(ping, STAGE_KEEP), 7);
	CU_ASSERT_EQUAL(time_of(ping, STAGE_ANSWER), 19);
	CU_ASSERT_EQUAL(time_of_all(), 5 + 7 + 11 + 13 + 19);
}

static void test_method_found_later(void)
{
	set_up();
	stages_turn_to(&stages, 1, NULL);
	stage(STAGE_RECEIVE, 3);
	stages.now.method = get;
	stage(STAGE_ACT, 5);
	stages_turn_to(&stages, 2, NULL);
	stage(STAGE_RECEIVE, 7);
	CU_ASSERT_EQUAL(time_of(get, STAGE_RECEIVE), 3);
	CU_ASSERT_EQUAL(time_of(get, STAGE_ACT), 5);
	CU_ASSERT_EQUAL(time_of(NULL, STAGE_RECEIVE), 7);
}

/* What a request waited for ends within another's act. */
static void test_turn_to_another(void)
{
	struct stage_request before;

	set_up();
	stages_turn_to(&stages, 2, ping);
	stage_begin(&stages, STAGE_ACT);
	now += 3;
	before = stages_turn_to(&stages, 1, get);
	stage(STAGE_ANSWER, 5);
	stages_turn_back(&stages, before);
	now += 7;
	stage_end(&stages, STAGE_ACT, 0);
	CU_ASSERT_EQUAL(stages.now.number, 2);
	CU_ASSERT_EQUAL(time_of(ping, STAGE_ACT), 3 + 7);
	CU_ASSERT_EQUAL(time_of(get, STAGE_ANSWER), 5);
	CU_ASSERT_EQUAL(time_of_all(), 3 + 5 + 7);
}

static void test_begun_within(void)
{
	memset(&stages, 0, sizeof stages);
	stages_turn_to(&stages, 1, ping);
	stage_begin(&stages, STAGE_ACT);
	now += 3;
	stages_measure_begin(&stages);
	now += 5;
	stage_end(&stages, STAGE_ACT, 0);
	stage(STAGE_ANSWER, 7);
	CU_ASSERT_EQUAL(time_of_all(), 7);
	stage_begin(&stages, STAGE_ACT);
	now += 11;
	stages_measure_end(&stages);
	now += 13;
	stage_end(&stages, STAGE_ACT, 0);
	stage(STAGE_ANSWER, 17);
	stages_measure_begin(&stages);
	CU_ASSERT_EQUAL(time_of_all(), 7);
}

/* Deeper than is kept apart: nothing is counted twice, and the outer ones go on. */
static void test_deep(void)
{
	set_up();
	stages_turn_to(&stages, 1, ping);
	for (unsigned i = 0; i < 2 * STAGES_OPEN_MAX; i++)
		stage_begin(&stages, STAGE_ACT);
	now += 100;
	for (unsigned i = 0; i < 2 * STAGES_OPEN_MAX - 1; i++)
		stage_end(&stages, STAGE_ACT, 0);
	now += 3;
	stage_end(&stages, STAGE_ACT, 0);
	CU_ASSERT_EQUAL(time_of_all(), 3);
}

/* Whatever goes by amid its beginning and its end. */
static void test_within_profile(void)
{
	struct json_object *told = json_new_object();
	struct profile *profile;
	uint64_t elapsed = 0, time = 0;

	set_up();
	stages_turn_to(&stages, 1, ping);
	stage_begin(&stages, STAGE_ACT);
	next_step = 64;
	profile = profile_begin(&stages);
	profile_describe(profile, told);
	next_step = 0;
	profile_end(profile);
	stage_end(&stages, STAGE_ACT, 0);
	json_get_uint(told, "elapsed_ns", &elapsed);
	json_uint(json_at(json_get(json_at(json_get(told, "methods"), 0), "times_ns"), STAGE_ACT),
		&time);
	json_unref(told);
	CU_ASSERT_TRUE(time > 0);
	CU_ASSERT_TRUE(time <= elapsed);
}

static void test_names(void)
{
	for (unsigned i = 0; i < STAGES; i++)
		CU_ASSERT_PTR_NOT_NULL(stage_names[i]);
	CU_ASSERT_PTR_NULL(stage_names[STAGES]);
	CU_ASSERT_STRING_EQUAL(stage_names[STAGE_ANSWER], "answer");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"within each other", test_nested},
		{"the method is found later", test_method_found_later},
		{"another request's within", test_turn_to_another},
		{"measuring begins and ends within one", test_begun_within},
		{"deeper than is kept apart", test_deep},
		{"a profile is as long as what it has measured", test_within_profile},
		{"names", test_names},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "stages", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
