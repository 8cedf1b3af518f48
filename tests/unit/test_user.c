/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users: what each may hold, counted for each uid and each resource alone.
 */
#include "daemon/user.h"

#include <errno.h>

#include "tests/lib/unit.h"

#define UID 1000

static struct users *new_users(void)
{
	static const struct config config = {
		.peers_per_user = 2, .vms_per_user = 1, .memories_per_user = 0};
	struct users *users = NULL;

	CU_ASSERT_EQUAL_FATAL(users_new(&config, &users), 0);
	return users;
}

static void test_limits(void)
{
	struct users *users = new_users();
	struct user *first, *second, *vm, *none = NULL;

	CU_ASSERT_EQUAL(user_charge(users, UID, USER_PEERS, &first), 0);
	CU_ASSERT_EQUAL(user_charge(users, UID, USER_PEERS, &second), 0);
	CU_ASSERT_PTR_EQUAL(first, second);
	CU_ASSERT_EQUAL(user_uid(first), UID);
	CU_ASSERT_EQUAL(user_charge(users, UID, USER_PEERS, &none), -EDQUOT);
	CU_ASSERT_PTR_NULL(none);
	CU_ASSERT_EQUAL(user_charge(users, UID, USER_VMS, &vm), 0);
	CU_ASSERT_EQUAL(user_charge(users, UID, USER_VMS, &none), -EDQUOT);
	CU_ASSERT_PTR_NULL(user_give_back(first, USER_PEERS));
	CU_ASSERT_EQUAL(user_charge(users, UID, USER_PEERS, &first), 0);
	user_give_back(vm, USER_VMS);
	user_give_back(first, USER_PEERS);
	user_give_back(second, USER_PEERS);
	CU_ASSERT_PTR_NULL(users_free(users));
}

static void test_users_apart(void)
{
	struct users *users = new_users();
	struct user *vms[3], *none;
	const uid_t uids[] = {0, UID, UINT32_MAX};

	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(user_charge(users, uids[i], USER_VMS, &vms[i]), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(user_charge(users, uids[i], USER_VMS, &none), -EDQUOT);
		CU_ASSERT_EQUAL(user_uid(vms[i]), uids[i]);
	}
	for (int i = 0; i < 3; i++)
		user_give_back(vms[i], USER_VMS);
	users_free(users);
}

/* A refusal leaves no user behind: users_free() would not have one. */
static void test_refused_leaves_none(void)
{
	struct users *users = new_users();
	struct user *none = NULL;

	CU_ASSERT_EQUAL(user_charge(users, UID, USER_MEMORIES, &none), -EDQUOT);
	CU_ASSERT_PTR_NULL(none);
	CU_ASSERT_PTR_NULL(users_free(users));
	CU_ASSERT_PTR_NULL(users_free(NULL));
	CU_ASSERT_PTR_NULL(user_give_back(NULL, USER_VMS));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"limits", test_limits},
		{"each uid alone", test_users_apart},
		{"a refusal leaves none", test_refused_leaves_none},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "users", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
