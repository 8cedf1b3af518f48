/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a helper begins with. It is this program, which writes that to its first file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/helper_process.h"
#include "tests/lib/unit.h"

#define FILES    3
#define MANY     5000
#define FEW      256
#define PATIENCE 60000

/* What a helper says of itself. */
struct report {
	size_t open;         /* files */
	size_t table;        /* how many its table has room for */
	ino_t inodes[FILES]; /* of those that it was given */
	bool null[3];        /* whether the standard files are /dev/null */
	unsigned signals;    /* that are blocked or ignored */
	bool environment, leads_session;
};

static bool is_null(int fd)
{
	struct stat status, null;

	return fstat(fd, &status) == 0 && stat("/dev/null", &null) == 0 &&
	       status.st_rdev == null.st_rdev;
}

static size_t room_for_files(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	size_t room = 0;

	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "FDSize: %zu", &room) == 1)
			break;
	}
	if (file)
		fclose(file);
	return room;
}

static unsigned count_signals(void)
{
	struct sigaction action;
	unsigned count = 0;
	sigset_t blocked;

	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int number = 1; number < NSIG; number++) {
		if (sigismember(&blocked, number) == 1)
			count++;
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			count++;
	}
	return count;
}

static int be_helper(void)
{
	struct report report = {.table = room_for_files(), .signals = count_signals()};
	struct stat status;

	report.open = unit_open_fds();
	for (int i = 0; i < FILES; i++) {
		if (fstat(HELPER_FIRST_FILE + i, &status) == 0)
			report.inodes[i] = status.st_ino;
	}
	for (int fd = 0; fd < 3; fd++)
		report.null[fd] = is_null(fd);
	report.environment = environ[0] != NULL;
	report.leads_session = getsid(0) == getpid();
	return write(HELPER_FIRST_FILE, &report, sizeof report) == sizeof report ? EXIT_SUCCESS
										 : EXIT_FAILURE;
}

static char *const arguments[] = {(char *)"test", (char *)"helper", NULL};
static struct helper_program program = {
	.name = "test", .path = "/proc/self/exe", .arguments = arguments};

/* Files that it is given: what it writes to, and two of its own. */
struct given {
	int fds[FILES], answer;
	ino_t inodes[FILES];
};

static void give(struct given *ret)
{
	struct stat status;
	int ends[2], others[2];

	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(others, O_CLOEXEC), 0);
	ret->answer = ends[0];
	ret->fds[0] = ends[1];
	ret->fds[1] = others[1];
	ret->fds[2] = others[0];
	for (unsigned i = 0; i < FILES; i++) {
		CU_ASSERT_EQUAL(fstat(ret->fds[i], &status), 0);
		ret->inodes[i] = status.st_ino;
	}
}

static void clear_given(struct given *given)
{
	for (unsigned i = 0; i < FILES; i++)
		close(given->fds[i]);
	close(given->answer);
}

static struct report run_helper(struct given *given, size_t count)
{
	struct report report = {.open = 0};
	struct helper_end end;
	int pidfd = -1;

	CU_ASSERT_EQUAL_FATAL(helper_process_start(&program, given->fds, count, &pidfd), 0);
	CU_ASSERT_TRUE(helper_process_wait(pidfd, PATIENCE));
	end = helper_process_reap(pidfd);
	CU_ASSERT_EQUAL(end.signal, 0);
	CU_ASSERT_EQUAL(end.status, EXIT_SUCCESS);
	close(pidfd);
	CU_ASSERT_EQUAL(read(given->answer, &report, sizeof report), sizeof report);
	return report;
}

/* What this process has is as it was before. */
static void test_files(void)
{
	struct given given;
	size_t fds;

	give(&given);
	fds = unit_open_fds();
	for (size_t count = 1; count <= FILES; count++) {
		struct report report = run_helper(&given, count);

		CU_ASSERT_EQUAL(report.open, 3 + count);
		for (size_t i = 0; i < count; i++)
			CU_ASSERT_EQUAL(report.inodes[i], given.inodes[i]);
		CU_ASSERT_TRUE(report.null[0] && report.null[1] && report.null[2]);
		CU_ASSERT_FALSE(report.environment);
		CU_ASSERT_FALSE(report.leads_session);
	}
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
	clear_given(&given);
}

static void test_outliving(void)
{
	struct given given;
	struct report report;

	give(&given);
	program.outlives = true;
	report = run_helper(&given, 1);
	program.outlives = false;
	CU_ASSERT_TRUE(report.null[0] && report.null[1]);
	CU_ASSERT_EQUAL(report.null[2], is_null(STDERR_FILENO));
	CU_ASSERT_TRUE(report.leads_session);
	CU_ASSERT_EQUAL(report.environment, environ[0] != NULL);
	clear_given(&given);
}

static void test_signals(void)
{
	struct given given;
	sigset_t some, before, after;

	give(&given);
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &some, &before);
	CU_ASSERT_EQUAL(run_helper(&given, 1).signals, 0);
	sigprocmask(SIG_SETMASK, &before, &after);
	CU_ASSERT_TRUE(sigismember(&after, SIGTERM));
	CU_ASSERT_PTR_EQUAL(signal(SIGPIPE, SIG_DFL), SIG_IGN);
	clear_given(&given);
}

/* A copy of so large a table has room for as many files; one that begins with few is made. */
static void test_many_files(void)
{
	struct rlimit limit;
	struct given given;
	struct report report;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), many[MANY];

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < MANY + FEW) {
		unit_skip("so many files can't be open here");
		return;
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned i = 0; i < MANY; i++)
		many[i] = fcntl(null, F_DUPFD_CLOEXEC, 0);
	give(&given);
	CU_ASSERT_TRUE_FATAL(given.fds[0] > MANY);
	report = run_helper(&given, FILES);
	CU_ASSERT_EQUAL(report.open, 3 + FILES);
	CU_ASSERT_TRUE(report.table <= FEW);
	clear_given(&given);
	for (unsigned i = 0; i < MANY; i++)
		close(many[i]);
	close(null);
}

static void test_refusals(void)
{
	const struct helper_program none = {.name = "none", .path = "/nowhere/none"};
	int closed[] = {-1}, pidfd = -1, status;
	size_t fds = unit_open_fds();

	CU_ASSERT_EQUAL(helper_process_start(&none, NULL, 0, &pidfd), -ENOENT);
	CU_ASSERT_EQUAL(helper_process_start(&program, closed, 1, &pidfd), -EBADF);
	CU_ASSERT_EQUAL(helper_process_start(&program, closed, FEW, &pidfd), -EINVAL);
	CU_ASSERT_EQUAL(pidfd, -1);
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
	CU_ASSERT_EQUAL(waitpid(-1, &status, WNOHANG), -1);
	CU_ASSERT_EQUAL(errno, ECHILD);
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
		{"its files, and no others", test_files},
		{"one that outlives this process", test_outliving},
		{"no signal is blocked or ignored", test_signals},
		{"many files are not copied", test_many_files},
		{"no program, no file", test_refusals},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"helper processes", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	if (argc > 1 && strcmp(argv[1], "helper") == 0)
		return be_helper();
	if (helper_process_reserve() < 0)
		return EXIT_FAILURE;
	return unit_main(suites);
}
