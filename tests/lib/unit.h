/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CUnit tests that report as TAP 13, and test bodies that run in a child process.
 *
 * A test program is a table of CUnit suites and `return unit_main(suites);`. Tests use CUnit's own
 * assertions. What can't be undone (a sealed mapping, a seccomp filter, another uid) happens in a
 * child, whose failures and skips count as those of the test that started it.
 */
#pragma once

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Runs all tests of a table that ends with CU_SUITE_INFO_NULL. Returns the program's exit
 * status. */
int unit_main(CU_SuiteInfo *suites);

/* Marks the current test as skipped; it should return then. A test that fails all the same has
 * failed. */
void unit_skip(const char *reason);

/* For tests that go through a table: a CUnit assertion that says in words, printf(3)'s, which row
 * it is about. */
#define UNIT_ASSERT_ROW(value, ...) unit_assert_row((value), __LINE__, __FILE__, __VA_ARGS__)
void unit_assert_row(bool value, unsigned line, const char *file, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A child that runs one body. It dies with the test program, and of SIGALRM where it takes too
 * long. */
struct unit_child {
	pid_t pid;
	int report; /* where its failures come from */
};

void unit_child_start(struct unit_child *child, void (*body)(void *context), void *context);
/*
 * Waits for it and takes its failures over. Another end than expected is a failure too:
 * expected_signal is what is to kill it, 0 where its body is to return.
 */
void unit_child_end(struct unit_child *child, int expected_signal);
/* Both, with a body that is to return. */
void unit_in_child(void (*body)(void *context), void *context);

/* How many file descriptors this process has open: to see what a call leaves behind. */
size_t unit_open_fds(void);
