/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tenants: what is theirs of NUMA nodes, and which one a VM is of that gmemd has lost.
 */
#include "daemon/tenant/tenant.h"

#include <errno.h>
#include <string.h>

#include "daemon/tenant/tenant_rules.h"
#include "tests/lib/unit.h"

#define UID 1000

static struct config config;
static struct config_faults faults;

static struct config_tenant *add_tenant(const char *section)
{
	static const struct config_origin origin = {.line = 1};
	struct config_tenant *tenant =
		config_tenants_section(&config.tenants, section, &origin, &faults);

	CU_ASSERT_PTR_NOT_NULL_FATAL(tenant);
	return tenant;
}

static void check_config(void)
{
	config_tenants_check(&config, &faults);
	CU_ASSERT_EQUAL_FATAL(faults.count, 0);
}

static void set_up(void)
{
	config = (struct config){.others = OTHERS_DEFAULT};
	faults = (struct config_faults){.count = 0};
}

static void tear_down(void)
{
	config_tenants_clear(&config.tenants);
}

struct lost_row {
	const char *noted, *of_peer, *expected; /* NULL: it is refused */
};

static void check_lost(const struct lost_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct lost_vm_tenant vm = {
			.uid = UID, .noted = rows[i].noted, .of_peer = rows[i].of_peer};
		const char *expected = rows[i].expected ? rows[i].expected : rows[i].noted;
		char found[TENANT_NAME_SIZE];
		int r = tenant_of_lost_vm(&config, &vm, found);

		UNIT_ASSERT_ROW(
			r == (rows[i].expected ? 0 : -EACCES) && strcmp(found, expected) == 0,
			"row %zu: %d, \"%s\"", i, r, found);
	}
}

/* What is noted counts, not what its peer is of by now; what nobody knows any more is refused. */
static void test_lost_among_tenants(void)
{
	static const struct lost_row rows[] = {{"gold", "gold", "gold"},
		{"silver", "gold", "silver"}, {"lead", "gold", NULL}, {"uid:1000", "gold", "gold"},
		{"uid:7", "gold", "gold"}, {NULL, "gold", "gold"}, {"gold", "default", "gold"}};

	add_tenant("tenant gold");
	add_tenant("tenant silver");
	check_config();
	check_lost(rows, sizeof rows / sizeof *rows);
}

static void test_lost_among_users(void)
{
	static const struct lost_row rows[] = {
		{"gold", "", ""}, {"uid:1000", "", ""}, {"uid:7", "", "uid:7"}, {NULL, "", ""}};

	check_config();
	check_lost(rows, sizeof rows / sizeof *rows);
}

/* By nodes */

#define HOST_BYTES 400
#define NODE_BYTES 100

static struct capacity capacity;
static struct tenants tenants;

static void set_up_nodes(void)
{
	static const struct capacity_request request = {.total = HOST_BYTES};
	static const struct capacity_node nodes[] = {
		{.number = 0, .total = NODE_BYTES}, {.number = 7, .total = NODE_BYTES}};

	set_up();
	CU_ASSERT_EQUAL_FATAL(capacity_init(&capacity, &request, nodes, 2), 0);
	tenants_init(&tenants, &config, &capacity);
}

static void tear_down_nodes(void)
{
	tenants_clear(&tenants);
	CU_ASSERT_TRUE(RB_EMPTY(&tenants.all));
	CU_ASSERT_EQUAL(capacity.host.committed, 0);
	for (size_t i = 0; i < capacity.n_nodes; i++)
		CU_ASSERT_EQUAL(capacity.nodes[i]->budget.committed, 0);
	capacity_clear(&capacity);
	tear_down();
}

/* As a file has it, where this host had such nodes. */
static void reserve(struct config_tenant *tenant, uint64_t bytes, const char *by_node)
{
	tenant->reserve = (struct config_amount){bytes, /* percent= */ false};
	CU_ASSERT_TRUE_FATAL(
		config_list_add(&tenant->node_reserve, CONFIG_LIST_NODE_BYTES, by_node));
}

static int configure(struct tenants_refused *ret_refused)
{
	return tenants_configure(&tenants, &config, HOST_BYTES, ret_refused);
}

static struct budget *of_node(const char *tenant, unsigned node)
{
	struct budget *budget = NULL;

	CU_ASSERT_EQUAL_FATAL(tenant_of_node(tenants_find(&tenants, tenant), node, &budget), 0);
	return budget;
}

static void test_node_reserve(void)
{
	struct tenants_refused refused;
	struct budget *gold, *silver;

	add_tenant("tenant gold");
	add_tenant("tenant silver");
	check_config();
	reserve(config.tenants.all[0], 120, "7:60");
	CU_ASSERT_EQUAL_FATAL(configure(&refused), 0);
	gold = of_node("gold", 7);
	silver = of_node("silver", 7);
	CU_ASSERT_EQUAL(tenant_node_reserves(tenants_find(&tenants, "gold")), 60);
	CU_ASSERT_EQUAL(tenant_node_left(tenants_find(&tenants, "gold"), 7), 60);
	CU_ASSERT_PTR_NULL(budget_charge(silver, 40));
	CU_ASSERT_STRING_EQUAL(budget_charge(silver, 1)->scope, "node");
	CU_ASSERT_PTR_NULL(budget_charge(gold, 60));
	CU_ASSERT_STRING_EQUAL(budget_charge(gold, 1)->scope, "node");
	CU_ASSERT_PTR_NULL(budget_charge(of_node("silver", 0), 100));
	budget_give_back(of_node("silver", 0), 100);
	budget_give_back(silver, 40);
	CU_ASSERT_PTR_NULL(budget_charge(gold, 40));
	budget_give_back(gold, 100);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 7)->committed, 60);
	CU_ASSERT_PTR_NULL(tenants_find(&tenants, "lead"));
}

/* What others have of a node is not taken from them; a configuration that would is not taken. */
static void test_node_reserve_refused(void)
{
	struct tenants_refused refused = {.tenant = NULL};

	add_tenant("tenant gold");
	add_tenant("tenant silver");
	check_config();
	CU_ASSERT_EQUAL_FATAL(configure(&refused), 0);
	CU_ASSERT_PTR_NULL(budget_charge(of_node("silver", 0), 41));
	reserve(config.tenants.all[0], 120, "0:60");
	CU_ASSERT_EQUAL(configure(&refused), -ENOSPC);
	CU_ASSERT_PTR_EQUAL(refused.tenant, config.tenants.all[0]);
	CU_ASSERT_EQUAL(refused.node, 0);
	CU_ASSERT_EQUAL(tenants_find(&tenants, "gold")->budget.reserve, 0);
	budget_give_back(of_node("silver", 0), 1);
	CU_ASSERT_EQUAL(configure(&refused), 0);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 0)->committed, 100);
	/* What a tenant has already is a part of its reserve. */
	reserve(config.tenants.all[1], 120, "0:40");
	CU_ASSERT_EQUAL(configure(&refused), 0);
	config_list_clear(&config.tenants.all[0]->node_reserve);
	config_list_clear(&config.tenants.all[1]->node_reserve);
	CU_ASSERT_EQUAL(configure(&refused), 0);
	CU_ASSERT_EQUAL(capacity_of_node(&capacity, 0)->committed, 40);
	budget_give_back(of_node("silver", 0), 40);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"of a lost VM, among tenants", test_lost_among_tenants},
		{"of a lost VM, where users are tenants", test_lost_among_users},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo node_tests[] = {
		{"a reserve by nodes", test_node_reserve},
		{"one that can't be had", test_node_reserve_refused},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "tenant, nodes",
					 .pSetUpFunc = set_up_nodes,
					 .pTearDownFunc = tear_down_nodes,
					 .pTests = node_tests},
		{.pName = "tenant",
			.pSetUpFunc = set_up,
			.pTearDownFunc = tear_down,
			.pTests = tests},
		CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
