/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's command line, as libvirt writes it and as people do.
 */
#include "client/run/qemu_command.h"

#include <string.h>

#include "tests/lib/unit.h"

#define LINE(...) ((char *const[]){__VA_ARGS__, NULL})

static struct qemu_command read_line(char *const *line)
{
	struct qemu_command command;

	qemu_command_read(line, &command);
	return command;
}

static void check_name(const char *value, const char *name)
{
	struct qemu_command command = read_line(LINE("-name", (char *)value));

	UNIT_ASSERT_ROW(
		strcmp(command.name, name) == 0, "%s: %s, expected %s", value, command.name, name);
}

static void test_names(void)
{
	char long_name[2 * NAME_BYTES_MAX + 1];

	check_name("guest=plain,debug-threads=on", "plain");
	check_name("debug-threads=on,guest=plain", "plain");
	check_name("plain", "plain");
	check_name("plain,process=other", "plain");
	check_name("guest=a,,b,,", "a,b,");
	check_name("guest=a=b,process=c", "a=b");
	check_name("debug-threads=on", "");
	check_name("guest=", "");
	check_name("", "");
	memset(long_name, 'n', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	CU_ASSERT_EQUAL(strlen(read_line(LINE("-name", long_name)).name), NAME_BYTES_MAX);
}

static void test_last_counts(void)
{
	struct qemu_command command =
		read_line(LINE("-name", "one", "-uuid", "1", "--name", "two", "--uuid", "2"));

	CU_ASSERT_STRING_EQUAL(command.name, "two");
	CU_ASSERT_STRING_EQUAL(command.uuid, "2");
	CU_ASSERT_EQUAL(command.purpose, QEMU_GUEST);
}

static void check_purpose(char *const *line, enum qemu_purpose purpose)
{
	UNIT_ASSERT_ROW(read_line(line).purpose == purpose, "%s %s", line[0],
		line[0] && line[1] ? line[1] : "");
}

static void test_purposes(void)
{
	check_purpose(LINE("-machine", "none,accel=kvm:tcg"), QEMU_PROBE);
	check_purpose(LINE("-M", "none"), QEMU_PROBE);
	check_purpose(LINE("-S", "-machine", "accel=kvm,type=none"), QEMU_PROBE);
	check_purpose(LINE("-machine", "nonesuch"), QEMU_GUEST);
	check_purpose(LINE("-machine", "pc,accel=none"), QEMU_GUEST);
	check_purpose(LINE("-version"), QEMU_WORDS);
	check_purpose(LINE("--help"), QEMU_WORDS);
	check_purpose(LINE("-hda", "none"), QEMU_GUEST);
	check_purpose((char *const[]){NULL}, QEMU_GUEST);
}

/* Where a word is missing at the end QEMU says so itself. */
static void test_cut_off(void)
{
	struct qemu_command command = read_line(LINE("-uuid"));

	CU_ASSERT_PTR_NULL(command.uuid);
	CU_ASSERT_STRING_EQUAL(read_line(LINE("-S", "-name")).name, "");
	check_purpose(LINE("-machine"), QEMU_GUEST);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"names", test_names},
		{"the last counts", test_last_counts},
		{"what it is for", test_purposes},
		{"a line that is cut off", test_cut_off},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "a command line", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
