/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When closed memories are counted again, given back again and let go; with a clock of the test's.
 */
#include "daemon/vm/recount_policy.h"

#include "tests/lib/unit.h"

#define START (1000 * RECOUNT_SECOND)
#define LAST  (RECOUNT_FIRST << (RECOUNT_LEVELS - 1))

/* The waits of one that never changes. */
static void test_waits_longer(void)
{
	struct recounts recounts;
	struct recount one;
	uint64_t now = START, wait = RECOUNT_FIRST;

	recounts_init(&recounts);
	recounts_add(&recounts, &one, /* filled= */ false, now);
	for (unsigned i = 0; i < RECOUNT_LEVELS + 3; i++) {
		CU_ASSERT_PTR_NULL(recounts_take(&recounts, now + wait - 1));
		now += wait;
		CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, now), &one);
		CU_ASSERT_PTR_NULL(recounts_take(&recounts, now + LAST));
		CU_ASSERT_FALSE(recounts_note(&one, false, /* given_back= */ false, now));
		recounts_again(&recounts, &one, /* changed= */ false, now);
		if (wait < LAST)
			wait *= 2;
	}
	CU_ASSERT_EQUAL(wait, LAST);
	CU_ASSERT_EQUAL(recounts.count, 1);
	recounts_remove(&recounts, &one);
	recounts_remove(&recounts, &one);
	CU_ASSERT_EQUAL(recounts.count, 0);
	CU_ASSERT_PTR_NULL(recounts_take(&recounts, now + LAST));
}

static void test_change_is_looked_at_soon(void)
{
	struct recounts recounts;
	struct recount one;
	uint64_t now = START;

	recounts_init(&recounts);
	recounts_add(&recounts, &one, false, now);
	for (unsigned i = 0; i < RECOUNT_LEVELS; i++) {
		now += LAST;
		CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, now), &one);
		recounts_again(&recounts, &one, false, now);
	}
	now += LAST;
	CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, now), &one);
	CU_ASSERT_TRUE(recounts_note(&one, true, false, now));
	CU_ASSERT_FALSE(recounts_note(&one, true, false, now));
	recounts_again(&recounts, &one, true, now);
	CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, now + RECOUNT_FIRST), &one);
	CU_ASSERT_TRUE(recounts_note(&one, false, false, now));
}

/* Whoever is due longest comes first, whatever its level. */
static void test_order(void)
{
	struct recounts recounts;
	struct recount old, late, first;

	recounts_init(&recounts);
	recounts_add(&recounts, &old, false, START);
	CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, START + RECOUNT_FIRST), &old);
	recounts_again(&recounts, &old, false, START + RECOUNT_FIRST);
	recounts_add(&recounts, &first, false, START + RECOUNT_FIRST);
	recounts_add(&recounts, &late, false, START + 3 * RECOUNT_FIRST);
	CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, START + 9 * RECOUNT_FIRST), &first);
	CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, START + 9 * RECOUNT_FIRST), &old);
	CU_ASSERT_PTR_EQUAL(recounts_take(&recounts, START + 9 * RECOUNT_FIRST), &late);
}

/* Rounds take a small part of the time, up to those that take very long. */
static void test_pause(void)
{
	static const struct {
		uint64_t spent, pause;
	} rows[] = {{0, 0}, {1, RECOUNT_PAUSE_FACTOR}, {2000, 2000 * RECOUNT_PAUSE_FACTOR},
		{RECOUNT_SECOND, RECOUNT_PAUSE_MAX}, {UINT64_MAX, RECOUNT_PAUSE_MAX}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct recounts recounts;
		struct recount one;
		uint64_t end = START + rows[i].pause;

		recounts_init(&recounts);
		recounts_add(&recounts, &one, false, START - RECOUNT_FIRST);
		recounts_pause(&recounts, rows[i].spent, START);
		if (rows[i].pause > 0)
			CU_ASSERT_PTR_NULL(recounts_take(&recounts, end - 1));
		UNIT_ASSERT_ROW(recounts_take(&recounts, end) == &one, "row %zu", i);
	}
}

static void test_given_back_again(void)
{
	struct recounts recounts;
	struct recount one;

	recounts_init(&recounts);
	recounts_add(&recounts, &one, false, START);
	CU_ASSERT_FALSE(recount_is_to_be_punched(&one, START + 10 * RECOUNT_REPUNCH));
	CU_ASSERT_TRUE(recounts_note(&one, true, false, START + 5));
	CU_ASSERT_FALSE(recount_is_to_be_punched(&one, START + 4 + RECOUNT_REPUNCH));
	CU_ASSERT_TRUE(recount_is_to_be_punched(&one, START + 5 + RECOUNT_REPUNCH));
	/* It was filled again at once. */
	CU_ASSERT_FALSE(recounts_note(&one, true, /* given_back= */ true, START + 9));
	CU_ASSERT_FALSE(recount_is_to_be_punched(&one, START + 8 + RECOUNT_REPUNCH));
	CU_ASSERT_TRUE(recount_is_to_be_punched(&one, START + 9 + RECOUNT_REPUNCH));
	recounts_remove(&recounts, &one);
}

static void test_let_go(void)
{
	const uint64_t end = START + 7 * RECOUNT_SECOND;
	struct recounts recounts;
	struct recount one;

	recounts_init(&recounts);
	recounts_add(&recounts, &one, false, START);
	CU_ASSERT_FALSE(recount_may_be_let_go(&one, /* process_end= */ 0, UINT64_MAX));
	CU_ASSERT_FALSE(recount_may_be_let_go(&one, end, end + 60 * RECOUNT_SECOND - 1));
	CU_ASSERT_TRUE(recount_may_be_let_go(&one, end, end + 60 * RECOUNT_SECOND));
	CU_ASSERT_TRUE(recounts_note(&one, true, false, end + RECOUNT_SECOND));
	CU_ASSERT_FALSE(recount_may_be_let_go(&one, end, end + 1000 * RECOUNT_SECOND));
	CU_ASSERT_TRUE(recounts_note(&one, false, false, end + 5 * RECOUNT_SECOND));
	CU_ASSERT_FALSE(recount_may_be_let_go(&one, end, end + 65 * RECOUNT_SECOND - 1));
	CU_ASSERT_TRUE(recount_may_be_let_go(&one, end, end + 65 * RECOUNT_SECOND));
	recounts_remove(&recounts, &one);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"what does not change is counted ever less", test_waits_longer},
		{"what has changed is looked at soon", test_change_is_looked_at_soon},
		{"in the order that they are due", test_order},
		{"rounds take a small part of the time", test_pause},
		{"pages that stay are given back again", test_given_back_again},
		{"let go a minute after the process's end, and not while it is filled",
			test_let_go},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "recounting", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
