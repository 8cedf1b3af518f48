/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many entries a user can have in the journal.
 */
#include "daemon/report/audit_bound.h"

#include "tests/lib/unit.h"

#define SECOND UINT64_C(1000000)
#define BEGIN  (100 * SECOND)

static unsigned count_admitted(
	struct audit_bound *bound, uid_t uid, enum audit_kind kind, unsigned tries, uint64_t now)
{
	unsigned admitted = 0;

	for (unsigned i = 0; i < tries; i++)
		admitted += audit_bound_admits(bound, uid, kind, now);
	return admitted;
}

static void test_at_once_and_later(void)
{
	struct audit_bound bound = {.users[0].uid = 0};

	CU_ASSERT_EQUAL(count_admitted(&bound, 1000, AUDIT_REFUSALS, 100, BEGIN), 32);
	CU_ASSERT_EQUAL(count_admitted(&bound, 1000, AUDIT_REFUSALS, 100, BEGIN + SECOND), 1);
	CU_ASSERT_EQUAL(count_admitted(&bound, 1000, AUDIT_REFUSALS, 100, BEGIN + 11 * SECOND), 10);
	CU_ASSERT_EQUAL(
		count_admitted(&bound, 1000, AUDIT_REFUSALS, 100, BEGIN + 1000 * SECOND), 32);
}

static void test_kinds_and_users(void)
{
	struct audit_bound bound = {.users[0].uid = 0};

	count_admitted(&bound, 1000, AUDIT_REFUSALS, 100, BEGIN);
	CU_ASSERT_EQUAL(count_admitted(&bound, 1000, AUDIT_ACTS, 5000, BEGIN), 2048);
	CU_ASSERT_EQUAL(count_admitted(&bound, 1001, AUDIT_REFUSALS, 100, BEGIN), 32);
}

static void test_left_out(void)
{
	struct audit_bound bound = {.users[0].uid = 0};
	unsigned position = 0;
	uint32_t count;
	uid_t uid;

	CU_ASSERT_FALSE(audit_bound_take_left_out(&bound, &position, &uid, &count));
	count_admitted(&bound, 1000, AUDIT_REFUSALS, 100, BEGIN);
	count_admitted(&bound, 0, AUDIT_REFUSALS, 33, BEGIN);
	position = 0;
	CU_ASSERT_TRUE(audit_bound_take_left_out(&bound, &position, &uid, &count));
	CU_ASSERT_EQUAL(uid, 0);
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_TRUE(audit_bound_take_left_out(&bound, &position, &uid, &count));
	CU_ASSERT_EQUAL(uid, 1000);
	CU_ASSERT_EQUAL(count, 68);
	CU_ASSERT_FALSE(audit_bound_take_left_out(&bound, &position, &uid, &count));
	position = 0;
	CU_ASSERT_FALSE(audit_bound_take_left_out(&bound, &position, &uid, &count));
}

/* Those whose numbers are alike have one place: the next has it once the first is done with it. */
static void test_alike(void)
{
	struct audit_bound bound = {.users[0].uid = 0};
	unsigned position = 0;
	uint32_t count;
	uid_t uid;

	count_admitted(&bound, 1000, AUDIT_REFUSALS, 33, BEGIN);
	CU_ASSERT_EQUAL(count_admitted(&bound, 1000 + AUDIT_USERS, AUDIT_REFUSALS, 5, BEGIN), 0);
	audit_bound_take_left_out(&bound, &position, &uid, &count);
	CU_ASSERT_EQUAL(uid, 1000);
	CU_ASSERT_EQUAL(count, 6);
	CU_ASSERT_EQUAL(count_admitted(&bound, 1000 + AUDIT_USERS, AUDIT_REFUSALS, 100,
				BEGIN + 33 * SECOND),
		32);
	position = 0;
	audit_bound_take_left_out(&bound, &position, &uid, &count);
	CU_ASSERT_EQUAL(uid, 1000 + AUDIT_USERS);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"so many at once, and so many later", test_at_once_and_later},
		{"refusals and acts, and each user, by themselves", test_kinds_and_users},
		{"what was left out is told once", test_left_out},
		{"users whose numbers are alike", test_alike},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{"bound of entries", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
