/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a helper begins with. It is this program, which writes that to its first file.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/helper_process.h"
#include "tests/lib/unit.h"

#define FILES    4
#define MANY     5000
#define FEW      256
#define PATIENCE 60000
#define STARTS   100

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

/* Files that it is given: what it writes to, which is not waited for, and others. */
struct given {
	int fds[FILES], answer;
	ino_t inodes[FILES];
};

static void give(struct given *ret)
{
	struct stat status;
	int ends[2], others[2];

	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(others, O_CLOEXEC), 0);
	ret->answer = ends[0];
	ret->fds[0] = ends[1];
	ret->fds[1] = others[1];
	ret->fds[2] = others[0];
	ret->fds[3] = open("/", O_PATH | O_CLOEXEC);
	for (unsigned i = 0; i < FILES; i++) {
		CU_ASSERT_EQUAL(fstat(ret->fds[i], &status), 0);
		ret->inodes[i] = status.st_ino;
	}
}

/* Nothing of them is left in this process: who reads finds their end. */
static void clear_given(struct given *given)
{
	char byte;

	for (unsigned i = 0; i < FILES; i++)
		close(given->fds[i]);
	CU_ASSERT_EQUAL(read(given->answer, &byte, sizeof byte), 0);
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

static void test_standard_files(void)
{
	struct given given;
	struct report report;

	give(&given);
	program.standard_files = true;
	report = run_helper(&given, FILES);
	program.standard_files = false;
	for (int fd = 0; fd < 3; fd++)
		CU_ASSERT_EQUAL(report.null[fd], is_null(fd));
	CU_ASSERT_EQUAL(report.open, 3 + FILES);
	clear_given(&given);
}

/* Each of two threads gives its own. */
static void *run_some(void *context)
{
	struct given *given = context;

	for (unsigned i = 0; i < STARTS; i++) {
		struct report report = run_helper(given, FILES);

		for (size_t file = 0; file < FILES; file++)
			CU_ASSERT_EQUAL(report.inodes[file], given->inodes[file]);
	}
	return NULL;
}

static void test_threads(void)
{
	struct given given[2];
	pthread_t thread;

	give(&given[0]);
	give(&given[1]);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_some, &given[0]), 0);
	run_some(&given[1]);
	pthread_join(thread, NULL);
	clear_given(&given[0]);
	clear_given(&given[1]);
}

static volatile sig_atomic_t handled_elsewhere;
static pid_t own_pid;

/* In memory that a helper shares while it begins. */
static void note_process(int number)
{
	(void)number;
	if ((pid_t)syscall(SYS_getpid) != own_pid)
		handled_elsewhere++;
}

/* To all of a process group, and by default nothing comes of it. */
static void send_signals(void *context)
{
	(void)context;
	signal(SIGURG, SIG_DFL);
	for (;;)
		kill(0, SIGURG);
}

/* Signals that come amid a start are this process's to handle. */
static void handle_signals(void *context)
{
	const struct sigaction action = {.sa_handler = note_process, .sa_flags = SA_RESTART};
	struct unit_child sender;
	struct given given;

	(void)context;
	setpgid(0, 0);
	own_pid = getpid();
	sigaction(SIGURG, &action, NULL);
	give(&given);
	unit_child_start(&sender, send_signals, NULL);
	for (unsigned i = 0; i < STARTS; i++)
		run_helper(&given, 1);
	kill(sender.pid, SIGKILL);
	unit_child_end(&sender, SIGKILL);
	CU_ASSERT_EQUAL(handled_elsewhere, 0);
	clear_given(&given);
}

static void test_handlers(void)
{
	unit_in_child(handle_signals, NULL);
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
	rlim_t before;
	struct rlimit limit;
	struct given given;
	struct report report;
	int null, many[MANY];

	getrlimit(RLIMIT_NOFILE, &limit);
	before = limit.rlim_cur;
	if (limit.rlim_max < MANY + FEW) {
		unit_skip("so many files can't be open here");
		return;
	}
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
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
	limit.rlim_cur = before;
	setrlimit(RLIMIT_NOFILE, &limit);
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
		{"this process's own standard files", test_standard_files},
		{"two threads start them at once", test_threads},
		{"a signal amid a start is not the helper's", test_handlers},
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
