/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takings, by the real gmemd-taker (TAKER is its path): what is taken, who does it, how many there
 * may be, and what comes of those that don't answer. One that is stopped by a signal doesn't.
 */
#include "daemon/peerfd/taker_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/helper_process.h"
#include "daemon/owner/owner.h"
#include "daemon/peerfd/taker_process.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "tests/lib/unit.h"

#define TAKERS_MAX 8
#define SIZE       4096

/* The standard files, its socket, and gmemd's pidfd. */
#define TAKER_OWN_FILES 5

/* Owners are told by numbers: a VM's, and so often this a unit's. */
#define UNIT 100

/* Above all that are in use. */
#define UNUSED_NUMBER 500

static struct event_base *base;
static struct owners *owners;
static struct takings *takings;
static struct config config;
static struct process self;
static int memory;

/* What has come of one. */
struct outcome {
	bool ended;
	int result;
	size_t n_fds;
	bool same_file;
	enum limit limit;
};

static void note_end(void *context, struct taking_result *result)
{
	struct outcome *outcome = context;
	struct file_identity file, expected;

	CU_ASSERT_FALSE(outcome->ended);
	*outcome = (struct outcome){.ended = true,
		.result = result->result,
		.n_fds = result->n_fds,
		.limit = result->limit};
	if (result->n_fds > 0)
		outcome->same_file = file_identity_of(result->fds[0], &file) == 0 &&
				     file_identity_of(memory, &expected) == 0 &&
				     file_identity_compare(&file, &expected) == 0;
	event_base_loopbreak(base);
}

static void start_with(uint64_t per_owner, uint64_t per_user, uint64_t on_host)
{
	base = event_base_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	config = (struct config){.takers_per_owner = per_owner,
		.takers_per_user = per_user,
		.takers_on_host = on_host};
	CU_ASSERT_EQUAL_FATAL(owners_new(&config, &owners), 0);
	CU_ASSERT_EQUAL_FATAL(takings_new(base, &config, getenv("TAKER"), &takings), 0);
	self = (struct process){.pid = getpid(),
		.uid = getuid(),
		.gid = getgid(),
		.pidfd = pidfd_open(getpid(), 0)};
	CU_ASSERT_TRUE_FATAL(self.pidfd >= 0);
	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("taking", SIZE, &memory), 0);
}

static void start(void)
{
	start_with(4, 64, 1024);
}

/* Takers end by themselves when nothing connects them any more. */
static void end(void)
{
	takings = takings_free(takings);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	CU_ASSERT_FALSE(owners_any(owners));
	owners = owners_free(owners);
	event_base_free(base);
	process_release(&self);
	memory = fd_close(memory);
}

static struct owner *get_owner(uint64_t number)
{
	struct owner_name name = {.uid = getuid(), .vm = number % UNIT};
	struct owner *owner = NULL;

	if (number >= UNIT)
		snprintf(name.unit, sizeof name.unit, "%u.scope", (unsigned)(number / UNIT));
	CU_ASSERT_EQUAL_FATAL(owner_get(owners, &name, &owner), 0);
	return owner;
}

static struct taking *start_taking(
	struct taking_request *request, uint64_t number, struct outcome *outcome)
{
	struct taking *taking = NULL;

	*outcome = (struct outcome){.ended = false};
	request->process = &self;
	request->owner = get_owner(number);
	CU_ASSERT_EQUAL(taking_start(takings, request, note_end, outcome, &taking), 0);
	CU_ASSERT_FALSE(outcome->ended);
	owner_unref(request->owner);
	return taking;
}

static struct taking *take(
	uint64_t owner, int number, enum taker_kind kind, struct outcome *outcome)
{
	struct taking_request request = {.n_files = 1, .files = {{number, kind, 0}}};

	return start_taking(&request, owner, outcome);
}

static void wait_for(const struct outcome *outcome)
{
	while (!outcome->ended && event_base_loop(base, EVLOOP_ONCE) == 0)
		continue;
}

static struct outcome take_and_wait(uint64_t owner, int number, enum taker_kind kind)
{
	struct outcome outcome;

	take(owner, number, kind, &outcome);
	wait_for(&outcome);
	return outcome;
}

static bool take_memory(uint64_t owner)
{
	struct outcome outcome = take_and_wait(owner, memory, TAKER_MEMORY);

	return outcome.result == 0 && outcome.n_fds == 1 && outcome.same_file;
}

/* The owner has a taker, which has nothing to do: not even to close what it has handed over. */
static void have_idle_taker(uint64_t owner)
{
	CU_ASSERT_TRUE(take_memory(owner));
	CU_ASSERT_EQUAL(take_and_wait(owner, -1, TAKER_MEMORY).result, -EBADF);
}

/* Takers that have not ended, as many as there is room for. */
static size_t find_takers(pid_t *ret)
{
	cleanup_file FILE *file = NULL;
	char path[64];
	size_t count = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	while (count < TAKERS_MAX && fscanf(file, "%d", &ret[count]) == 1)
		count++;
	return count;
}

static size_t count_takers(void)
{
	pid_t takers[TAKERS_MAX];

	return find_takers(takers);
}

static void run_loop(unsigned milliseconds)
{
	const struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};

	event_base_loopexit(base, &time);
	event_base_dispatch(base);
}

static bool takers_become(size_t count)
{
	for (unsigned i = 0; count_takers() != count && i < 6000; i++)
		run_loop(10);
	return count_takers() == count;
}

static void signal_takers(int number)
{
	pid_t takers[TAKERS_MAX];
	size_t count = find_takers(takers);
	siginfo_t info;

	for (size_t i = 0; i < count; i++) {
		kill(takers[i], number);
		if (number == SIGSTOP) /* which it has not heeded yet */
			waitid(P_PID, (id_t)takers[i], &info, WSTOPPED | WNOWAIT);
	}
}

static void test_taken(void)
{
	size_t fds = unit_open_fds();
	struct outcome outcome;
	int pair[2];

	start();
	CU_ASSERT_EQUAL(pipe2(pair, O_CLOEXEC), 0);
	CU_ASSERT_TRUE(take_memory(1));
	outcome = take_and_wait(1, pair[0], TAKER_MEMORY);
	CU_ASSERT_EQUAL(outcome.result, -EINVAL);
	CU_ASSERT_EQUAL(outcome.n_fds, 0);
	CU_ASSERT_EQUAL(take_and_wait(1, pair[0], TAKER_LISTENER).result, -EINVAL);
	CU_ASSERT_EQUAL(take_and_wait(1, memory, TAKER_LISTENER).result, -EINVAL);
	CU_ASSERT_EQUAL(take_and_wait(1, memory, TAKER_GUEST_MEMFD).result, -EINVAL);
	CU_ASSERT_EQUAL(take_and_wait(1, memory, TAKER_KVM).result, -EINVAL);
	CU_ASSERT_EQUAL(take_and_wait(1, -1, TAKER_MEMORY).result, -EBADF);
	CU_ASSERT_EQUAL(take_and_wait(1, INT32_MAX, TAKER_MEMORY).result, -EBADF);
	CU_ASSERT_EQUAL(dup2(memory, UNUSED_NUMBER), UNUSED_NUMBER);
	CU_ASSERT_EQUAL(take_and_wait(1, UNUSED_NUMBER, TAKER_MEMORY).result, 0);
	fd_close(UNUSED_NUMBER);
	CU_ASSERT_EQUAL(take_and_wait(1, UNUSED_NUMBER, TAKER_MEMORY).result, -EBADF);
	CU_ASSERT_TRUE(take_memory(1));
	CU_ASSERT_EQUAL(count_takers(), 1);
	fd_close(pair[0]);
	fd_close(pair[1]);
	end();
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
}

/* Of several, none comes where one is wrong. */
static void test_several(void)
{
	struct taking_request request = {.n_files = TAKER_FILES_MAX};
	struct outcome outcome;

	start();
	for (size_t i = 0; i < TAKER_FILES_MAX; i++)
		request.files[i] = (struct taker_file){memory, TAKER_MEMORY, 0};
	start_taking(&request, 0, &outcome);
	wait_for(&outcome);
	CU_ASSERT_EQUAL(outcome.result, 0);
	CU_ASSERT_EQUAL(outcome.n_fds, TAKER_FILES_MAX);
	request.files[TAKER_FILES_MAX - 1].number = -1;
	start_taking(&request, 0, &outcome);
	wait_for(&outcome);
	CU_ASSERT_EQUAL(outcome.result, -EBADF);
	CU_ASSERT_EQUAL(outcome.n_fds, 0);
	end();
}

static unsigned open_by_taker(void)
{
	pid_t takers[TAKERS_MAX];
	char path[64], target[64];
	unsigned count = 0;

	CU_ASSERT_EQUAL_FATAL(find_takers(takers), 1);
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", takers[0], fd);
		count += readlink(path, target, sizeof target) >= 0;
	}
	return count;
}

/* Its duplicates are closed, be the file one that is handed over or not. */
static void test_closed(void)
{
	start();
	CU_ASSERT_EQUAL(take_and_wait(0, 0, TAKER_MEMORY).result, -EINVAL);
	for (unsigned i = 0; i < 10; i++) {
		CU_ASSERT_TRUE(take_memory(0));
		CU_ASSERT_EQUAL(take_and_wait(0, 0, TAKER_MEMORY).result, -EINVAL);
	}
	for (unsigned i = 0; open_by_taker() != TAKER_OWN_FILES && i < 500; i++)
		run_loop(10);
	CU_ASSERT_EQUAL(open_by_taker(), TAKER_OWN_FILES);
	end();
}

/* One of an owner's that doesn't answer delays its next taking little, and no other's. */
static void test_hung(void)
{
	struct outcome late, next, other;

	start();
	have_idle_taker(1);
	signal_takers(SIGSTOP);
	take(1, memory, TAKER_MEMORY, &late);
	take(1, memory, TAKER_MEMORY, &next);
	take(2, memory, TAKER_MEMORY, &other);
	wait_for(&other);
	CU_ASSERT_EQUAL(other.result, 0);
	wait_for(&next);
	CU_ASSERT_EQUAL(next.result, 0);
	CU_ASSERT_FALSE(late.ended);
	wait_for(&late);
	CU_ASSERT_EQUAL(late.result, -ETIMEDOUT);
	CU_ASSERT_TRUE(take_memory(1));
	CU_ASSERT_TRUE(takers_become(2)); /* the other owner's is idle */
	signal_takers(SIGCONT);           /* it answers what nobody waits for, and is left */
	CU_ASSERT_TRUE(takers_become(1));
	CU_ASSERT_TRUE(take_memory(1));
	end();
}

static void check_limit(const struct outcome *outcome, enum limit limit)
{
	CU_ASSERT_EQUAL(outcome->result, -EDQUOT);
	CU_ASSERT_EQUAL(outcome->limit, limit);
}

/* An owner whose takers all hang has no more of them, until one ends. */
static void test_owner_limit(void)
{
	struct outcome first, second, third;

	start_with(2, 64, 1024);
	have_idle_taker(1);
	signal_takers(SIGSTOP);
	take(1, memory, TAKER_MEMORY, &first);
	take(1, memory, TAKER_MEMORY, &second); /* has another one started */
	wait_for(&second);
	CU_ASSERT_EQUAL(second.result, 0);
	CU_ASSERT_EQUAL(take_and_wait(1, -1, TAKER_MEMORY).result, -EBADF);
	signal_takers(SIGSTOP);
	take(1, memory, TAKER_MEMORY, &second);
	take(1, memory, TAKER_MEMORY, &third); /* waits for what may yet be */
	wait_for(&first);
	CU_ASSERT_EQUAL(first.result, -ETIMEDOUT);
	wait_for(&second);
	CU_ASSERT_EQUAL(second.result, -ETIMEDOUT);
	wait_for(&third);
	if (third.result != -ETIMEDOUT)
		check_limit(&third, LIMIT_TAKERS_PER_OWNER);
	third = take_and_wait(1, memory, TAKER_MEMORY);
	check_limit(&third, LIMIT_TAKERS_PER_OWNER);
	CU_ASSERT_TRUE(take_memory(2));
	CU_ASSERT_EQUAL(count_takers(), 3);
	signal_takers(SIGCONT);
	CU_ASSERT_TRUE(takers_become(1));
	CU_ASSERT_TRUE(take_memory(1));
	end();
}

/* Where a wider limit leaves no room, an idle taker of another owner's goes. */
static void test_makes_room(uint64_t per_user, uint64_t on_host)
{
	struct outcome outcomes[16];

	start_with(4, per_user, on_host);
	for (uint64_t owner = 1; owner <= 8; owner++)
		CU_ASSERT_TRUE(take_memory(owner));
	CU_ASSERT_TRUE(count_takers() <= 2);
	for (uint64_t owner = 1; owner <= 16; owner++)
		take(owner, memory, TAKER_MEMORY, &outcomes[owner - 1]);
	for (unsigned i = 0; i < 16; i++) {
		wait_for(&outcomes[i]);
		CU_ASSERT_EQUAL(outcomes[i].result, 0);
	}
	CU_ASSERT_TRUE(count_takers() <= 2);
	end();
}

static void test_user_makes_room(void)
{
	test_makes_room(2, 1024);
}

static void test_host_makes_room(void)
{
	test_makes_room(64, 2);
}

static void test_wider_limits(void)
{
	static const struct {
		uint64_t per_user, on_host;
		enum limit limit;
	} rows[] = {
		{1, 1024, LIMIT_TAKERS_PER_USER},
		{64, 1, LIMIT_TAKERS_ON_HOST},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct outcome late, other;

		start_with(4, rows[i].per_user, rows[i].on_host);
		have_idle_taker(1);
		signal_takers(SIGSTOP);
		take(1, memory, TAKER_MEMORY, &late);
		wait_for(&late);
		CU_ASSERT_EQUAL(late.result, -ETIMEDOUT);
		other = take_and_wait(2, memory, TAKER_MEMORY);
		check_limit(&other, rows[i].limit);
		signal_takers(SIGCONT);
		CU_ASSERT_TRUE(takers_become(0));
		CU_ASSERT_TRUE(take_memory(2));
		end();
	}
}

/* A hostile unit's takers all hang, as many as it can have: another unit of the user's has some. */
static void test_units(void)
{
	struct outcome late[2], refused;

	start_with(4, 4, 1024);
	for (uint64_t i = 0; i < 2; i++) {
		have_idle_taker(UNIT + i);
		signal_takers(SIGSTOP);
		take(UNIT + i, memory, TAKER_MEMORY, &late[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		wait_for(&late[i]);
		CU_ASSERT_EQUAL(late[i].result, -ETIMEDOUT);
	}
	refused = take_and_wait(UNIT + 2, memory, TAKER_MEMORY);
	check_limit(&refused, LIMIT_TAKERS_PER_USER);
	CU_ASSERT_TRUE(take_memory(2 * UNIT));
	CU_ASSERT_TRUE(take_memory(2 * UNIT + 1)); /* in the first one's place */
	CU_ASSERT_TRUE(take_memory(2 * UNIT));
	signal_takers(SIGCONT);
	CU_ASSERT_TRUE(takers_become(1));
	CU_ASSERT_TRUE(take_memory(UNIT + 2));
	end();
}

static void test_killed(void)
{
	struct outcome outcome;

	start();
	have_idle_taker(1);
	signal_takers(SIGSTOP);
	take(1, memory, TAKER_MEMORY, &outcome);
	signal_takers(SIGKILL);
	wait_for(&outcome);
	CU_ASSERT_TRUE(outcome.result < 0 && outcome.result != -ETIMEDOUT);
	CU_ASSERT_TRUE(take_memory(1));
	CU_ASSERT_TRUE(takers_become(1));
	end();
}

static void test_cancelled(void)
{
	struct outcome asked, queued, last;
	struct taking *first, *second;

	start();
	have_idle_taker(1);
	signal_takers(SIGSTOP);
	first = take(1, memory, TAKER_MEMORY, &asked);
	second = take(1, memory, TAKER_MEMORY, &queued);
	take(1, memory, TAKER_MEMORY, &last);
	CU_ASSERT_PTR_NULL(taking_cancel(first));
	CU_ASSERT_PTR_NULL(taking_cancel(second));
	signal_takers(SIGCONT);
	wait_for(&last);
	CU_ASSERT_EQUAL(last.result, 0);
	CU_ASSERT_FALSE(asked.ended);
	CU_ASSERT_FALSE(queued.ended);
	CU_ASSERT_PTR_NULL(taking_cancel(NULL));
	end();
}

static void test_ends_idle(void)
{
	start();
	CU_ASSERT_TRUE(take_memory(1));
	CU_ASSERT_EQUAL(count_takers(), 1);
	CU_ASSERT_TRUE(takers_become(0));
	CU_ASSERT_TRUE(take_memory(1));
	end();
}

/* Of an owner that goes: at once, or when it has answered. */
static void test_owner_gone(void)
{
	pid_t first, takers[TAKERS_MAX];
	struct owner *owner;
	struct outcome outcome;

	start();
	have_idle_taker(4); /* whose taker would be the first to end by itself */
	CU_ASSERT_EQUAL(find_takers(takers), 1);
	first = takers[0];
	have_idle_taker(1);
	have_idle_taker(2);
	signal_takers(SIGSTOP);
	take(2, memory, TAKER_MEMORY, &outcome);
	for (uint64_t number = 1; number <= 3; number++) { /* the third has none */
		owner = get_owner(number);
		takings_forget_owner(takings, owner);
		owner_unref(owner);
	}
	signal_takers(SIGCONT);
	wait_for(&outcome);
	CU_ASSERT_EQUAL(outcome.result, 0);
	CU_ASSERT_TRUE(takers_become(1));
	CU_ASSERT_EQUAL(find_takers(takers), 1);
	CU_ASSERT_EQUAL(takers[0], first);
	end();
}

static void test_no_program(void)
{
	struct outcome outcome;

	start();
	takings = takings_free(takings);
	CU_ASSERT_EQUAL_FATAL(takings_new(base, &config, "/nonexistent", &takings), 0);
	outcome = take_and_wait(1, memory, TAKER_MEMORY);
	CU_ASSERT_EQUAL(outcome.result, -ENOENT);
	end();
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{"a file is taken where it is what it must be", test_taken},
		{"several are taken, or none", test_several},
		{"nothing of it stays with a taker", test_closed},
		{"one that hangs delays nobody", test_hung},
		{"an owner whose takers all hang has no more", test_owner_limit},
		{"a user's idle takers make room", test_user_makes_room},
		{"the host's idle takers make room", test_host_makes_room},
		{"a user whose takers all hang has no more, nor has the host", test_wider_limits},
		{"a unit whose takers all hang leaves another of its user's some", test_units},
		{"a taker is killed", test_killed},
		{"takings are cancelled", test_cancelled},
		{"an idle taker ends", test_ends_idle},
		{"an owner that goes leaves no taker", test_owner_gone},
		{"there is no such program", test_no_program},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"taking", NULL, NULL, NULL, NULL, tests},
		CU_SUITE_INFO_NULL,
	};

	if (helper_process_reserve() < 0)
		return EXIT_FAILURE;
	return unit_main(suites);
}
