/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scheduler, in a real event loop: work runs once and in its order, and however much one owner
 * has, others' events are seen and their work is done. Its clock goes on only while work runs, so
 * that on a busy machine a turn has as many works as on an idle one.
 */
#include "daemon/owner/scheduler.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

/* What a work takes, in microseconds, and so how many of them there are in a turn. */
#define WORK_TIME     20
#define WORKS_IN_TURN (100 / WORK_TIME)

#define MANY   300
#define ROUNDS 200

struct one {
	struct work work;
	unsigned runs;
	bool endless;
};

static const struct config config;
static struct event_base *base;
static struct owners *owners;
static struct scheduler *scheduler;
static unsigned n_runs;
static long microseconds; /* that all works so far have taken */
static struct one many[MANY], others[4];
static struct one *order[16];

static struct owner *get(enum owner_kind kind, uid_t uid, uint64_t vm)
{
	struct owner_name name = {.kind = kind, .uid = uid, .vm = vm};
	struct owner *owner = NULL;

	CU_ASSERT_EQUAL_FATAL(owner_get(owners, &name, &owner), 0);
	return owner;
}

/* In the place of the scheduler's clock_gettime(). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	(void)clock;
	*ret_time = (struct timespec){
		.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000};
	return 0;
}

static void run(struct work *work)
{
	struct one *one = (struct one *)work;

	CU_ASSERT_FALSE(scheduler_has(work));
	if (n_runs < sizeof order / sizeof *order)
		order[n_runs] = one;
	n_runs++;
	one->runs++;
	microseconds += WORK_TIME;
	if (one->endless)
		scheduler_ready(scheduler, work);
}

static void make(struct one *one, struct owner *owner)
{
	*one = (struct one){.work = {.owner = owner, .run = run}};
}

/* One owner that has always work; its reference is the caller's. */
static struct owner *flood(uid_t uid)
{
	struct owner *owner = get(OWNER_IS_USER, uid, 0);

	for (int i = 0; i < MANY; i++) {
		make(&many[i], owner);
		many[i].endless = true;
		scheduler_ready(scheduler, &many[i].work);
	}
	return owner;
}

static void stop_flood(struct owner *owner)
{
	for (int i = 0; i < MANY; i++)
		scheduler_forget(&many[i].work);
	owner_unref(owner);
}

static void set_up(void)
{
	base = event_base_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	CU_ASSERT_EQUAL_FATAL(event_base_priority_init(base, SCHEDULER_PRIORITIES), 0);
	CU_ASSERT_EQUAL_FATAL(owners_new(&config, &owners), 0);
	CU_ASSERT_EQUAL_FATAL(scheduler_new(base, owners, &scheduler), 0);
	n_runs = 0;
}

static void tear_down(void)
{
	scheduler = scheduler_free(scheduler);
	CU_ASSERT_FALSE(owners_any(owners));
	owners_free(owners);
	event_base_free(base);
}

static void loop_until_idle(void)
{
	while (event_base_loop(base, EVLOOP_NONBLOCK) == 0 &&
		event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE | EVENT_BASE_COUNT_ADDED) >
			0)
		continue;
}

static void test_once_and_in_order(void)
{
	struct owner *owner = get(OWNER_IS_USER, 1, 0);

	for (int i = 0; i < 4; i++) {
		make(&others[i], owner);
		scheduler_ready(scheduler, &others[i].work);
		scheduler_ready(scheduler, &others[i].work);
	}
	CU_ASSERT_TRUE(scheduler_has(&others[3].work));
	scheduler_forget(&others[1].work);
	scheduler_forget(&others[1].work);
	CU_ASSERT_FALSE(scheduler_has(&others[1].work));
	loop_until_idle();
	CU_ASSERT_EQUAL(n_runs, 3);
	CU_ASSERT_PTR_EQUAL(order[0], &others[0]);
	CU_ASSERT_PTR_EQUAL(order[1], &others[2]);
	CU_ASSERT_PTR_EQUAL(order[2], &others[3]);
	/* What was begun comes first. */
	scheduler_ready(scheduler, &others[0].work);
	scheduler_ready(scheduler, &others[1].work);
	scheduler_go_on(scheduler, &others[2].work);
	loop_until_idle();
	CU_ASSERT_EQUAL(n_runs, 6);
	CU_ASSERT_PTR_EQUAL(order[3], &others[2]);
	CU_ASSERT_PTR_EQUAL(order[4], &others[0]);
	owner_unref(owner);
}

static void stop_loop(struct work *work)
{
	run(work);
	event_base_loopbreak(base);
}

/* How many works run from when that one is ready until it has run. */
static unsigned works_before(struct one *one, bool release)
{
	unsigned before = n_runs;

	one->work.run = stop_loop;
	if (release)
		scheduler_ready_to_release(scheduler, &one->work);
	else
		scheduler_ready(scheduler, &one->work);
	event_base_dispatch(base);
	return n_runs - before - 1;
}

static void test_flood(void)
{
	unsigned of_flood[3] = {0};
	struct owner *hostile, *quiet = get(OWNER_IS_USER, 2, 0),
			       *operator= get(OWNER_IS_OPERATOR, 1, 0);

	hostile = flood(1);
	make(&others[0], quiet);
	make(&others[1], operator);
	make(&others[2], hostile);
	for (int i = 0; i < ROUNDS; i++) {
		of_flood[0] += works_before(&others[0], false);
		of_flood[1] += works_before(&others[1], false);
		of_flood[2] += works_before(&others[2], true);
	}
	for (int i = 0; i < 3; i++)
		UNIT_ASSERT_ROW(of_flood[i] <= 2 * WORKS_IN_TURN * ROUNDS,
			"%d came after %u of the flood", i, of_flood[i] / ROUNDS);
	CU_ASSERT_EQUAL(others[0].runs, ROUNDS);
	/* Nobody of the flood is left out. */
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_TRUE(many[i].runs > 0);
	stop_flood(hostile);
	owner_unref(quiet);
	owner_unref(operator);
}

/* Work of two users, of which one has much, is shared by turns and not by works. */
static void test_halves(void)
{
	struct owner *hostile = flood(1), *other = get(OWNER_IS_USER, 2, 0);
	unsigned of_flood = 0;

	make(&others[0], other);
	others[0].endless = true;
	scheduler_ready(scheduler, &others[0].work);
	while (others[0].runs < 300)
		event_base_loop(base, EVLOOP_ONCE);
	for (int i = 0; i < MANY; i++)
		of_flood += many[i].runs;
	CU_ASSERT_TRUE(of_flood <= 300 + 2 * WORKS_IN_TURN);
	scheduler_forget(&others[0].work);
	stop_flood(hostile);
	owner_unref(other);
}

static void readable(evutil_socket_t fd, short what, void *context)
{
	char byte;

	(void)what;
	CU_ASSERT_EQUAL(read(fd, &byte, 1), 1);
	*(unsigned *)context = n_runs;
	event_base_loopbreak(base);
}

/* New events are looked for though there is always work. */
static void test_events_are_seen(void)
{
	struct owner *hostile = flood(1);
	unsigned seen_after = 0;
	int pipe_fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
	for (int priority = 0; priority < SCHEDULER_PRIORITIES; priority++) {
		struct event *event = event_new(base, pipe_fds[0], EV_READ, readable, &seen_after);

		event_priority_set(event, priority);
		event_add(event, NULL);
		for (int i = 0; i < 5; i++)
			event_base_loop(base, EVLOOP_ONCE);
		n_runs = seen_after = 0;
		CU_ASSERT_EQUAL(write(pipe_fds[1], "x", 1), 1);
		event_base_dispatch(base);
		CU_ASSERT_TRUE(seen_after <= 2 * WORKS_IN_TURN);
		event_free(event);
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	stop_flood(hostile);
}

/* The last that there is of its owner. */
static void run_and_free(struct work *work)
{
	n_runs++;
	owner_unref(work->owner);
	free(work);
}

static void test_frees_itself(void)
{
	struct owner *owner = get(OWNER_IS_USER, 1, 7);
	struct work *work = malloc(sizeof *work);

	*work = (struct work){.owner = owner, .run = run_and_free};
	scheduler_ready(scheduler, work);
	loop_until_idle();
	CU_ASSERT_EQUAL(n_runs, 1);
}

static void run_until_over(struct work *work)
{
	struct one *one = (struct one *)work;

	do {
		one->runs++;
		microseconds += WORK_TIME;
	} while (!scheduler_turn_is_over(scheduler));
	if (one->endless)
		scheduler_go_on(scheduler, work);
}

/* What takes longer than a turn goes on in the next, and not before others. */
static void test_long_work(void)
{
	struct owner *one = get(OWNER_IS_USER, 1, 0), *two = get(OWNER_IS_USER, 2, 0);
	unsigned before;

	make(&others[0], one);
	others[0].work.run = run_until_over;
	others[0].endless = true;
	scheduler_ready(scheduler, &others[0].work);
	make(&others[1], two);
	for (int i = 0; i < 50; i++) {
		before = others[0].runs;
		works_before(&others[1], false);
		UNIT_ASSERT_ROW(others[0].runs - before <= 2 * WORKS_IN_TURN, "%d: %u", i,
			others[0].runs - before);
	}
	scheduler_forget(&others[0].work);
	owner_unref(one);
	owner_unref(two);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"once, and in order", test_once_and_in_order},
		{"beside a flood", test_flood},
		{"halves", test_halves},
		{"events are seen", test_events_are_seen},
		{"work that frees itself", test_frees_itself},
		{"long work", test_long_work},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "scheduler",
					 .pSetUpFunc = set_up,
					 .pTearDownFunc = tear_down,
					 .pTests = tests},
		CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
