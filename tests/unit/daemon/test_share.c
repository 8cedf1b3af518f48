/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shares: nobody is served twice while another waits, and nothing is lost, on random trees beside a
 * plain model.
 */
#include "daemon/owner/share.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

#define USERS  5
#define UNITS  3 /* of a user */
#define LEAVES 3 /* of a unit */
#define WORKS  200
#define STEPS  200000

#define N_UNITS  (USERS * UNITS)
#define N_LEAVES (N_UNITS * LEAVES)

static struct share_node root, users[USERS], units[N_UNITS], leaves[N_LEAVES];
static struct share_work works[WORKS];

static void set_up_tree(void)
{
	share_init(&root, NULL);
	for (int i = 0; i < USERS; i++)
		share_init(&users[i], &root);
	for (int i = 0; i < N_UNITS; i++)
		share_init(&units[i], &users[i / UNITS]);
	for (int i = 0; i < N_LEAVES; i++)
		share_init(&leaves[i], &units[i / LEAVES]);
	memset(works, 0, sizeof works);
}

/* The model: each leaf's works by the order that they are due in, and for each node how often each
 * of its children was served since the child began to wait. */
struct model {
	int queue[N_LEAVES][WORKS];
	int length[N_LEAVES];
};

static struct model model;

static int leaf_of(int work)
{
	return works[work].leaf ? (int)(works[work].leaf - leaves) : -1;
}

static int waiting_in(const struct share_node *node)
{
	int waiting = 0;

	for (int i = 0; i < N_LEAVES; i++) {
		const struct share_node *of = &leaves[i];

		while (of && of != node)
			of = of->parent;
		if (of)
			waiting += model.length[i];
	}
	return waiting;
}

static void model_add(int leaf, int work, bool first)
{
	int *queue = model.queue[leaf], *length = &model.length[leaf];

	if (first)
		memmove(queue + 1, queue, (size_t)*length * sizeof *queue);
	queue[first ? 0 : *length] = work;
	(*length)++;
}

static void model_remove(int leaf, int work)
{
	int *queue = model.queue[leaf], *length = &model.length[leaf];
	int at = 0;

	while (queue[at] != work)
		at++;
	(*length)--;
	memmove(queue + at, queue + at + 1, (size_t)(*length - at) * sizeof *queue);
}

/* How often a sibling was served while it has waited, for each pair; reset when it is served or
 * stops waiting. */
static unsigned passed_users[USERS][USERS], passed_units[N_UNITS][UNITS],
	passed_leaves[N_LEAVES][LEAVES];

/* One level of a turn: child is served. */
static void note_served(
	struct share_node *children, int count, int child, unsigned *passed, const char *what)
{
	for (int i = 0; i < count; i++) {
		unsigned *by = &passed[i * count];

		if (i == child || waiting_in(&children[i]) == 0) {
			memset(by, 0, (size_t)count * sizeof *by);
			continue;
		}
		by[child]++;
		UNIT_ASSERT_ROW(
			by[child] == 1, "%s %d was served twice while %d waited", what, child, i);
	}
}

static void note_turn(int leaf)
{
	int unit = leaf / LEAVES, user = unit / UNITS;

	note_served(users, USERS, user, &passed_users[0][0], "user");
	note_served(
		&units[user * UNITS], UNITS, unit % UNITS, &passed_units[user * UNITS][0], "unit");
	note_served(&leaves[unit * LEAVES], LEAVES, leaf % LEAVES, &passed_leaves[unit * LEAVES][0],
		"leaf");
}

/* Who waits for nothing begins anew. */
static void note_idle(int leaf)
{
	int unit = leaf / LEAVES, user = unit / UNITS;

	if (model.length[leaf] == 0)
		memset(passed_leaves[leaf], 0, sizeof passed_leaves[leaf]);
	if (waiting_in(&units[unit]) == 0)
		memset(passed_units[unit], 0, sizeof passed_units[unit]);
	if (waiting_in(&users[user]) == 0)
		memset(passed_users[user], 0, sizeof passed_users[user]);
}

static void add_or_remove(int work)
{
	int leaf = leaf_of(work);
	bool first = rand() % 4 == 0;

	if (leaf >= 0) {
		share_remove(&works[work]);
		model_remove(leaf, work);
		note_idle(leaf);
		return;
	}
	leaf = rand() % 3 == 0 ? rand() % N_LEAVES : rand() % LEAVES; /* one unit has most */
	if (first)
		share_add_first(&leaves[leaf], &works[work]);
	else
		share_add(&leaves[leaf], &works[work]);
	model_add(leaf, work, first);
}

static void take_turn(void)
{
	struct share_node *leaf = share_take_turn(&root);
	int number, count = rand() % 3;

	CU_ASSERT_EQUAL(leaf == NULL, waiting_in(&root) == 0);
	if (!leaf)
		return;
	number = (int)(leaf - leaves);
	CU_ASSERT_TRUE_FATAL(model.length[number] > 0);
	note_turn(number);
	for (int i = 0; i < count && model.length[number] > 0; i++) {
		struct share_work *work = share_take_work(leaf);

		CU_ASSERT_PTR_EQUAL(work, &works[model.queue[number][0]]);
		CU_ASSERT_PTR_NULL(work->leaf);
		model_remove(number, model.queue[number][0]);
	}
	note_idle(number);
}

static void test_random(void)
{
	set_up_tree();
	srand(20);
	for (int step = 0; step < STEPS; step++) {
		/* Now and then nearly nothing waits. */
		if (step / 1000 % 3 == 0 ? rand() % 4 == 0 : rand() % 2)
			add_or_remove(rand() % WORKS);
		else
			take_turn();
		CU_ASSERT_EQUAL(share_waits(&root), waiting_in(&root) > 0);
	}
	while (share_waits(&root))
		take_turn();
	for (int i = 0; i < WORKS; i++)
		CU_ASSERT_PTR_NULL(works[i].leaf);
}

/* However much one has, another's first comes next. */
static void test_newcomer(void)
{
	set_up_tree();
	for (int i = 0; i < 100; i++)
		share_add(&leaves[0], &works[i]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[0]);
	CU_ASSERT_PTR_EQUAL(share_take_work(&leaves[0]), &works[0]);
	share_add(&leaves[UNITS * LEAVES], &works[100]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[UNITS * LEAVES]);
	CU_ASSERT_PTR_EQUAL(share_take_work(&leaves[UNITS * LEAVES]), &works[100]);
	/* But not with its next before the first one has had its turn. */
	share_add(&leaves[UNITS * LEAVES], &works[100]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[0]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[UNITS * LEAVES]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[0]);
}

/* A user's turns are shared by its units, one unit's by its leaves. */
static void test_levels(void)
{
	unsigned served[N_LEAVES] = {0};
	const int last = N_LEAVES - 1;

	set_up_tree();
	for (int i = 0; i < LEAVES; i++) /* the first user's first unit */
		share_add(&leaves[i], &works[i]);
	share_add(&leaves[LEAVES], &works[10]); /* its second unit */
	share_add(&leaves[last], &works[11]);   /* another user */
	for (int i = 0; i < 1200; i++)
		served[share_take_turn(&root) - leaves]++;
	CU_ASSERT_EQUAL(served[last], 600);
	CU_ASSERT_EQUAL(served[LEAVES], 300);
	for (int i = 0; i < LEAVES; i++)
		CU_ASSERT_EQUAL(served[i], 100);
}

/* No more of a node's leaves are served at once than may be, and the others go on. */
static void test_held(void)
{
	set_up_tree();
	users[0].held_max = 2;
	for (int i = 0; i < LEAVES; i++) {
		share_add(&leaves[i], &works[i]);
		leaves[i].held_max = 1;
	}
	share_add(&leaves[N_LEAVES - 1], &works[10]); /* another user */
	for (int i = 0; i < 2; i++) {
		share_hold(&leaves[i]);
		share_add(&leaves[i], &works[20 + i]);
	}
	for (int i = 0; i < 10; i++)
		CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[N_LEAVES - 1]);
	share_let_go(&leaves[0]);
	share_remove(&works[10]);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[i % 2 ? 0 : 2]);
	share_remove(&works[0]);
	share_remove(&works[2]);
	share_remove(&works[20]);
	CU_ASSERT_FALSE(share_waits(&root)); /* what is left is held */
	share_let_go(&leaves[1]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[1]);
	CU_ASSERT_EQUAL(users[0].held + units[0].held + leaves[1].held, 0);
}

static struct share_node roots[3], of_class[3];
static struct share_class all[3];
static struct share_classes classes = {.classes = all, .count = 3};

static void set_up_classes(void)
{
	static const unsigned weights[] = {16, 8, 1};

	classes.clock = 0;
	memset(works, 0, sizeof works);
	for (int i = 0; i < 3; i++) {
		share_init(&roots[i], NULL);
		share_init(&of_class[i], &roots[i]);
		all[i] = (struct share_class){.root = &roots[i], .weight = weights[i]};
	}
}

static void spend(unsigned turns, unsigned times[3])
{
	memset(times, 0, 3 * sizeof *times);
	while (turns-- > 0) {
		struct share_class *class = share_class_next(&classes);

		CU_ASSERT_PTR_NOT_NULL_FATAL(class);
		times[class - all]++;
		share_class_spend(class, 1000);
	}
}

/* With what waits in it and holds it: it comes last, and those above it are as if it had always
 * been there. */
static void test_moved(void)
{
	set_up_tree();
	users[0].held_max = 1;
	share_add(&leaves[0], &works[0]);
	share_add(&leaves[1], &works[1]);
	share_add(&leaves[LEAVES * UNITS], &works[2]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[0]);
	CU_ASSERT_PTR_EQUAL(share_take_work(&leaves[0]), &works[0]);
	share_hold(&leaves[0]);
	CU_ASSERT_FALSE(users[0].listed);
	share_move(&leaves[0], &units[UNITS]);
	CU_ASSERT_TRUE(users[0].listed && users[0].held == 0 && users[1].held == 1);
	CU_ASSERT_EQUAL(root.held, 1);
	share_move(&leaves[1], &units[UNITS]);
	CU_ASSERT_FALSE(users[0].listed || share_waits(&users[0]));
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[LEAVES * UNITS]);
	CU_ASSERT_PTR_EQUAL(share_take_turn(&root), &leaves[1]);
	share_let_go(&leaves[0]);
	share_remove(&works[1]);
	share_remove(&works[2]);
	CU_ASSERT_FALSE(share_waits(&root) || root.held > 0);
}

static void test_weights(void)
{
	unsigned times[3];

	set_up_classes();
	CU_ASSERT_PTR_NULL(share_class_next(&classes));
	for (int i = 0; i < 3; i++)
		share_add(&of_class[i], &works[i]);
	spend(2500, times);
	CU_ASSERT_TRUE(times[0] >= 1599 && times[0] <= 1601);
	CU_ASSERT_TRUE(times[1] >= 799 && times[1] <= 801);
	CU_ASSERT_TRUE(times[2] >= 99 && times[2] <= 101);
	/* Alone, each has all of it. */
	share_remove(&works[0]);
	share_remove(&works[1]);
	spend(10, times);
	CU_ASSERT_EQUAL(times[2], 10);
}

/* Who comes after a long time comes next, and has no more than its part from then on. */
static void test_no_credit(void)
{
	unsigned times[3];

	set_up_classes();
	share_add(&of_class[2], &works[2]);
	spend(100000, times);
	share_add(&of_class[0], &works[0]);
	CU_ASSERT_PTR_EQUAL(share_class_next(&classes), &all[0]);
	spend(1700, times);
	CU_ASSERT_TRUE(times[2] >= 99 && times[2] <= 101);
	/* Nor is there any where nothing was waiting. */
	share_remove(&works[0]);
	share_remove(&works[2]);
	CU_ASSERT_PTR_NULL(share_class_next(&classes));
	share_add(&of_class[1], &works[1]);
	share_add(&of_class[2], &works[2]);
	spend(900, times);
	CU_ASSERT_TRUE(times[2] >= 99 && times[2] <= 101);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a newcomer", test_newcomer},
		{"levels", test_levels},
		{"held", test_held},
		{"moved", test_moved},
		{"random, beside a model", test_random},
		{"classes by weight", test_weights},
		{"classes without credit", test_no_credit},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "shares", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
