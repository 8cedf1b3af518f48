/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a memory no guest can see, by what vm.get tells.
 */
#include "client/ctl/stale.h"

#include <stdio.h>
#include <string.h>

#include "protocol/json.h"
#include "tests/lib/unit.h"

#define SLOT(gpa, size, memory, offset)                                                            \
	"{\"guest_phys_addr\":" #gpa ",\"memory_size\":" #size ",\"memory\":" #memory              \
	",\"guest_memfd_offset\":" #offset
#define SHARED(memory, offset) ",\"shared_memory\":" #memory ",\"shared_offset\":" #offset

#define BOUND ",\"state\":\"bound\""

/* expected: "start+size …", in thousands, as the numbers of vm.get here are. */
static void check(const char *vm, uint64_t memory, const char *expected)
{
	const char *why;
	struct json_object *value = json_parse(vm, strlen(vm), &why);
	struct ranges found = {.leaves = NULL};
	struct range_place place;
	char text[256] = "";

	CU_ASSERT_PTR_NOT_NULL_FATAL(value);
	CU_ASSERT_EQUAL(stale_find(value, memory, 100000, &found), 0);
	for (const struct range *range = ranges_from(&found, 0, &place); range;
		range = ranges_next(&place)) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof text - used, "%s%llu+%llu", used > 0 ? " " : "",
			(unsigned long long)range->start / 1000,
			(unsigned long long)(range->end - range->start) / 1000);
	}
	UNIT_ASSERT_ROW(strcmp(text, expected) == 0, "\"%s\", not \"%s\"", text, expected);
	ranges_clear(&found);
	json_unref(value);
}

static void test_unbound(void)
{
	check("{}", 1, "0+100");
	check("{\"slots\":[]}", 1, "0+100");
	check("{\"slots\":[" SLOT(5000, 20000, 1, 10000) "}]}", 1, "0+10 30+70");
	check("{\"slots\":[" SLOT(5000, 20000, 2, 10000) "}]}", 1, "0+100");
	check("{\"slots\":[" SLOT(0, 100000, 1, 0) "}]}", 1, "");
	check("{\"slots\":[" SLOT(0, 10000, 1, 0) "}," SLOT(90000, 10000, 1, 90000) "}]}", 1,
		"10+80");
	check("{\"slots\":[{\"guest_phys_addr\":0,\"memory_size\":10000,\"memory\":null}]}", 1,
		"0+100");
}

/* What a page is not all in is not given back. */
static void test_huge(void)
{
#define HUGE "{\"memories\":[{\"memory\":1,\"page_size\":20000,\"flags\":[]}],\"slots\":["
	check(HUGE "]}", 1, "0+100");
	check(HUGE SLOT(5000, 30000, 1, 10000) "}]}", 1, "40+60");
	check(HUGE SLOT(5000, 20000, 1, 41000) "}," SLOT(30000, 1000, 1, 99000) "}]}", 1, "0+40");
	check(HUGE SLOT(5000, 20000, 1, 20000) "}]}", 1, "0+20 40+60");
}

/* Private frames are seen in the guest_memfd, shared ones in the other half. */
static void test_halves(void)
{
#define SLOTS "\"slots\":[" SLOT(50000, 100000, 1, 0) SHARED(2, 0) BOUND "}]"
	check("{" SLOTS ",\"private_ranges\":[]}", 1, "0+100");
	check("{" SLOTS ",\"private_ranges\":[]}", 2, "");
	check("{" SLOTS ",\"private_ranges\":[{\"guest_phys_addr\":0,\"size\":200000}]}", 1, "");
	check("{" SLOTS ",\"private_ranges\":[{\"guest_phys_addr\":0,\"size\":200000}]}", 2,
		"0+100");
	check("{" SLOTS ",\"private_ranges\":[{\"guest_phys_addr\":40000,\"size\":20000},"
	      "{\"guest_phys_addr\":100000,\"size\":10000}]}",
		1, "10+40 60+40");
	check("{" SLOTS ",\"private_ranges\":[{\"guest_phys_addr\":40000,\"size\":20000},"
	      "{\"guest_phys_addr\":100000,\"size\":10000}]}",
		2, "0+10 50+10");
	/* With one half all of it is seen. */
	check("{\"slots\":[" SLOT(0, 100000, 1, 0) "}],\"private_ranges\":[{\"guest_phys_addr\":0,"
						   "\"size\":50000}]}",
		1, "");
}

/* Both halves are, where gmemctl can't know which one the guest sees, or is about to. */
static void test_in_doubt(void)
{
#define PENDING ",\"state\":\"pending\""
#define MAPPED  "\"memories\":[{\"memory\":1,\"flags\":[\"init_shared\",\"mmap\"]}]"
	check("{" SLOTS ",\"calls\":[{\"id\":1}]}", 1, "");
	check("{" SLOTS ",\"calls\":[{\"id\":1}]}", 2, "");
	check("{\"slots\":[" SLOT(0, 50000, 1, 0) SHARED(2, 0) PENDING "}]}", 1, "50+50");
	check("{\"slots\":[" SLOT(0, 50000, 1, 0) SHARED(2, 0) PENDING
		"}],"
		"\"private_ranges\":[{\"guest_phys_addr\":0,\"size\":50000}]}",
		2, "50+50");
	check("{" SLOTS "," MAPPED "}", 1, "");
	check("{\"memories\":[{\"memory\":1,\"flags\":[]}]," SLOTS "}", 1, "0+100");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"what no slot shows", test_unbound},
		{"of huge pages", test_huge},
		{"the half that is not in use", test_halves},
		{"in doubt it is in use", test_in_doubt},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "stale memory", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
