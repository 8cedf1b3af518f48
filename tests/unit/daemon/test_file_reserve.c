/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in reserve: what is there for operators when all else is used up.
 */
#include "daemon/owner/file_reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/lib/unit.h"

static struct rlimit before;

static int set_up(void)
{
	return getrlimit(RLIMIT_NOFILE, &before);
}

static int tear_down(void)
{
	return setrlimit(RLIMIT_NOFILE, &before);
}

static void limit_files(rlim_t number)
{
	const struct rlimit limit = {number, before.rlim_max};

	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t soft_limit(void)
{
	struct rlimit limit;

	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	CU_ASSERT_EQUAL(limit.rlim_max, before.rlim_max);
	return limit.rlim_cur;
}

/* As many as there may be. */
static unsigned open_all(int *fds, unsigned room)
{
	unsigned count = 0;

	while (count < room && (fds[count] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
		count++;
	return count;
}

static void close_all(const int *fds, unsigned count)
{
	while (count-- > 0)
		close(fds[count]);
}

static void test_reserve(void)
{
	rlim_t most = before.rlim_max, reserve;

	CU_ASSERT_EQUAL(file_reserve_set_up(), 0);
	reserve = most - soft_limit();
	CU_ASSERT_TRUE(reserve > 0 && reserve <= most / 8 && reserve <= 256);
}

static void test_used_up(void)
{
	int fds[64], more;
	unsigned count;
	rlim_t usual;

	limit_files(40);
	count = open_all(fds, 64);
	CU_ASSERT_TRUE(count < 40);
	CU_ASSERT_EQUAL(errno, EMFILE);
	usual = file_reserve_open();
	file_reserve_close(file_reserve_open());
	more = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	CU_ASSERT_TRUE(more >= 0);
	file_reserve_close(usual);
	CU_ASSERT_EQUAL(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0), -1);
	/* What was opened is used as any. */
	CU_ASSERT_TRUE(fcntl(more, F_GETFD) >= 0);
	close(more);
	close_all(fds, count);
}

/* Somebody else may set the limit meanwhile, and that stays. */
static void test_limit_is_kept(void)
{
	rlim_t usual;

	limit_files(50);
	usual = file_reserve_open();
	CU_ASSERT_EQUAL(soft_limit(), before.rlim_max);
	file_reserve_close(usual);
	CU_ASSERT_EQUAL(soft_limit(), 50);
	limit_files(60);
	file_reserve_close(file_reserve_open());
	CU_ASSERT_EQUAL(soft_limit(), 60);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"there is one", test_reserve},
		{"all else is used up", test_used_up},
		{"the limit is kept", test_limit_is_kept},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{"files in reserve", set_up, tear_down, NULL, NULL, tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
