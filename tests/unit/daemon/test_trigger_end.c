/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ends of triggers: they come, however many, and not by the thread that wants them.
 */
#include <poll.h>
#include <unistd.h>

#include "daemon/pressure/trigger_end.h"
#include "tests/lib/unit.h"

#define MANY     50
#define PATIENCE 60000 /* milliseconds */

/* Pipes in the place of triggers: who has the other ends sees that these are closed. */
static void end_of_pipe(int *ret_other)
{
	struct pressure_trigger trigger;
	int file[2], ready[2];

	CU_ASSERT_EQUAL_FATAL(pipe(file), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	trigger = (struct pressure_trigger){file[1], ready[1]};
	trigger_end(&trigger);
	CU_ASSERT_EQUAL(trigger.file, -1);
	CU_ASSERT_EQUAL(trigger.ready, -1);
	ret_other[0] = file[0];
	ret_other[1] = ready[0];
}

static void test_ends(void)
{
	int others[MANY][2];

	for (unsigned i = 0; i < MANY; i++)
		end_of_pipe(others[i]);
	for (unsigned i = 0; i < MANY * 2; i++) {
		struct pollfd other = {.fd = others[i / 2][i % 2], .events = POLLIN};

		CU_ASSERT_EQUAL(poll(&other, 1, PATIENCE), 1);
		CU_ASSERT(other.revents & POLLHUP);
		close(other.fd);
	}
}

static void test_closed(void)
{
	struct pressure_trigger trigger = {-1, -1};
	size_t open = unit_open_fds();

	trigger_end(&trigger);
	CU_ASSERT_EQUAL(unit_open_fds(), open);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{"all that are ended are closed", test_ends},
		{"one that is closed already is left alone", test_closed},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"ends of triggers", NULL, NULL, NULL, NULL, tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
