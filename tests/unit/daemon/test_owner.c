/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners: found again by their names, charged at each level, gone when nothing is theirs.
 */
#include "daemon/owner/owner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/unit.h"

#define UID 1000

static struct config config;
static struct owners *owners;

static void set_up(void)
{
	config = (struct config){.peers_per_user = 8, .vms_per_user = 1, .memories_per_user = 0};
	CU_ASSERT_EQUAL_FATAL(owners_new(&config, &owners), 0);
}

static void tear_down(void)
{
	CU_ASSERT_FALSE(owners_any(owners));
	owners = owners_free(owners);
}

static struct owner *get(enum owner_kind kind, uid_t uid, const char *unit, uint64_t vm)
{
	struct owner_name name = {.kind = kind, .uid = uid, .vm = vm};
	struct owner *owner = NULL;

	owner_write_unit(name.unit, unit);
	CU_ASSERT_EQUAL_FATAL(owner_get(owners, &name, &owner), 0);
	return owner;
}

static struct owner *of_user(uid_t uid)
{
	return get(OWNER_IS_USER, uid, "", 0);
}

static void test_names(void)
{
	struct owner *all[] = {of_user(0), of_user(UID), get(OWNER_IS_USER, UID, "a.scope", 0),
		get(OWNER_IS_USER, UID, "b.scope", 0), get(OWNER_IS_USER, UID, "a.scope", 7),
		get(OWNER_IS_USER, UID, "a.scope", 8), get(OWNER_IS_USER, UID, "", 7),
		get(OWNER_IS_OPERATOR, 0, "", 0), get(OWNER_IS_OPERATOR, UID, "", 0),
		get(OWNER_IS_GMEMD, 0, "", 0)};
	const size_t count = sizeof all / sizeof *all;

	for (size_t i = 0; i < count; i++) {
		struct owner_name name = owner_name(all[i]);
		struct owner *again = NULL;

		CU_ASSERT_EQUAL(owner_get(owners, &name, &again), 0);
		for (size_t j = 0; j < count; j++)
			CU_ASSERT_EQUAL(again == all[j], i == j);
		owner_unref(again);
	}
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_PTR_NULL(owner_unref(all[i]));
	CU_ASSERT_PTR_NULL(owner_unref(NULL));
}

static void test_of_vm(void)
{
	struct owner *opener = get(OWNER_IS_USER, UID, "a.scope", 0), *vm, *same;
	struct owner_name name;

	CU_ASSERT_EQUAL_FATAL(owner_get_of_vm(opener, owner_uid(opener), 7, &vm), 0);
	name = owner_name(vm);
	CU_ASSERT_EQUAL(owner_uid(vm), UID);
	CU_ASSERT_STRING_EQUAL(name.unit, "a.scope");
	CU_ASSERT_EQUAL(name.vm, 7);
	/* One that has a VM opens none as that VM's. */
	CU_ASSERT_EQUAL_FATAL(owner_get_of_vm(vm, owner_uid(vm), 7, &same), 0);
	CU_ASSERT_PTR_EQUAL(same, vm);
	owner_unref(same);
	owner_unref(vm);
	owner_unref(opener);
}

/* Counted for each uid and each resource alone, and for all of a uid's owners together. */
static void test_limits(void)
{
	struct owner *one = of_user(UID), *vm = get(OWNER_IS_USER, UID, "", 7), *other = of_user(1);

	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(owner_charge(one, OWNER_PEERS), 0);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(owner_charge(vm, OWNER_PEERS), 0);
	CU_ASSERT_EQUAL(owner_holds(one, OWNER_PEERS), 5);
	CU_ASSERT_EQUAL(owner_charge(one, OWNER_PEERS), -EDQUOT);
	CU_ASSERT_EQUAL(owner_charge(vm, OWNER_PEERS), -EDQUOT);
	CU_ASSERT_EQUAL(owner_charge(other, OWNER_PEERS), 0);
	CU_ASSERT_EQUAL(owner_charge(vm, OWNER_VMS), 0);
	CU_ASSERT_EQUAL(owner_charge(one, OWNER_VMS), -EDQUOT);
	CU_ASSERT_EQUAL(owner_charge(one, OWNER_MEMORIES), -EDQUOT);
	owner_give_back(vm, OWNER_PEERS);
	CU_ASSERT_EQUAL(owner_charge(one, OWNER_PEERS), 0);
	CU_ASSERT_EQUAL(owner_charge(one, OWNER_PEERS), -EDQUOT);
	owners_lift_limits(owners, true);
	CU_ASSERT_EQUAL(owner_charge(one, OWNER_PEERS), 0);
	owners_lift_limits(owners, false);
	for (int i = 0; i < 7; i++)
		owner_give_back(one, OWNER_PEERS);
	owner_give_back(vm, OWNER_PEERS);
	owner_give_back(vm, OWNER_PEERS);
	owner_give_back(vm, OWNER_VMS);
	owner_give_back(other, OWNER_PEERS);
	CU_ASSERT_PTR_NULL(owner_give_back(NULL, OWNER_PEERS));
	owner_unref(one);
	owner_unref(vm);
	owner_unref(other);
}

static unsigned charge_all(struct owner *owner)
{
	unsigned count = 0;

	while (owner_charge(owner, OWNER_PEERS) == 0)
		count++;
	return count;
}

static void give_back_all(struct owner *owner)
{
	while (owner_holds(owner, OWNER_PEERS) > 0)
		owner_give_back(owner, OWNER_PEERS);
	owner_unref(owner);
}

/* However many units take what they get, the next has something. */
static void test_units_leave_room(void)
{
	struct owner *units[4], *none = of_user(UID);
	static const unsigned got[] = {32, 16, 8, 4};
	char name[32];

	config.peers_per_user = 64;
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "%d.scope", i);
		units[i] = get(OWNER_IS_USER, UID, name, 0);
		CU_ASSERT_EQUAL(charge_all(units[i]), got[i]);
	}
	CU_ASSERT_EQUAL(charge_all(none), 4);
	for (int i = 0; i < 4; i++)
		give_back_all(units[i]);
	give_back_all(none);
}

/* A unit's VMs are one unit together; where there is room for one, one has it. */
static void test_unit_is_one(void)
{
	struct owner *one = get(OWNER_IS_USER, UID, "a.scope", 1),
		     *two = get(OWNER_IS_USER, UID, "a.scope", 2);

	CU_ASSERT_EQUAL(charge_all(one), 4);
	CU_ASSERT_EQUAL(charge_all(two), 0);
	config.peers_per_user = 1;
	give_back_all(one);
	CU_ASSERT_EQUAL(charge_all(two), 1);
	give_back_all(two);
}

static void test_of_owner(void)
{
	struct owner *one = of_user(UID), *vm = get(OWNER_IS_USER, UID, "", 7);

	config.takers_per_owner = 4;
	for (struct owner *owner = one; owner; owner = owner == one ? vm : NULL) {
		for (int i = 0; i < 4; i++)
			CU_ASSERT_EQUAL(owner_charge(owner, OWNER_TAKERS), 0);
		CU_ASSERT_EQUAL(owner_charge(owner, OWNER_TAKERS), -EDQUOT);
	}
	CU_ASSERT_EQUAL(limit_value(&config, owner_limit(OWNER_TAKERS)), 4);
	for (int i = 0; i < 4; i++) {
		owner_give_back(one, OWNER_TAKERS);
		owner_give_back(vm, OWNER_TAKERS);
	}
	owner_unref(one);
	owner_unref(vm);
}

/* Of the host's, a user has at most half of what others have left, as a unit has of its user's. */
static void test_of_host(void)
{
	uint64_t limit = limit_value(&config, LIMIT_PEER_RECORDS);
	struct owner *one = of_user(1), *two = of_user(2),
		     *unit = get(OWNER_IS_USER, 3, "a.scope", 0);

	CU_ASSERT_EQUAL(owner_charge_many(one, OWNER_RECORDS, limit), -EDQUOT);
	CU_ASSERT_EQUAL(owner_charge_many(one, OWNER_RECORDS, limit / 2 + 1), -EDQUOT);
	CU_ASSERT_EQUAL(owner_charge_many(one, OWNER_RECORDS, UINT64_MAX), -EDQUOT);
	CU_ASSERT_EQUAL(owner_holds(one, OWNER_RECORDS), 0);
	CU_ASSERT_EQUAL(owner_charge_many(one, OWNER_RECORDS, limit / 2), 0);
	CU_ASSERT_EQUAL(owner_charge_many(two, OWNER_RECORDS, limit / 4 + 1), -EDQUOT);
	CU_ASSERT_EQUAL(owner_charge_many(two, OWNER_RECORDS, limit / 4), 0);
	CU_ASSERT_EQUAL(owner_charge_many(unit, OWNER_RECORDS, limit / 8 + 1), -EDQUOT);
	CU_ASSERT_EQUAL(owner_charge_many(unit, OWNER_RECORDS, limit / 8), 0);
	owner_give_back_many(one, OWNER_RECORDS, limit / 2);
	owner_give_back_many(two, OWNER_RECORDS, limit / 4);
	owner_give_back_many(unit, OWNER_RECORDS, limit / 8 - 1);
	owner_give_back_many(unit, OWNER_RECORDS, 0);
	owner_give_back(unit, OWNER_RECORDS);
	owner_unref(one);
	owner_unref(two);
	owner_unref(unit);
}

/* A charge is a reference, and is another's as a whole. */
static void test_hand_over(void)
{
	struct owner *one = of_user(UID), *vm = get(OWNER_IS_USER, UID, "a.scope", 7);

	CU_ASSERT_EQUAL(owner_charge(one, OWNER_PEERS), 0);
	owner_unref(one);
	CU_ASSERT_PTR_EQUAL(owner_hand_over(one, OWNER_PEERS, vm), vm);
	owner_unref(vm);
	CU_ASSERT_EQUAL(owner_holds(vm, OWNER_PEERS), 1);
	one = of_user(UID); /* anew */
	CU_ASSERT_EQUAL(owner_holds(one, OWNER_PEERS), 0);
	owner_unref(one);
	owner_give_back(vm, OWNER_PEERS);
}

/* What its node's ancestors are: the work of one user's, of one unit's, of operators'. */
static void test_nodes(void)
{
	struct owner *one = get(OWNER_IS_USER, UID, "a.scope", 1),
		     *two = get(OWNER_IS_USER, UID, "a.scope", 2), *none = of_user(UID),
		     *operator= get(OWNER_IS_OPERATOR, UID, "", 0);

	for (unsigned tree = 0; tree < OWNER_TREES; tree++) {
		const struct share_node *unit = owner_node(one, tree)->parent;

		CU_ASSERT_PTR_EQUAL(owner_node(two, tree)->parent, unit);
		CU_ASSERT_PTR_NOT_EQUAL(owner_node(none, tree)->parent, unit);
		CU_ASSERT_PTR_EQUAL(owner_node(none, tree)->parent->parent, unit->parent);
		CU_ASSERT_PTR_EQUAL(unit->parent->parent, owners_root(owners, tree, false));
		CU_ASSERT_PTR_EQUAL(owner_node(operator, tree)->parent->parent->parent,
			owners_root(owners, tree, true));
	}
	owner_unref(one);
	owner_unref(two);
	owner_unref(none);
	owner_unref(operator);
}

static struct owner *of_tenant(const char *tenant, uid_t uid, const char *unit, uint64_t vm)
{
	struct owner_name name = {.uid = uid, .vm = vm};
	struct owner *owner = NULL;

	strcpy(name.tenant, tenant);
	strcpy(name.unit, unit);
	CU_ASSERT_EQUAL_FATAL(owner_get(owners, &name, &owner), 0);
	return owner;
}

static struct owner *place_of(struct owner *owner, const char *tenant)
{
	struct owner *place = NULL;

	CU_ASSERT_EQUAL_FATAL(owner_get_place(owner, tenant, &place), 0);
	return place;
}

/* All that it is charged is another tenant's, where there is room, and its work waits there. */
static void test_move(void)
{
	struct owner *vm = of_tenant("gold", UID, "a.scope", 7);
	struct owner *other = of_tenant("silver", UID, "b.scope", 8), *place, *same;
	struct share_work work = {.leaf = NULL};

	config.vms_per_user = 2;
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(owner_charge(vm, OWNER_PEERS), 0);
	for (int i = 0; i < 6; i++)
		owner_charge_anyway(other, OWNER_PEERS);
	share_add(owner_node(vm, OWNER_REQUESTS), &work);
	place = place_of(vm, "silver");
	CU_ASSERT_EQUAL(owner_move_refused(vm, place), LIMIT_PEERS_PER_USER);
	owner_give_back(other, OWNER_PEERS);
	CU_ASSERT_EQUAL(owner_move_refused(vm, place), LIMITS);
	owner_move(vm, place);
	same = of_tenant("silver", UID, "a.scope", 7);
	CU_ASSERT_PTR_EQUAL(same, vm);
	owner_unref(same);
	CU_ASSERT_EQUAL(owner_charge(other, OWNER_PEERS), -EDQUOT);
	CU_ASSERT_PTR_EQUAL(share_take_turn(owners_root(owners, OWNER_REQUESTS, false)),
		owner_node(vm, OWNER_REQUESTS));
	CU_ASSERT_PTR_EQUAL(share_take_work(owner_node(vm, OWNER_REQUESTS)), &work);
	owner_give_back_many(vm, OWNER_PEERS, 3);
	for (int i = 0; i < 5; i++)
		owner_give_back(other, OWNER_PEERS);
	owner_unref(other);
	owner_unref(vm);
}

static void test_long_units(void)
{
	char unit[300], one[OWNER_UNIT_BYTES_MAX + 1], other[OWNER_UNIT_BYTES_MAX + 1];

	memset(unit, 'u', sizeof unit);
	unit[OWNER_UNIT_BYTES_MAX] = '\0';
	owner_write_unit(one, unit);
	CU_ASSERT_STRING_EQUAL(one, unit);
	unit[OWNER_UNIT_BYTES_MAX] = 'u';
	unit[255] = '\0';
	owner_write_unit(one, unit);
	unit[254] = 'v';
	owner_write_unit(other, unit);
	CU_ASSERT_EQUAL(strlen(one), OWNER_UNIT_BYTES_MAX);
	CU_ASSERT_EQUAL(strlen(other), OWNER_UNIT_BYTES_MAX);
	CU_ASSERT_STRING_NOT_EQUAL(one, other);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"found by their names", test_names},
		{"of VMs", test_of_vm},
		{"limits of users", test_limits},
		{"units leave room", test_units_leave_room},
		{"a unit is one", test_unit_is_one},
		{"limits of owners", test_of_owner},
		{"limits of the host", test_of_host},
		{"handed over", test_hand_over},
		{"where they take turns", test_nodes},
		{"moved to another tenant", test_move},
		{"long names of units", test_long_units},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "owners",
					 .pSetUpFunc = set_up,
					 .pTearDownFunc = tear_down,
					 .pTests = tests},
		CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
