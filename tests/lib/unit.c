/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CUnit tests that report as TAP 13. See unit.h.
 */
#include "tests/lib/unit.h"

#include <CUnit/TestRun.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SECONDS_MAX 25

static unsigned tests_reported;
static char skip_reason[512];

/* Reporting */

static void report_line(const char *status, const char *suite, const char *test)
{
	printf("%s %u - %s: %s", status, ++tests_reported, suite, test);
}

static void on_test_start(const CU_pTest test, const CU_pSuite suite)
{
	(void)test;
	(void)suite;
	skip_reason[0] = '\0';
}

/* failure is the first of this test, and the last test's failures end CUnit's list. */
static void on_test_complete(
	const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	report_line(failure ? "not ok" : "ok", suite->pName, test->pName);
	if (!failure && skip_reason[0])
		printf(" # SKIP %s", skip_reason);
	printf("\n");
	for (CU_pFailureRecord record = failure; record; record = record->pNext)
		printf("# %s:%u: %s\n", record->strFileName, record->uiLineNumber,
			record->strCondition);
	fflush(stdout);
}

/* CUnit runs none of the suite's tests then, but the plan has counted them. */
static void on_suite_init_failure(const CU_pSuite suite)
{
	for (CU_pTest test = suite->pTest; test; test = test->pNext) {
		report_line("not ok", suite->pName, test->pName);
		printf("\n# the suite could not be set up\n");
	}
}

/* After the plan is fulfilled, so that it can only be told by the exit status and a comment. */
static void on_suite_cleanup_failure(const CU_pSuite suite)
{
	printf("# the suite %s could not be cleaned up\n", suite->pName);
}

int unit_main(CU_SuiteInfo *suites)
{
	bool passed;

	if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
		printf("Bail out! %s\n", CU_get_error_msg());
		return EXIT_FAILURE;
	}
	CU_set_test_start_handler(on_test_start);
	CU_set_test_complete_handler(on_test_complete);
	CU_set_suite_init_failure_handler(on_suite_init_failure);
	CU_set_suite_cleanup_failure_handler(on_suite_cleanup_failure);
	printf("TAP version 13\n1..%u\n", CU_get_registry()->uiNumberOfTests);
	fflush(stdout);
	passed = CU_run_all_tests() == CUE_SUCCESS && CU_get_number_of_failure_records() == 0;
	CU_cleanup_registry();
	return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

void unit_skip(const char *reason)
{
	snprintf(skip_reason, sizeof skip_reason, "%s", reason);
}

void unit_assert_row(bool value, unsigned line, const char *file, const char *format, ...)
{
	char condition[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(condition, sizeof condition, format, arguments);
	va_end(arguments);
	CU_assertImplementation(value, line, condition, file, "", /* fatal= */ CU_FALSE);
}

/* Children */

/* What a child tells of one failure, or, with line 0, of its skipping. Shorter than PIPE_BUF:
 * written at once. */
struct report {
	unsigned line;
	char file[256];
	char text[512];
};

static void report_send(int pipe, unsigned line, const char *file, const char *text)
{
	struct report report = {.line = line};

	snprintf(report.file, sizeof report.file, "%s", file);
	snprintf(report.text, sizeof report.text, "%s", text);
	if (write(pipe, &report, sizeof report) != sizeof report)
		_exit(EXIT_FAILURE);
}

/* CUnit's list begins with what had failed before the child was made. */
static void report_failures(int pipe, unsigned known)
{
	CU_pFailureRecord record = CU_get_failure_list();

	for (; record && known > 0; known--)
		record = record->pNext;
	for (; record; record = record->pNext)
		report_send(pipe, record->uiLineNumber, record->strFileName, record->strCondition);
	if (skip_reason[0])
		report_send(pipe, 0, "", skip_reason);
}

#ifdef COVERAGE
void __gcov_dump(void);

/* Nothing is done at a child's end that the test program itself will do. */
static void tell_coverage(void)
{
	__gcov_dump();
}
#else
static void tell_coverage(void)
{
}
#endif

__attribute__((noreturn)) static void child_run(void (*body)(void *), void *context, int pipe)
{
	unsigned known = CU_get_number_of_failure_records();
	jmp_buf after_fatal;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(CHILD_SECONDS_MAX);
	/* A fatal assertion must end the body, not go on with the parent's next test. */
	CU_get_current_test()->pJumpBuf = &after_fatal;
	if (setjmp(after_fatal) == 0)
		body(context);
	report_failures(pipe, known);
	tell_coverage();
	_exit(EXIT_SUCCESS);
}

void unit_child_start(struct unit_child *child, void (*body)(void *context), void *context)
{
	int ends[2];

	fflush(NULL);
	if (pipe2(ends, O_CLOEXEC) < 0)
		abort();
	child->pid = fork();
	if (child->pid < 0)
		abort();
	if (child->pid == 0) {
		close(ends[0]);
		child_run(body, context, ends[1]);
	}
	close(ends[1]);
	child->report = ends[0];
}

static void take_reports(int pipe)
{
	struct report report;

	while (read(pipe, &report, sizeof report) == sizeof report) {
		if (report.line == 0)
			unit_skip(report.text);
		else
			CU_assertImplementation(CU_FALSE, report.line, report.text, report.file, "",
				/* fatal= */ CU_FALSE);
	}
}

void unit_child_end(struct unit_child *child, int expected_signal)
{
	int status = 0;

	take_reports(child->report);
	close(child->report);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (expected_signal > 0)
		UNIT_ASSERT_ROW(WIFSIGNALED(status) && WTERMSIG(status) == expected_signal,
			"the child was to die of signal %d: wait status 0x%x", expected_signal,
			(unsigned)status);
	else
		UNIT_ASSERT_ROW(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS,
			"the child was to return: wait status 0x%x", (unsigned)status);
}

void unit_in_child(void (*body)(void *context), void *context)
{
	struct unit_child child;

	unit_child_start(&child, body, context);
	unit_child_end(&child, 0);
}

size_t unit_open_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t count = 0;

	if (!directory)
		abort();
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 3; /* ".", ".." and the directory's own */
}
