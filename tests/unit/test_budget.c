/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets: a charge is taken at all levels or at none, to the byte.
 */
#include "daemon/budget.h"

#include <string.h>

#include "tests/lib/unit.h"

struct levels {
	struct budget host, node, vm;
};

static void levels_init(struct levels *levels, uint64_t host, uint64_t node, uint64_t vm)
{
	levels->host = (struct budget){.scope = "host", .limit = host};
	levels->node = (struct budget){.scope = "node", .limit = node, .within = &levels->host};
	levels->vm = (struct budget){.scope = "vm", .limit = vm, .within = &levels->node};
}

static void check_committed(const struct levels *levels, uint64_t bytes)
{
	UNIT_ASSERT_ROW(levels->host.committed == bytes && levels->node.committed == bytes &&
				levels->vm.committed == bytes,
		"%llu, %llu, %llu", (unsigned long long)levels->host.committed,
		(unsigned long long)levels->node.committed,
		(unsigned long long)levels->vm.committed);
}

static void test_all_levels(void)
{
	struct levels levels;

	levels_init(&levels, 100, 100, 100);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 60));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 40));
	check_committed(&levels, 100);
	budget_give_back(&levels.vm, 60);
	check_committed(&levels, 40);
	budget_give_back(&levels.vm, 40);
	check_committed(&levels, 0);
}

/* Whichever level refuses, none has taken anything. */
static void test_refusals(void)
{
	static const struct {
		uint64_t host, node, vm;
		const char *scope;
	} rows[] = {{99, 200, 200, "host"}, {200, 99, 200, "node"}, {200, 200, 99, "vm"},
		{99, 99, 99, "vm"}, {99, 99, 200, "node"}, {0, 200, 200, "host"}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct budget *refused;
		struct levels levels;

		levels_init(&levels, rows[i].host, rows[i].node, rows[i].vm);
		refused = budget_charge(&levels.vm, 100);
		UNIT_ASSERT_ROW(refused && strcmp(refused->scope, rows[i].scope) == 0,
			"row %zu: %s", i, refused ? refused->scope : "taken");
		check_committed(&levels, 0);
	}
}

static void test_edges(void)
{
	struct levels levels;

	levels_init(&levels, BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 0));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, UINT64_MAX));
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, 1), &levels.vm);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 0));
	check_committed(&levels, UINT64_MAX);
	budget_give_back(&levels.vm, UINT64_MAX);
	check_committed(&levels, 0);
	levels_init(&levels, 100, 100, 100);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 1));
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, UINT64_MAX), &levels.vm);
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, 100), &levels.vm);
	check_committed(&levels, 1);
}

/* Two VMs share what is above them. */
static void test_siblings(void)
{
	struct levels levels;
	struct budget other = {.scope = "vm", .limit = 80, .within = &levels.node};

	levels_init(&levels, 100, 100, 80);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 80));
	CU_ASSERT_PTR_EQUAL(budget_charge(&other, 21), &levels.node);
	CU_ASSERT_EQUAL(other.committed, 0);
	CU_ASSERT_PTR_NULL(budget_charge(&other, 20));
	CU_ASSERT_EQUAL(levels.host.committed, 100);
	budget_give_back(&levels.vm, 80);
	CU_ASSERT_EQUAL(levels.host.committed, 20);
	CU_ASSERT_PTR_NULL(budget_charge(&other, 60));
	CU_ASSERT_EQUAL(levels.host.committed, 80);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"all levels", test_all_levels},
		{"refusals", test_refusals},
		{"edges", test_edges},
		{"siblings", test_siblings},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "budget", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
