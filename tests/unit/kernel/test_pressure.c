/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pressure stall information: triggers of the kernel that runs, one of them made to fire.
 */
#include "kernel/host/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define UNPRIVILEGED_ID 65534
#define MIB             (1ull << 20)

/* Whether the kernel has it; else the test is marked as skipped. */
static bool have_pressure(void)
{
	cleanup_fd int fd = open(PRESSURE_OF_HOST, O_RDONLY | O_CLOEXEC);
	char first;

	if (fd >= 0 && read(fd, &first, 1) == 1)
		return true;
	unit_skip("the kernel has no PSI");
	return false;
}

/* As any user may set it; -EPERM up to Linux 6.3 is a skip. */
static bool open_trigger(uint32_t stall, struct pressure_trigger *ret)
{
	const struct pressure_threshold threshold = {PRESSURE_SOME, stall, PRESSURE_WINDOW_UNIT};
	int r = pressure_trigger_open(PRESSURE_OF_HOST, &threshold, ret);

	if (r == -EPERM || r == -EACCES)
		unit_skip("not permitted to set a trigger");
	else
		UNIT_ASSERT_ROW(r == 0, "a trigger: %s", strerror(-r));
	return r == 0;
}

static void test_trigger(void)
{
	size_t before = unit_open_fds();
	struct pressure_trigger trigger;

	if (!have_pressure() || !open_trigger(PRESSURE_WINDOW_UNIT, &trigger))
		return;
	CU_ASSERT_EQUAL(fcntl(trigger.file, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(fcntl(trigger.ready, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(pressure_trigger_check(&trigger), 0);
	pressure_trigger_close(&trigger);
	CU_ASSERT_TRUE(trigger.file == -1 && trigger.ready == -1);
	pressure_trigger_close(&trigger);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void set_as_another(void *context)
{
	struct pressure_trigger trigger;

	(void)context;
	if (setgid(UNPRIVILEGED_ID) < 0 || setuid(UNPRIVILEGED_ID) < 0) {
		unit_skip("not permitted to become another user");
		return;
	}
	if (open_trigger(1, &trigger))
		pressure_trigger_close(&trigger);
}

/* Windows in whole units are anyone's. */
static void test_unprivileged(void)
{
	if (have_pressure())
		unit_in_child(set_as_another, NULL);
}

/* Of a file that can't be waited for, which stays its owner's. */
static void test_no_trigger(void)
{
	cleanup_fd int file = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct pressure_trigger trigger = {-1, -1};
	size_t before = unit_open_fds();

	CU_ASSERT_EQUAL(pressure_trigger_take_over(file, &trigger), -EPERM);
	CU_ASSERT_TRUE(trigger.file == -1 && trigger.ready == -1);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void test_bad_thresholds(void)
{
	static const struct pressure_threshold rows[] = {
		{PRESSURE_SOME, 0, PRESSURE_WINDOW_UNIT},
		{PRESSURE_SOME, PRESSURE_WINDOW_UNIT + 1, PRESSURE_WINDOW_UNIT},
		{PRESSURE_FULL, 1, PRESSURE_WINDOW_MAX + PRESSURE_WINDOW_UNIT},
		{PRESSURE_FULL, 1, 0},
	};
	struct pressure_trigger trigger;
	size_t before = unit_open_fds();

	if (!have_pressure() || !open_trigger(1, &trigger))
		return;
	pressure_trigger_close(&trigger);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		UNIT_ASSERT_ROW(
			pressure_trigger_open(PRESSURE_OF_HOST, &rows[i], &trigger) == -EINVAL,
			"row %zu", i);
	CU_ASSERT_EQUAL(pressure_trigger_open("/proc/pressure/bogus", &rows[0], &trigger), -ENOENT);
	CU_ASSERT_EQUAL(trigger.file, -1);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

/* A cgroup too small for what a child writes into a file: it waits for memory. */
struct cgroup {
	char path[128];
	const char *limit_file;
};

static int cgroup_write(const struct cgroup *cgroup, const char *name, uint64_t number)
{
	char path[192];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof path, "%s/%s", cgroup->path, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && dprintf(fd, "%llu", (unsigned long long)number) > 0 ? 0 : -1;
}

static bool cgroup_make(struct cgroup *cgroup)
{
	static const struct {
		const char *root, *limit_file;
	} versions[] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"}};

	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		snprintf(cgroup->path, sizeof cgroup->path, "%s/gmemd-test-pressure-%d",
			versions[i].root, getpid());
		cgroup->limit_file = versions[i].limit_file;
		if (mkdir(cgroup->path, 0755) < 0)
			continue;
		if (cgroup_write(cgroup, cgroup->limit_file, 8 * MIB) == 0)
			return true;
		rmdir(cgroup->path);
	}
	unit_skip("no memory cgroup can be made here");
	return false;
}

static void stall(void *context)
{
	cleanup_fd int file = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	static char bytes[MIB];

	memset(bytes, 'x', sizeof bytes);
	CU_ASSERT_EQUAL_FATAL(cgroup_write(context, "cgroup.procs", (uint64_t)getpid()), 0);
	for (int i = 0; i < 48; i++)
		CU_ASSERT_EQUAL(write(file, bytes, sizeof bytes), (ssize_t)sizeof bytes);
}

static bool have_disk(void)
{
	cleanup_fd int file = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct statfs status;

	if (file >= 0 && fstatfs(file, &status) == 0 && status.f_type != TMPFS_MAGIC)
		return true;
	unit_skip("/var/tmp is on no disk");
	return false;
}

/* Each round waits longer than the kernel takes to look; many rounds, for it needn't stall long. */
static void check_fires(const struct pressure_trigger *trigger, struct cgroup *cgroup)
{
	struct pollfd event = {.fd = trigger->ready, .events = POLLIN};
	int fired = 0;

	for (int round = 0; fired == 0 && round < 6; round++) {
		unit_in_child(stall, cgroup);
		fired = poll(&event, 1, 2500);
	}
	CU_ASSERT_EQUAL(fired, 1);
	CU_ASSERT_EQUAL(event.revents, POLLIN);
	CU_ASSERT_EQUAL(pressure_trigger_check(trigger), 0);
}

/* As by a successor: who has opened it is gone then, and another has held its file. */
static void take_over(struct pressure_trigger *trigger)
{
	int file = fcntl(trigger->file, F_DUPFD_CLOEXEC, 0);

	pressure_trigger_close(trigger);
	CU_ASSERT_EQUAL_FATAL(pressure_trigger_take_over(file, trigger), 0);
	CU_ASSERT_EQUAL(trigger->file, file);
}

/* What it has fired for its first owner is not told again. */
static void test_fires(void)
{
	struct pressure_trigger trigger;
	struct cgroup cgroup;

	if (!have_pressure() || !have_disk() || !cgroup_make(&cgroup))
		return;
	if (open_trigger(1, &trigger)) {
		check_fires(&trigger, &cgroup);
		take_over(&trigger);
		check_fires(&trigger, &cgroup);
		pressure_trigger_close(&trigger);
	}
	for (int i = 0; rmdir(cgroup.path) < 0 && errno == EBUSY && i < 100; i++)
		usleep(10000);
}

/* A cgroup of the second version, where there is one, has no limit of its own to be watched. */
static bool pressured_cgroup_make(struct cgroup *cgroup, char *ret_file, size_t size)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
		snprintf(cgroup->path, sizeof cgroup->path, "%s/gmemd-test-pressure-%d", roots[i],
			getpid());
		if (mkdir(cgroup->path, 0755) < 0)
			continue;
		snprintf(ret_file, size, "%s/memory.pressure", cgroup->path);
		if (access(ret_file, W_OK) == 0)
			return true;
		rmdir(cgroup->path);
	}
	unit_skip("no cgroup with a memory.pressure can be made here");
	return false;
}

/* That its cgroup has gone is told, again and again. */
static void test_cgroup_gone(void)
{
	static const struct pressure_threshold threshold = {PRESSURE_FULL, 1, PRESSURE_WINDOW_UNIT};
	struct pollfd event = {.events = POLLIN};
	struct pressure_trigger trigger;
	struct cgroup cgroup;
	char file[160];

	if (!pressured_cgroup_make(&cgroup, file, sizeof file))
		return;
	CU_ASSERT_EQUAL_FATAL(pressure_trigger_open(file, &threshold, &trigger), 0);
	event.fd = trigger.ready;
	CU_ASSERT_EQUAL(poll(&event, 1, 0), 0);
	CU_ASSERT_EQUAL(rmdir(cgroup.path), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(poll(&event, 1, 10000), 1);
		CU_ASSERT_EQUAL(pressure_trigger_check(&trigger), -ENODEV);
	}
	pressure_trigger_close(&trigger);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a trigger", test_trigger},
		{"a trigger of an unprivileged user", test_unprivileged},
		{"bad thresholds", test_bad_thresholds},
		{"what is no trigger", test_no_trigger},
		{"a trigger fires, taken over too", test_fires},
		{"a cgroup that is gone", test_cgroup_gone},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "pressure", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
