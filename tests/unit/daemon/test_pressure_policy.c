/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pressure policy: levels without flapping, asks of the largest first, who gave and who didn't.
 */
#include "daemon/pressure/policy.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

#define PAGE 10

/* The target is 1250. */
static const struct pressure_settings settings = {
	.floor = 1000, .margin = 250, .quiet = 100, .deadline = 50, .page_size = PAGE};

static bool observe(struct pressure_policy *policy, uint64_t time, uint64_t available)
{
	return pressure_policy_observe(
		policy, &(struct pressure_observation){time, available, /* stalled= */ false});
}

/* Levels */

struct step {
	uint64_t time, available;
	bool stalled;
	enum pressure_level level;
};

/* Each tells of a change exactly where its level is another than the one before. */
static void run_steps(const char *name, uint64_t floor, const struct step *steps, size_t count)
{
	enum pressure_level before = PRESSURE_LEVEL_NONE;
	struct pressure_settings own = settings;
	struct pressure_policy policy;

	own.floor = floor;
	pressure_policy_init(&policy, &own);
	for (size_t i = 0; i < count; i++) {
		struct pressure_observation observation = {
			steps[i].time, steps[i].available, steps[i].stalled};
		bool changed = pressure_policy_observe(&policy, &observation);

		UNIT_ASSERT_ROW(policy.level == steps[i].level, "%s, step %zu: %s", name, i,
			pressure_level_name(policy.level));
		UNIT_ASSERT_ROW(changed == (steps[i].level != before), "%s, step %zu: changed %d",
			name, i, changed);
		before = steps[i].level;
	}
	pressure_policy_clear(&policy);
}

#define RUN_STEPS(name, floor, steps) run_steps(name, floor, steps, sizeof steps / sizeof *steps)

#define NONE     PRESSURE_LEVEL_NONE
#define LOW      PRESSURE_LEVEL_LOW
#define MEDIUM   PRESSURE_LEVEL_MEDIUM
#define CRITICAL PRESSURE_LEVEL_CRITICAL

static void test_worse_at_once(void)
{
	static const struct step steps[] = {{0, 9000, false, NONE}, {1, 1000, false, NONE},
		{2, 999, false, LOW}, {3, 500, false, LOW}, {4, 499, false, MEDIUM},
		{5, 250, false, MEDIUM}, {6, 249, false, CRITICAL}, {7, 0, false, CRITICAL}};
	static const struct step jump[] = {{0, 9000, false, NONE}, {1, 0, false, CRITICAL}};

	RUN_STEPS("step by step", 1000, steps);
	RUN_STEPS("at once", 1000, jump);
}

static void test_better_in_quiet(void)
{
	static const struct step steps[] = {{0, 900, false, LOW}, {10, 1100, false, LOW},
		{500, 1249, false, LOW}, {510, 1250, false, LOW}, {609, 1250, false, LOW},
		{610, 1250, false, NONE}};
	static const struct step interrupted[] = {{0, 900, false, LOW}, {10, 2000, false, LOW},
		{100, 1249, false, LOW}, {110, 2000, false, LOW}, {209, 2000, false, LOW},
		{210, 2000, false, NONE}, {211, 1000, false, NONE}};
	/* To the worst of the quiet time, then on from there. */
	static const struct step falling[] = {{0, 100, false, CRITICAL},
		{10, 2000, false, CRITICAL}, {20, 400, false, CRITICAL},
		{30, 2000, false, CRITICAL}, {110, 2000, false, MEDIUM}, {120, 2000, false, MEDIUM},
		{219, 2000, false, MEDIUM}, {220, 2000, false, NONE}};

	RUN_STEPS("quiet", 1000, steps);
	RUN_STEPS("interrupted", 1000, interrupted);
	RUN_STEPS("falling", 1000, falling);
}

static void test_stalls(void)
{
	static const struct step steps[] = {{0, 1250, true, NONE}, {1, 1249, false, NONE},
		{2, 1249, true, LOW}, {3, 999, true, MEDIUM}, {4, 499, true, CRITICAL},
		{5, 100, true, CRITICAL}};
	/* One that goes on holds the level that it has raised. */
	static const struct step lasting[] = {{0, 999, true, MEDIUM}, {50, 999, false, MEDIUM},
		{90, 999, true, MEDIUM}, {140, 999, false, MEDIUM}, {239, 999, false, MEDIUM},
		{240, 999, false, LOW}};

	RUN_STEPS("stalls", 1000, steps);
	RUN_STEPS("lasting stalls", 1000, lasting);
}

static void test_turned_off(void)
{
	static const struct step steps[] = {
		{0, 0, false, NONE}, {1, 0, true, NONE}, {2, 9000, true, NONE}};
	static const struct step least[] = {{0, 300, false, NONE}, {1, 1, false, NONE},
		{2, 0, false, LOW}, {3, 250, false, LOW}, {4, 251, false, LOW},
		{104, 251, false, NONE}};

	RUN_STEPS("a floor of 0", 0, steps);
	RUN_STEPS("a floor of 1", 1, least);
}

/* Whatever goes on round the floor, there is one beginning and, in the end, one end. */
static void check_flapping(uint64_t low, uint64_t high, uint64_t period)
{
	struct pressure_policy policy;
	unsigned changes = 0;
	uint64_t time = 0;

	pressure_policy_init(&policy, &settings);
	for (unsigned i = 0; i < 1000; i++, time += period)
		changes += observe(&policy, time, i % 2 ? high : low);
	UNIT_ASSERT_ROW(changes == 1 && policy.level == LOW, "%llu and %llu: %u changes",
		(unsigned long long)low, (unsigned long long)high, changes);
	for (unsigned i = 0; i < 1000; i++, time += period)
		changes += observe(&policy, time, 1250 + i % 2 * 1000);
	UNIT_ASSERT_ROW(changes == 2 && policy.level == NONE,
		"%llu and %llu: %u changes in the end", (unsigned long long)low,
		(unsigned long long)high, changes);
	pressure_policy_clear(&policy);
}

static void test_flapping(void)
{
	check_flapping(999, 1000, 1);
	check_flapping(999, 1249, 1000); /* within the margin, however slow */
	check_flapping(999, 9000, 60);   /* past it, but never for long */
	check_flapping(600, 1001, 99);
}

static void test_next(void)
{
	struct pressure_vm vm = {.key = 1, .reclaimable = 1000};
	struct pressure_policy policy;
	size_t asked;

	pressure_policy_init(&policy, &settings);
	CU_ASSERT_EQUAL(pressure_policy_next(&policy), UINT64_MAX);
	observe(&policy, 1000, 900);
	CU_ASSERT_EQUAL(pressure_policy_next(&policy), UINT64_MAX);
	CU_ASSERT_EQUAL(pressure_policy_ask(&policy, 1000, &vm, 1, &asked), 0);
	CU_ASSERT_EQUAL(pressure_policy_next(&policy), 1050);
	observe(&policy, 1010, 1300);
	CU_ASSERT_EQUAL(pressure_policy_next(&policy), 1050);
	observe(&policy, 1050, 1300);
	CU_ASSERT_EQUAL(pressure_policy_next(&policy), 1110);
	observe(&policy, 1110, 1300);
	CU_ASSERT_EQUAL(policy.level, NONE);
	CU_ASSERT_EQUAL(pressure_policy_next(&policy), UINT64_MAX);
	pressure_policy_clear(&policy);
}

/* Asks */

#define VMS 4

/* VMs with the keys from 1 on. What was asked, in order, as "KEY:BYTES ". */
static void ask_as_text(struct pressure_policy *policy, uint64_t time,
	const uint64_t reclaimable[VMS], char text[VMS * 32])
{
	struct pressure_vm vms[VMS];
	size_t asked = 77, length = 0;

	for (size_t i = 0; i < VMS; i++)
		vms[i] = (struct pressure_vm){.key = i + 1, .reclaimable = reclaimable[i]};
	text[0] = '\0';
	CU_ASSERT_EQUAL(pressure_policy_ask(policy, time, vms, VMS, &asked), 0);
	CU_ASSERT_TRUE_FATAL(asked <= VMS);
	for (size_t i = 0; i < asked; i++)
		length += (size_t)snprintf(text + length, VMS * 32 - length, "%llu:%llu ",
			(unsigned long long)vms[i].key, (unsigned long long)vms[i].ask);
}

static void check_asks(struct pressure_policy *policy, uint64_t time,
	const uint64_t reclaimable[VMS], const char *expected)
{
	char text[VMS * 32];

	ask_as_text(policy, time, reclaimable, text);
	UNIT_ASSERT_ROW(strcmp(text, expected) == 0, "at %llu asked %s, expected %s",
		(unsigned long long)time, text, expected);
}

static void test_largest_first(void)
{
	static const struct {
		uint64_t available, reclaimable[VMS];
		const char *expected;
	} rows[] = {
		{950, {1000, 2000, 500, 0}, "2:300 "}, {950, {100, 120, 50, 500}, "4:300 "},
		{950, {100, 120, 50, 60}, "2:120 1:100 4:60 3:20 "},
		{950, {10, 10, 10, 10}, "1:10 2:10 3:10 4:10 "}, {950, {0, 0, 0, 0}, ""},
		{950, {9, 19, 0, 0}, "2:10 "},    /* whole pages that it has */
		{955, {1000, 0, 0, 0}, "1:300 "}, /* and as many as are needed */
		{955, {299, 12, 0, 0}, "1:290 2:10 "}, {955, {290, 0, 5, 0}, "1:290 "},
		{0, {UINT64_MAX, 1, 0, 0}, "1:1250 "}, {999, {150, 150, 150, 150}, "1:150 2:110 "},
		{1000, {150, 150, 150, 150}, ""}, /* no pressure */
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pressure_policy policy;

		pressure_policy_init(&policy, &settings);
		observe(&policy, 0, rows[i].available);
		check_asks(&policy, 0, rows[i].reclaimable, rows[i].expected);
		pressure_policy_clear(&policy);
	}
}

static void test_shortfall(void)
{
	struct pressure_policy policy;

	pressure_policy_init(&policy, &settings);
	CU_ASSERT_EQUAL(pressure_policy_shortfall(&policy), 0);
	observe(&policy, 0, 1100);
	CU_ASSERT_EQUAL(pressure_policy_shortfall(&policy), 0);
	observe(&policy, 1, 900);
	CU_ASSERT_EQUAL(pressure_policy_shortfall(&policy), 350);
	observe(&policy, 2, 1100);
	CU_ASSERT_EQUAL(pressure_policy_shortfall(&policy), 150);
	observe(&policy, 3, 1250);
	CU_ASSERT_EQUAL(pressure_policy_shortfall(&policy), 0);
	CU_ASSERT_FALSE(pressure_policy_round_due(&policy, 3));
	pressure_policy_clear(&policy);
}

/* An ask's state as it should be; asked 0: there is none. */
static void check_ask(const struct pressure_policy *policy, uint64_t key, uint64_t asked,
	uint64_t given, enum pressure_answer answer, unsigned missed)
{
	const struct pressure_ask *ask = pressure_policy_ask_from(policy, key);

	if (asked == 0) {
		UNIT_ASSERT_ROW(
			!ask || ask->key != key, "%llu has an ask", (unsigned long long)key);
		return;
	}
	CU_ASSERT_TRUE_FATAL(ask && ask->key == key);
	UNIT_ASSERT_ROW(ask->asked == asked && ask->given == given && ask->answer == answer &&
				ask->missed == missed,
		"%llu: asked %llu, given %llu, answer %d, missed %u", (unsigned long long)key,
		(unsigned long long)ask->asked, (unsigned long long)ask->given, ask->answer,
		ask->missed);
	CU_ASSERT_EQUAL(pressure_ask_is_overdue(ask), missed > 0);
}

/* Three VMs, asked at 0 for 600, 400 and 200 of the 1200 that lack. */
static void begin(struct pressure_policy *policy)
{
	static const uint64_t reclaimable[VMS] = {400, 600, 200, 50};

	pressure_policy_init(policy, &settings);
	observe(policy, 0, 50);
	check_asks(policy, 0, reclaimable, "2:600 1:400 3:200 ");
	check_ask(policy, 1, 400, 0, PRESSURE_ANSWER_PENDING, 0);
	check_ask(policy, 4, 0, 0, 0, 0);
}

static void test_answers(void)
{
	struct pressure_policy policy;

	begin(&policy);
	pressure_policy_given(&policy, 2, 250);
	pressure_policy_given(&policy, 2, 350);
	pressure_policy_given(&policy, 1, 399);
	pressure_policy_given(&policy, 3, 0);
	pressure_policy_given(&policy, 4, 50);
	pressure_policy_given(&policy, 99, 50);
	check_ask(&policy, 2, 600, 600, PRESSURE_ANSWER_GIVEN, 0);
	check_ask(&policy, 1, 400, 399, PRESSURE_ANSWER_PENDING, 0);
	observe(&policy, 49, 1000);
	check_ask(&policy, 3, 200, 0, PRESSURE_ANSWER_PENDING, 0);
	observe(&policy, 50, 1000);
	check_ask(&policy, 2, 600, 600, PRESSURE_ANSWER_GIVEN, 0);
	check_ask(&policy, 1, 400, 399, PRESSURE_ANSWER_PARTLY, 1);
	check_ask(&policy, 3, 200, 0, PRESSURE_ANSWER_NONE, 1);
	CU_ASSERT_EQUAL(pressure_policy_ask_from(&policy, 3)->overdue_since, 50);
	pressure_policy_given(&policy, 3, 100);
	check_ask(&policy, 3, 200, 100, PRESSURE_ANSWER_PARTLY, 1);
	pressure_policy_given(&policy, 3, UINT64_MAX);
	check_ask(&policy, 3, 200, UINT64_MAX, PRESSURE_ANSWER_GIVEN, 0);
	pressure_policy_given(&policy, 1, 1);
	check_ask(&policy, 1, 400, 400, PRESSURE_ANSWER_GIVEN, 0);
	pressure_policy_clear(&policy);
}

/* Not before the deadline, whatever happens; then with what lacks by then. */
static void test_second_round(void)
{
	static const uint64_t reclaimable[VMS] = {400, 600, 200, 50};
	struct pressure_policy policy;

	begin(&policy);
	CU_ASSERT_FALSE(pressure_policy_round_due(&policy, 0));
	pressure_policy_given(&policy, 2, 600);
	pressure_policy_given(&policy, 1, 400);
	pressure_policy_given(&policy, 3, 200);
	observe(&policy, 30, 0);
	check_asks(&policy, 49, reclaimable, "");
	observe(&policy, 49, 1000);
	CU_ASSERT_TRUE(pressure_policy_round_due(&policy, 50));
	check_asks(&policy, 50, reclaimable, "2:250 ");
	check_ask(&policy, 2, 250, 0, PRESSURE_ANSWER_PENDING, 0);
	check_ask(&policy, 1, 400, 400, PRESSURE_ANSWER_GIVEN, 0);
	check_asks(&policy, 99, reclaimable, "");
	observe(&policy, 100, 1300);
	check_asks(&policy, 100, reclaimable, "");
	check_ask(&policy, 2, 250, 0, PRESSURE_ANSWER_NONE, 1);
	pressure_policy_clear(&policy);
}

/* Who has missed a deadline is asked again, and others for what they can't be counted on. */
static void test_overdue_again(void)
{
	static const uint64_t reclaimable[VMS] = {400, 600, 200, 300};
	struct pressure_policy policy;

	pressure_policy_init(&policy, &settings);
	observe(&policy, 0, 750);
	check_asks(&policy, 0, reclaimable, "2:500 ");
	pressure_policy_given(&policy, 2, 100);
	observe(&policy, 50, 850);
	check_ask(&policy, 2, 500, 100, PRESSURE_ANSWER_PARTLY, 1);
	check_asks(&policy, 50, reclaimable, "2:400 1:300 ");
	check_ask(&policy, 2, 400, 0, PRESSURE_ANSWER_PENDING, 1);
	CU_ASSERT_EQUAL(pressure_policy_ask_from(&policy, 2)->overdue_since, 50);
	observe(&policy, 100, 850);
	check_ask(&policy, 2, 400, 0, PRESSURE_ANSWER_NONE, 2);
	CU_ASSERT_EQUAL(pressure_policy_ask_from(&policy, 2)->overdue_since, 50);
	check_asks(&policy, 100, reclaimable, "2:400 1:400 4:300 3:100 ");
	pressure_policy_given(&policy, 2, 400);
	check_ask(&policy, 2, 400, 400, PRESSURE_ANSWER_GIVEN, 0);
	observe(&policy, 150, 850);
	check_asks(&policy, 150, reclaimable, "2:400 ");
	pressure_policy_clear(&policy);
}

/* With the end of pressure it is forgotten who owes; and no new one hurries the next round. */
static void test_end_forgets(void)
{
	static const uint64_t reclaimable[VMS] = {400, 600, 200, 300};
	struct pressure_settings quick = settings;
	struct pressure_policy policy;

	quick.quiet = 10;
	pressure_policy_init(&policy, &quick);
	observe(&policy, 0, 950);
	check_asks(&policy, 0, reclaimable, "2:300 ");
	observe(&policy, 60, 960);
	check_ask(&policy, 2, 300, 0, PRESSURE_ANSWER_NONE, 1);
	check_asks(&policy, 60, reclaimable, "2:290 1:290 ");
	observe(&policy, 65, 1300);
	check_ask(&policy, 2, 290, 0, PRESSURE_ANSWER_PENDING, 1);
	CU_ASSERT_TRUE(observe(&policy, 75, 1300));
	CU_ASSERT_PTR_NULL(pressure_policy_ask_from(&policy, 0));
	pressure_policy_given(&policy, 2, 10);
	CU_ASSERT_TRUE(observe(&policy, 80, 950));
	check_asks(&policy, 109, reclaimable, "");
	check_asks(&policy, 110, reclaimable, "2:300 ");
	check_ask(&policy, 2, 300, 0, PRESSURE_ANSWER_PENDING, 0);
	pressure_policy_clear(&policy);
}

static void test_leaving(void)
{
	static const uint64_t reclaimable[VMS] = {400, 0, 200, 50};
	struct pressure_policy policy;

	begin(&policy);
	pressure_policy_forget(&policy, 2);
	pressure_policy_forget(&policy, 2);
	pressure_policy_forget(&policy, 99);
	check_ask(&policy, 2, 0, 0, 0, 0);
	pressure_policy_given(&policy, 2, 600);
	check_ask(&policy, 2, 0, 0, 0, 0);
	check_ask(&policy, 1, 400, 0, PRESSURE_ANSWER_PENDING, 0);
	observe(&policy, 50, 650);
	check_ask(&policy, 1, 400, 0, PRESSURE_ANSWER_NONE, 1);
	pressure_policy_forget(&policy, 1);
	check_asks(&policy, 50, reclaimable, "1:400 3:200 4:50 ");
	check_ask(&policy, 1, 400, 0, PRESSURE_ANSWER_PENDING, 0);
	pressure_policy_clear(&policy);
	CU_ASSERT_PTR_NULL(pressure_policy_ask_from(&policy, 0));
}

/* A round that finds nobody to ask is one as well. */
static void test_nobody(void)
{
	struct pressure_policy policy;
	size_t asked = 77;

	pressure_policy_init(&policy, &settings);
	observe(&policy, 0, 0);
	CU_ASSERT_EQUAL(pressure_policy_ask(&policy, 0, NULL, 0, &asked), 0);
	CU_ASSERT_EQUAL(asked, 0);
	CU_ASSERT_FALSE(pressure_policy_round_due(&policy, 49));
	CU_ASSERT_TRUE(pressure_policy_round_due(&policy, 50));
	pressure_policy_clear(&policy);
}

/* At random */

#define RANDOM_VMS 1000

static uint64_t random_below(uint64_t limit)
{
	return (uint64_t)random() % limit;
}

/* In order, in pages, each within its own, and no more of them than are needed. */
static void check_round(
	const struct pressure_vm *vms, size_t asked, uint64_t lacking, unsigned seed)
{
	uint64_t sum = 0, all = 0, wrong = 0;

	for (size_t i = 0; i < RANDOM_VMS; i++) {
		wrong += i > 0 && vms[i].reclaimable > vms[i - 1].reclaimable;
		wrong += vms[i].ask % PAGE > 0 || vms[i].ask > vms[i].reclaimable;
		wrong += (vms[i].ask > 0) != (i < asked);
		sum += vms[i].ask;
		all += vms[i].reclaimable / PAGE * PAGE;
	}
	lacking = (lacking + PAGE - 1) / PAGE * PAGE;
	UNIT_ASSERT_ROW(wrong == 0 && sum == (all < lacking ? all : lacking),
		"seed %u: %llu wrong, asked %llu of %llu", seed, (unsigned long long)wrong,
		(unsigned long long)sum, (unsigned long long)lacking);
}

/* All give at once what they are asked for, so that all are counted on. */
static void run_random(unsigned seed)
{
	static struct pressure_vm vms[RANDOM_VMS];
	struct pressure_settings own = settings;
	struct pressure_policy policy;

	srandom(seed);
	own.floor = 1000000;
	pressure_policy_init(&policy, &own);
	for (uint64_t time = 0; time < 100 * own.deadline; time += own.deadline) {
		size_t asked = 0;

		for (size_t i = 0; i < RANDOM_VMS; i++)
			vms[i] = (struct pressure_vm){
				.key = i, .reclaimable = random_below(random_below(4000) + 1)};
		observe(&policy, time, random_below(own.floor));
		CU_ASSERT_EQUAL(pressure_policy_ask(&policy, time, vms, RANDOM_VMS, &asked), 0);
		check_round(vms, asked, pressure_policy_shortfall(&policy), seed);
		for (size_t i = 0; i < asked; i++) {
			pressure_policy_given(&policy, vms[i].key, vms[i].ask);
			if (random() % 4 == 0)
				pressure_policy_forget(&policy, vms[i].key);
		}
	}
	for (const struct pressure_ask *ask = pressure_policy_ask_from(&policy, 0); ask;
		ask = pressure_policy_ask_from(&policy, ask->key + 1))
		CU_ASSERT_EQUAL(ask->answer, PRESSURE_ANSWER_GIVEN);
	pressure_policy_clear(&policy);
}

static void test_random(void)
{
	for (unsigned seed = 1; seed <= 5; seed++)
		run_random(seed);
}

/* Who has the lowest priority is asked for all that it can give before the next one is. */
static void test_priority(void)
{
	struct pressure_settings own = pressure_settings_for(1000 * PAGE, 1000, PAGE);
	struct pressure_vm vms[] = {{.key = 1, .reclaimable = 400 * PAGE, .priority = 50},
		{.key = 2, .reclaimable = 100 * PAGE, .priority = 10},
		{.key = 3, .reclaimable = 300 * PAGE, .priority = 50}};
	struct pressure_policy policy;
	size_t asked = 0;

	pressure_policy_init(&policy, &own);
	observe(&policy, 0, 900 * PAGE);
	CU_ASSERT_EQUAL(pressure_policy_ask(&policy, 0, vms, 3, &asked), 0);
	CU_ASSERT_EQUAL(asked, 2);
	CU_ASSERT_TRUE(vms[0].key == 2 && vms[0].ask == 100 * PAGE);
	CU_ASSERT_TRUE(vms[1].key == 1 && vms[1].ask == 250 * PAGE);
	pressure_policy_clear(&policy);
}

static void test_extremes(void)
{
	struct pressure_settings own = pressure_settings_for(UINT64_MAX, UINT64_MAX, PAGE);
	struct pressure_vm vms[] = {
		{.key = 1, .reclaimable = UINT64_MAX}, {.key = 2, .reclaimable = UINT64_MAX}};
	struct pressure_policy policy;
	size_t asked = 77;

	CU_ASSERT_EQUAL(own.margin, UINT64_MAX / 4);
	pressure_policy_init(&policy, &own);
	CU_ASSERT_TRUE(observe(&policy, UINT64_MAX - 1, 0));
	CU_ASSERT_EQUAL(pressure_policy_shortfall(&policy), UINT64_MAX);
	CU_ASSERT_EQUAL(pressure_policy_ask(&policy, UINT64_MAX - 1, vms, 2, &asked), 0);
	CU_ASSERT_EQUAL(asked, 2);
	CU_ASSERT_EQUAL(vms[0].ask, UINT64_MAX / PAGE * PAGE);
	CU_ASSERT_EQUAL(vms[1].ask, PAGE);
	CU_ASSERT_EQUAL(pressure_policy_next(&policy), UINT64_MAX);
	pressure_policy_clear(&policy);
}

static void test_names(void)
{
	CU_ASSERT_STRING_EQUAL(pressure_level_name(NONE), "none");
	CU_ASSERT_STRING_EQUAL(pressure_level_name(LOW), "low");
	CU_ASSERT_STRING_EQUAL(pressure_level_name(MEDIUM), "medium");
	CU_ASSERT_STRING_EQUAL(pressure_level_name(CRITICAL), "critical");
}

static CU_TestInfo level_tests[] = {
	{"worse at once", test_worse_at_once},
	{"better after a quiet time", test_better_in_quiet},
	{"stalls", test_stalls},
	{"turned off", test_turned_off},
	{"no flapping", test_flapping},
	{"when to look again", test_next},
	{"names", test_names},
	CU_TEST_INFO_NULL,
};

static CU_TestInfo ask_tests[] = {
	{"largest first", test_largest_first},
	{"what lacks", test_shortfall},
	{"answers", test_answers},
	{"a second round", test_second_round},
	{"overdue and asked again", test_overdue_again},
	{"the end forgets", test_end_forgets},
	{"a VM that leaves", test_leaving},
	{"nobody to ask", test_nobody},
	{"a thousand VMs at random", test_random},
	{"extremes", test_extremes},
	{"priorities", test_priority},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "pressure levels", .pTests = level_tests},
		{.pName = "pressure asks", .pTests = ask_tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
