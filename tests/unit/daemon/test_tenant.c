/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tenants: which one a VM is of that gmemd has lost.
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

int main(void)
{
	CU_TestInfo tests[] = {
		{"of a lost VM, among tenants", test_lost_among_tenants},
		{"of a lost VM, where users are tenants", test_lost_among_users},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "tenant",
					 .pSetUpFunc = set_up,
					 .pTearDownFunc = tear_down,
					 .pTests = tests},
		CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
