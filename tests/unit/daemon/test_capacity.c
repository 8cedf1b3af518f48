/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's capacity: what the reserve and overcommit make of the memory, of the host and of each
 * node.
 */
#include "daemon/budget/capacity.h"

#include <string.h>

#include "tests/lib/unit.h"

#define GIB (1ull << 30)

static void test_of(void)
{
	static const struct {
		uint64_t total, reserve, overcommit, expected;
	} rows[] = {{100, 0, 0, 100}, {100, 10, 0, 90}, {100, 10, 50, 135}, {100, 100, 0, 0},
		{100, 101, 50, 0}, {0, 0, 0, 0}, {99, 0, 1, 99}, {100, 0, 100, 200},
		{UINT64_MAX, 0, 0, UINT64_MAX}, {UINT64_MAX, 1, 1000, UINT64_MAX},
		{UINT64_MAX, UINT64_MAX, 0, 0}, {24 * GIB, 2 * GIB, 0, 22 * GIB}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t capacity = capacity_of(rows[i].total, rows[i].reserve, rows[i].overcommit);

		UNIT_ASSERT_ROW(capacity == rows[i].expected, "row %zu: %llu", i,
			(unsigned long long)capacity);
	}
}

static void test_commit_limit(void)
{
	static const struct {
		uint64_t commit_limit, expected;
	} rows[] = {{0, 90}, {1, 1}, {89, 89}, {90, 90}, {91, 90}, {UINT64_MAX, 90}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct capacity_request request = {
			.total = 100, .host_reserve = 10, .commit_limit = rows[i].commit_limit};
		struct capacity capacity;

		CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &request, NULL, 0), 0);
		UNIT_ASSERT_ROW(capacity.host.limit == rows[i].expected, "row %zu: %llu", i,
			(unsigned long long)capacity.host.limit);
		CU_ASSERT_PTR_NULL(capacity_of_node(&capacity, 0));
		capacity_clear(&capacity);
	}
}

/* Each bears its share of the reserve; the shares make up for all of it. */
static void test_nodes(void)
{
	static const struct capacity_request request = {.total = 400, .host_reserve = 41};
	static const struct capacity_node nodes[] = {
		{.number = 0, .total = 100}, {.number = 2, .total = 300}, {.number = 3}};
	struct capacity capacity;

	CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &request, nodes, 3), 0);
	CU_ASSERT_EQUAL(capacity.host.limit, 359);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 0)->limit, 89);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 2)->limit, 269);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 3)->limit, 0);
	CU_ASSERT_PTR_NULL(capacity_of_node(&capacity, 1));
	CU_ASSERT_STRING_EQUAL(capacity_of_node(&capacity, 0)->scope, "node");
	CU_ASSERT_PTR_NULL(capacity_of_node(&capacity, 0)->within);
	capacity_clear(&capacity);
	capacity_clear(&capacity);
}

/* What is committed stays so, and nothing more is where it is more than the new limit. */
static void test_change(void)
{
	static const struct capacity_request before = {.total = 400, .host_reserve = 40},
					     more = {.total = 800, .host_reserve = 80},
					     less = {.total = 200, .host_reserve = 20};
	static const struct capacity_node nodes[] = {{.number = 0, .total = 200},
		{.number = 1, .total = 200}},
					  grown[] = {{.number = 1, .total = 600},
						  {.number = 0, .total = 200},
						  {.number = 2, .total = 100}};
	struct capacity capacity;

	CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &before, nodes, 2), 0);
	CU_ASSERT_PTR_NULL(budget_charge(capacity_of_node(&capacity, 0), 180));
	CU_ASSERT_PTR_NULL(budget_charge(&capacity.host, 360));
	CU_ASSERT_PTR_NOT_NULL(budget_charge(&capacity.host, 1));
	capacity_change(&capacity, &more, grown, 3);
	CU_ASSERT_EQUAL(capacity.host.limit, 720);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 1)->limit, 546);
	CU_ASSERT_PTR_NULL(budget_charge(&capacity.host, 360));
	capacity_change(&capacity, &less, nodes, 1);
	CU_ASSERT_EQUAL(capacity.host.limit, 180);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 1)->limit, 0);
	CU_ASSERT_EQUAL(capacity.host.committed, 720);
	CU_ASSERT_PTR_NOT_NULL(budget_charge(&capacity.host, 1));
	budget_give_back(&capacity.host, 540);
	CU_ASSERT_PTR_NOT_NULL(budget_charge(&capacity.host, 1));
	budget_give_back(capacity_of_node(&capacity, 0), 180);
	CU_ASSERT_PTR_NOT_NULL(budget_charge(&capacity.host, 1));
	budget_give_back(&capacity.host, 1);
	CU_ASSERT_PTR_NULL(budget_charge(&capacity.host, 1));
	capacity_clear(&capacity);
}

/* VMs' budgets are within those that were there before. */
static void test_later_nodes(void)
{
	static const struct capacity_request before = {.total = 200, .host_reserve = 20},
					     after = {.total = 400, .host_reserve = 40};
	static const struct capacity_node all[] = {{.number = 5, .total = 100},
		{.number = 1, .total = 200}, {.number = 0, .total = 100}};
	struct capacity capacity;
	struct budget *node;

	CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &before, &all[1], 1), 0);
	node = capacity_of_node(&capacity, 1);
	CU_ASSERT_PTR_NULL(capacity_of_node(&capacity, 5));
	CU_ASSERT_EQUAL(capacity_change(&capacity, &after, all, 3), 0);
	CU_ASSERT_EQUAL_FATAL(capacity.n_nodes, 3);
	CU_ASSERT_PTR_EQUAL(capacity_of_node(&capacity, 1), node);
	CU_ASSERT_EQUAL(node->limit, 180);
	node = capacity_of_node(&capacity, 5);
	CU_ASSERT_PTR_NOT_NULL_FATAL(node);
	CU_ASSERT_EQUAL(node->limit, 90);
	CU_ASSERT_PTR_EQUAL(budget_charge(node, 91), node);
	CU_ASSERT_PTR_NULL(budget_charge(node, 90));
	CU_ASSERT_EQUAL(capacity.host.committed, 0);
	CU_ASSERT_EQUAL(capacity_change(&capacity, &after, &all[1], 2), 0);
	CU_ASSERT_EQUAL(capacity_change(&capacity, &after, all, 3), 0);
	CU_ASSERT_EQUAL(capacity.n_nodes, 3);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 5)->committed, 90);
	budget_give_back(node, 90);
	capacity_clear(&capacity);
}

static void test_nodes_without_memory(void)
{
	static const struct capacity_request request = {.total = 100, .host_reserve = 10};
	static const struct capacity_node nodes[] = {{.number = 0}, {.number = 1}};
	struct capacity capacity;

	CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &request, nodes, 2), 0);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 1)->limit, 0);
	capacity_clear(&capacity);
}

static void test_overcommit_of_nodes(void)
{
	static const struct capacity_request request = {
		.total = 200, .host_reserve = 20, .overcommit = 50};
	static const struct capacity_node nodes[] = {
		{.number = 0, .total = 100}, {.number = 1, .total = 100}};
	struct capacity capacity;

	CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &request, nodes, 2), 0);
	CU_ASSERT_EQUAL(capacity.host.limit, 270);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 0)->limit, 135);
	capacity_clear(&capacity);
}

/* A promise that the host could keep is refused by a node that can't, and counts there alone. */
static void test_admission(void)
{
	static const struct capacity_request request = {.total = 200};
	static const struct capacity_node nodes[] = {
		{.number = 0, .total = 100}, {.number = 1, .total = 100}};
	struct budget bound = {.scope = "vm", .limit = 60}, same = bound, other = bound,
		      free = bound;
	struct capacity capacity;

	CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &request, nodes, 2), 0);
	bound.within = same.within = capacity_of_node(&capacity, 0);
	other.within = capacity_of_node(&capacity, 1);
	free.within = &capacity.host;
	CU_ASSERT_PTR_NULL(budget_promise(&bound));
	CU_ASSERT_PTR_EQUAL(budget_promise(&same), same.within);
	CU_ASSERT_PTR_NULL(budget_promise(&other));
	CU_ASSERT_PTR_NULL(budget_promise(&free));
	CU_ASSERT_EQUAL(capacity.host.committed, 60);
	budget_end_promise(&free);
	free.limit = 201;
	CU_ASSERT_PTR_EQUAL(budget_promise(&free), &capacity.host);
	budget_end_promise(&bound);
	CU_ASSERT_PTR_NULL(budget_promise(&same));
	budget_end_promise(&same);
	budget_end_promise(&other);
	CU_ASSERT_EQUAL(capacity.host.committed, 0);
	capacity_clear(&capacity);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a host whose memory changes", test_change},
		{"nodes that come later", test_later_nodes},
		{"reserve and overcommit", test_of},
		{"the commit limit", test_commit_limit},
		{"nodes", test_nodes},
		{"nodes without memory", test_nodes_without_memory},
		{"overcommit of nodes", test_overcommit_of_nodes},
		{"admission", test_admission},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "capacity", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
