/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Merged ranges: every way in which two can touch, many of them, and random ones beside a bitmap.
 */
#include "kernel/base/ranges.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/unit.h"

#define PAGE 4096ULL

/* What the set should be, as text: "[10,20)[30,40)". */
static void check_is(const struct ranges *ranges, const char *expected)
{
	char text[256] = "";
	size_t length = 0, count = 0;
	struct range_place place;
	uint64_t total = 0;

	for (const struct range *range = ranges_from(ranges, 0, &place); range;
		range = ranges_next(&place)) {
		length += (size_t)snprintf(text + length, sizeof text - length, "[%llu,%llu)",
			(unsigned long long)range->start, (unsigned long long)range->end);
		total += range->end - range->start;
		count++;
	}
	UNIT_ASSERT_ROW(strcmp(text, expected) == 0, "is %s, expected %s", text, expected);
	UNIT_ASSERT_ROW(ranges_count(ranges) == count && ranges_total(ranges) == total,
		"%s: count %zu, total %llu", text, ranges_count(ranges),
		(unsigned long long)ranges_total(ranges));
}

struct step {
	bool add;
	uint64_t start, size;
	const char *expected;
};

static void run_steps(const struct step *steps, size_t count)
{
	struct ranges ranges = {0};

	for (size_t i = 0; i < count; i++) {
		int r = (steps[i].add ? ranges_add : ranges_remove)(
			&ranges, steps[i].start, steps[i].size);

		UNIT_ASSERT_ROW(r == 0, "step %zu: %d", i, r);
		check_is(&ranges, steps[i].expected);
	}
	ranges_clear(&ranges);
	check_is(&ranges, "");
}

static void test_add(void)
{
	static const struct step steps[] = {
		{true, 20, 10, "[20,30)"},
		{true, 20, 10, "[20,30)"},
		{true, 22, 2, "[20,30)"},
		{true, 40, 10, "[20,30)[40,50)"},
		{true, 0, 10, "[0,10)[20,30)[40,50)"},
		{true, 30, 5, "[0,10)[20,35)[40,50)"},
		{true, 18, 2, "[0,10)[18,35)[40,50)"},
		{true, 35, 5, "[0,10)[18,50)"},
		{true, 60, 10, "[0,10)[18,50)[60,70)"},
		{true, 5, 60, "[0,70)"},
		{true, 100, 1, "[0,70)[100,101)"},
		{true, 90, 20, "[0,70)[90,110)"},
		{true, 0, 200, "[0,200)"},
	};

	run_steps(steps, sizeof steps / sizeof *steps);
}

static void test_remove(void)
{
	static const struct step steps[] = {
		{false, 0, 10, ""},
		{true, 10, 90, "[10,100)"},
		{false, 0, 10, "[10,100)"},
		{false, 100, 10, "[10,100)"},
		{false, 10, 5, "[15,100)"},
		{false, 95, 50, "[15,95)"},
		{false, 40, 10, "[15,40)[50,95)"},
		{false, 42, 6, "[15,40)[50,95)"},
		{false, 60, 1, "[15,40)[50,60)[61,95)"},
		{false, 50, 10, "[15,40)[61,95)"},
		{false, 30, 40, "[15,30)[70,95)"},
		{true, 40, 2, "[15,30)[40,42)[70,95)"},
		{false, 20, 60, "[15,20)[80,95)"},
		{false, 0, 1000, ""},
	};

	run_steps(steps, sizeof steps / sizeof *steps);
}

static void test_bounds(void)
{
	struct ranges ranges = {0};

	CU_ASSERT_EQUAL(ranges_add(&ranges, 5, 0), -EINVAL);
	CU_ASSERT_EQUAL(ranges_remove(&ranges, 5, 0), -EINVAL);
	CU_ASSERT_EQUAL(ranges_add(&ranges, UINT64_MAX, 1), -EINVAL);
	CU_ASSERT_EQUAL(ranges_add(&ranges, 2, UINT64_MAX), -EINVAL);
	check_is(&ranges, "");
	CU_ASSERT_EQUAL(ranges_add(&ranges, 0, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(ranges_remove(&ranges, UINT64_MAX, 1), -EINVAL);
	CU_ASSERT_EQUAL(ranges_remove(&ranges, UINT64_MAX - 1, 1), 0);
	check_is(&ranges, "[0,18446744073709551614)");
	ranges_clear(&ranges);
}

static void test_lookup(void)
{
	struct ranges ranges = {0};
	struct range_place place;

	CU_ASSERT_PTR_NULL(ranges_from(&ranges, 0, &place));
	CU_ASSERT_EQUAL(ranges_add(&ranges, 10, 10), 0);
	CU_ASSERT_EQUAL(ranges_add(&ranges, 30, 10), 0);
	CU_ASSERT_FALSE(ranges_contain(&ranges, 9));
	CU_ASSERT_TRUE(ranges_contain(&ranges, 10));
	CU_ASSERT_TRUE(ranges_contain(&ranges, 19));
	CU_ASSERT_FALSE(ranges_contain(&ranges, 20));
	CU_ASSERT_EQUAL(ranges_from(&ranges, 19, &place)->start, 10);
	CU_ASSERT_EQUAL(ranges_from(&ranges, 20, &place)->start, 30);
	CU_ASSERT_PTR_NULL(ranges_from(&ranges, 40, &place));
	CU_ASSERT_EQUAL(ranges_covered(&ranges, 0, 100), 20);
	CU_ASSERT_EQUAL(ranges_covered(&ranges, 15, 20), 10);
	CU_ASSERT_EQUAL(ranges_covered(&ranges, 20, 10), 0);
	CU_ASSERT_EQUAL(ranges_covered(&ranges, 12, 3), 3);
	CU_ASSERT_EQUAL(ranges_covered(&ranges, 12, 0), 0);
	ranges_clear(&ranges);
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

/* The worst that a guest can do to it: every other page private. */
static void check_alternating(uint64_t pages)
{
	size_t before = mallinfo2().uordblks, bytes;
	struct ranges ranges = {0};
	struct timespec start;
	unsigned failed = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint64_t i = 0; i < pages; i++) /* each once, in no order: 7919 is prime */
		failed += ranges_add(&ranges, (i * 7919 % pages) * 2 * PAGE, PAGE) != 0;
	CU_ASSERT_EQUAL(failed, 0);
	CU_ASSERT_EQUAL(ranges_count(&ranges), pages);
	CU_ASSERT_EQUAL(ranges_total(&ranges), pages * PAGE);
	bytes = mallinfo2().uordblks - before; /* 0 where a sanitizer has the heap */
	for (uint64_t i = 0; i + 1 < pages; i++)
		failed += ranges_add(&ranges, (2 * i + 1) * PAGE, PAGE) != 0;
	CU_ASSERT_EQUAL(ranges_count(&ranges), 1);
	for (uint64_t i = 0; i < pages; i++)
		failed += ranges_remove(&ranges, 2 * i * PAGE, PAGE) != 0;
	CU_ASSERT_EQUAL(failed, 0);
	CU_ASSERT_EQUAL(ranges_count(&ranges), pages - 1);
	printf("# %llu alternating pages: %.0f ns an operation, %.1f bytes a range\n",
		(unsigned long long)pages, seconds_since(&start) / (double)(3 * pages) * 1e9,
		(double)bytes / (double)pages);
	CU_ASSERT_TRUE(bytes <= 16 * pages);
	CU_ASSERT_TRUE(seconds_since(&start) < 20);
	ranges_clear(&ranges);
}

static void test_alternating_pages(void)
{
	check_alternating(1000);
	check_alternating(100000);
	check_alternating(1000000);
}

/* Beside a bitmap: each bit of it is so many numbers. */

#define BITS 6000

static void check_beside(
	const struct ranges *ranges, const bool *bits, uint64_t unit, unsigned seed)
{
	struct range_place place;
	const struct range *range = ranges_from(ranges, 0, &place);
	unsigned wrong = 0;
	size_t count = 0;

	for (uint64_t i = 0; i < BITS; i++) {
		if (range && i * unit == range->end)
			range = ranges_next(&place);
		wrong += bits[i] != (range && i * unit >= range->start);
		wrong += bits[i] != ranges_contain(ranges, i * unit);
		wrong += bits[i] != ranges_contain(ranges, i * unit + unit - 1);
		wrong += ranges_covered(ranges, i * unit, unit) != (bits[i] ? unit : 0);
		count += bits[i] && (i == 0 || !bits[i - 1]);
	}
	UNIT_ASSERT_ROW(wrong == 0 && count == ranges_count(ranges),
		"seed %u, unit %llu: %u are wrong", seed, (unsigned long long)unit, wrong);
}

/* Sizes that make many ranges at first, then fewer and fewer, and one at last. */
static void random_sets(unsigned seed, uint64_t unit)
{
	struct ranges ranges = {0};
	bool bits[BITS] = {false};
	const unsigned steps = 20000;

	srandom(seed);
	for (unsigned i = 0; i < steps; i++) {
		uint64_t start = (uint64_t)random() % BITS, largest = 1 + i / (steps / 10);
		uint64_t size = 1 + (uint64_t)random() % (i % 997 ? largest : BITS - start);
		bool add = random() % 2;

		if (size > BITS - start)
			size = BITS - start;
		CU_ASSERT_EQUAL(
			(add ? ranges_add : ranges_remove)(&ranges, start * unit, size * unit), 0);
		memset(bits + start, add, size);
		if (i % (steps / 40) == 0 || i % 997 == 0)
			check_beside(&ranges, bits, unit, seed);
	}
	check_beside(&ranges, bits, unit, seed);
	CU_ASSERT_EQUAL(ranges_add(&ranges, 0, BITS * unit), 0);
	CU_ASSERT_EQUAL(ranges_count(&ranges), 1);
	CU_ASSERT_EQUAL(ranges_remove(&ranges, 0, BITS * unit), 0);
	CU_ASSERT_EQUAL(ranges_count(&ranges) + ranges_total(&ranges), 0);
	CU_ASSERT_PTR_NULL(ranges.leaves);
}

/* Near to each other, and so far apart that no leaf's are within 4 GiB, or that some are. */
static void test_beside_a_bitmap(void)
{
	static const uint64_t units[] = {1, PAGE, 5 << 20, 3ull << 30, 1ull << 50};

	for (unsigned seed = 1; seed <= 3; seed++) {
		for (size_t i = 0; i < sizeof units / sizeof *units; i++)
			random_sets(seed, units[i]);
	}
}

/* One after the other from either end, so that leaves are full, and into the midst of full ones. */
static void test_in_order(void)
{
	const uint64_t pages = 5000;

	for (unsigned way = 0; way < 2; way++) {
		struct ranges ranges = {0};
		unsigned failed = 0;

		for (uint64_t i = 0; i < pages; i++)
			failed += ranges_add(&ranges, (way ? pages - i : i) * 4 * PAGE, PAGE) != 0;
		CU_ASSERT_EQUAL(ranges_count(&ranges), pages);
		for (uint64_t i = 0; i < pages; i++)
			failed += ranges_add(&ranges, ((way ? pages - i : i) * 4 + 2) * PAGE,
					  PAGE) != 0;
		CU_ASSERT_EQUAL(ranges_count(&ranges), 2 * pages);
		for (uint64_t i = 0; i < pages; i++)
			failed += ranges_contain(&ranges, (i + way) * 4 * PAGE + PAGE) ||
				  !ranges_contain(&ranges, (i + way) * 4 * PAGE + 2 * PAGE);
		CU_ASSERT_EQUAL(failed, 0);
		CU_ASSERT_EQUAL(ranges_remove(&ranges, PAGE / 2, 8 * pages * PAGE), 0);
		CU_ASSERT_EQUAL(ranges_count(&ranges), way ? 0 : 1);
		CU_ASSERT_EQUAL(ranges_total(&ranges), way ? 0 : PAGE / 2);
		ranges_clear(&ranges);
	}
}

static CU_TestInfo tests[] = {
	{"adding", test_add},
	{"removing", test_remove},
	{"bounds", test_bounds},
	{"looking up", test_lookup},
	{"a million alternating pages", test_alternating_pages},
	{"one after the other, from either end", test_in_order},
	{"random sets beside a bitmap", test_beside_a_bitmap},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "ranges", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
