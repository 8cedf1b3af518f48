/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the adversary prints: TAP lines without numbers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

static void print_line(const char *outcome, const char *format, va_list arguments, const char *rest)
{
	char text[256];

	vsnprintf(text, sizeof text, format, arguments);
	printf("%s - %s%s\n", outcome, text, rest);
	fflush(stdout);
}

void verdict(bool good, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(good ? "ok" : "not ok", format, arguments, "");
	va_end(arguments);
}

static const char *errno_name(int number)
{
	const char *name = strerrorname_np(number);

	return name ? name : "?";
}

void refused(int expected, long result, const char *format, ...)
{
	int number = errno;
	va_list arguments;
	char rest[96];

	if (result >= 0)
		snprintf(rest, sizeof rest, ": WORKED (%ld)", result);
	else if (number != expected)
		snprintf(rest, sizeof rest, ": %s, not %s", errno_name(number),
			errno_name(expected));
	else
		snprintf(rest, sizeof rest, ": %s", errno_name(number));
	va_start(arguments, format);
	print_line(result < 0 && number == expected ? "ok" : "not ok", format, arguments, rest);
	va_end(arguments);
}

void skipped(const char *reason, const char *format, ...)
{
	va_list arguments;
	char rest[128];

	snprintf(rest, sizeof rest, " # SKIP %s", reason);
	va_start(arguments, format);
	print_line("ok", format, arguments, rest);
	va_end(arguments);
}

int child_outcome(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, __WALL) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void in_child(attack *run, struct world *world)
{
	pid_t child = fork();

	if (child == 0) {
		/* An adversary's library does not keep it from its parent's connection. */
		require(own_process_mark(&world->gmem->mark) == 0, "the library is bent");
		run(world);
		_exit(EXIT_SUCCESS);
	}
	if (child < 0 || child_outcome(child) != EXIT_SUCCESS)
		verdict(false, "a child came to a bad end");
}

void meet_driver(const char *word, const char *file)
{
	puts(word);
	fflush(stdout);
	for (unsigned i = 0; i < 6000 && access(file, F_OK) < 0; i++)
		usleep(10000);
	require(access(file, F_OK) == 0, file);
}

void require(bool truth, const char *what)
{
	if (truth)
		return;
	verdict(false, "prepared: %s (%s, %s)", what, strerror(errno), gmem_last_error());
	exit(EXIT_FAILURE);
}
