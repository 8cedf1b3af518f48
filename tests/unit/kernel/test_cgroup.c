/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory cgroups: where one is by what /proc says, what room it has, who enters it.
 */
#include "kernel/host/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/process.h"
#include "tests/lib/own_cgroup.h"
#include "tests/lib/unit.h"

#define MIB (1024ull * 1024)

/* Finding it */

#define V2                                                                                         \
	"22 28 0:21 / /proc rw,nosuid - proc proc rw\n"                                            \
	"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1                                                                                         \
	"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                      \
	"32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"    \
	"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
#define HYBRID V1 "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define PROCESS_V1                                                                                 \
	"9:name=systemd:/machine\n5:cpu,cpuacct:/a\n4:memory:/machine/vm 1:x\n0::/unified/vm\n"

struct place {
	const char *name;
	const char *cgroups;
	const char *mounts;
	int r;
	const char *path;
	bool unified;
};

static const struct place places[] = {
	{"v2", "0::/machine.slice/vm.scope\n", V2, 0, "/sys/fs/cgroup/machine.slice/vm.scope",
		true},
	{"v2 root", "0::/\n", V2, 0, "/sys/fs/cgroup/", true},
	{"v1", "4:memory:/machine/vm\n", V1, 0, "/sys/fs/cgroup/memory/machine/vm", false},
	{"colons and blanks", PROCESS_V1, V1, 0, "/sys/fs/cgroup/memory/machine/vm 1:x", false},
	{"hybrid", PROCESS_V1, HYBRID, 0, "/sys/fs/cgroup/memory/machine/vm 1:x", false},
	{"hybrid, unified first", "0::/unified\n4:memory:/v1\n", HYBRID, 0,
		"/sys/fs/cgroup/memory/v1", false},
	{"memory unified, other controllers not", "5:cpu:/a\n0::/vm\n", HYBRID, 0,
		"/sys/fs/cgroup/unified/vm", true},
	{"memory with another controller", "4:cpu,memory:/vm\n",
		"35 31 0:32 / /mnt rw - cgroup cgroup rw,cpu,memory\n", 0, "/mnt/vm", false},
	{"a name is no controller", "4:name=memory:/vm\n", V1, -ENOENT, NULL, false},
	{"part of a name is none", "4:memory2:/vm\n5:xmemory:/vm\n", V1, -ENOENT, NULL, false},
	{"an option that is no controller", "4:memory:/vm\n",
		"35 31 0:32 / /mnt rw - cgroup cgroup rw,name=memory\n", -EXDEV, NULL, false},
	{"mount elsewhere, escaped", "0::/vm\n",
		"30 23 0:26 / /a\\040b\\134c\\011 rw - cgroup2 cgroup2 rw\n", 0, "/a b\\c\t/vm",
		true},
	{"bind mount", "0::/docker/abc/vm\n",
		"30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", 0,
		"/sys/fs/cgroup/vm", true},
	{"bind mount, its root", "0::/docker/abc\n",
		"30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", 0,
		"/sys/fs/cgroup", true},
	{"bind mount of a name's beginning", "0::/docker/abcd\n",
		"30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", -EXDEV, NULL,
		false},
	{"bind mount of another, then all", "0::/docker/abcd\n",
		"30 23 0:26 /docker/abc /x ro - cgroup2 cgroup rw\n" V2, 0,
		"/sys/fs/cgroup/docker/abcd", true},
	{"bind mount of something else", "0::/docker/abc\n",
		"30 23 0:26 /machine /sys/fs/cgroup ro - cgroup2 cgroup rw\n", -EXDEV, NULL, false},
	{"outside of our namespace", "0::/../vm\n", V2, -EXDEV, NULL, false},
	{"just outside of it", "0::/..\n", V2, -EXDEV, NULL, false},
	{"outside, and mounted from there", "0::/../vm\n",
		"30 23 0:26 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n", 0, "/sys/fs/cgroup/vm",
		true},
	{"two steps outside", "0::/../../vm\n",
		"30 23 0:26 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n", -EXDEV, NULL, false},
	{"a name that begins with dots", "0::/..vm\n", V2, 0, "/sys/fs/cgroup/..vm", true},
	{"not mounted", "0::/vm\n", V1, -EXDEV, NULL, false},
	{"no mounts", "0::/vm\n", "", -EXDEV, NULL, false},
	{"none", "", V2, -ENOENT, NULL, false},
	{"no path", "0::\n", V2, -EINVAL, NULL, false},
	{"no line of this kind", "memory\n", V2, -EINVAL, NULL, false},
	{"broken mounts", "0::/vm\n", "30 23\n - \n30 23 0:26 / /x rw cgroup2\nx - cgroup2 a b\n",
		-EXDEV, NULL, false},
};

static void test_locate(void)
{
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const struct place *place = &places[i];
		struct cgroup_location location = {.path = "untouched"};
		int r = cgroup_locate(place->cgroups, place->mounts, &location);

		UNIT_ASSERT_ROW(r == place->r, "%s: %d", place->name, r);
		UNIT_ASSERT_ROW(strcmp(location.path, place->path ? place->path : "untouched") == 0,
			"%s: %s", place->name, location.path);
		UNIT_ASSERT_ROW(location.unified == place->unified, "%s", place->name);
	}
}

static void test_long_path(void)
{
	static char cgroups[2 * PATH_MAX] = "0::/";
	struct cgroup_location location;

	memset(cgroups + 4, 'c', PATH_MAX - 2);
	CU_ASSERT_EQUAL(cgroup_locate(cgroups, V2, &location), -ENAMETOOLONG);
	cgroups[PATH_MAX + 2] = 'c';
	CU_ASSERT_EQUAL(cgroup_locate(cgroups, V2, &location), -EINVAL);
}

static bool same_directory(const struct cgroup *cgroup, const char *path)
{
	char link[64], target[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", cgroup->directory);
	length = readlink(link, target, sizeof target - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	return strcmp(target, path) == 0;
}

static void test_of_process(void)
{
	size_t before = unit_open_fds();
	struct own_cgroup own;
	struct unit_child child;
	struct cgroup cgroup = {.directory = -77}, mine;
	int pidfd;

	if (!own_cgroup_or_skip("of-process", &own))
		return;
	own_cgroup_start_member(&own, &child);
	pidfd = pidfd_open(child.pid, 0);
	CU_ASSERT_EQUAL_FATAL(cgroup_of_process(child.pid, pidfd, &cgroup), 0);
	CU_ASSERT_TRUE(same_directory(&cgroup, own.path));
	CU_ASSERT_EQUAL(cgroup.unified, own.cgroup.unified);
	CU_ASSERT_EQUAL(fcntl(cgroup.directory, F_GETFD), FD_CLOEXEC);
	cgroup_release(&cgroup);
	CU_ASSERT_EQUAL(cgroup.directory, -1);
	CU_ASSERT_EQUAL_FATAL(cgroup_own(&mine), 0);
	CU_ASSERT_FALSE(same_directory(&mine, own.path));
	cgroup_release(&mine);
	kill(child.pid, SIGKILL);
	unit_child_end(&child, SIGKILL);
	close(pidfd);
	own_cgroup_end(&own);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void *sit(void *context)
{
	(void)context;
	for (;;)
		pause();
	return NULL;
}

static void enter_and_end_main_thread(void *context)
{
	pthread_t thread;

	CU_ASSERT_EQUAL(cgroup_enter(*(int *)context), 0);
	if (pthread_create(&thread, NULL, sit, NULL) == 0)
		syscall(SYS_exit, 0);
}

/* On v1 it would be in the root: all that is allocated for it would be charged there. */
static void test_of_process_without_main_thread(void)
{
	struct cgroup cgroup = {.directory = -1};
	struct own_cgroup own;
	struct unit_child child;
	int pidfd, entrance = -1;

	if (!own_cgroup_or_skip("without-main-thread", &own))
		return;
	CU_ASSERT_EQUAL_FATAL(cgroup_open_entrance(&own.cgroup, &entrance), 0);
	unit_child_start(&child, enter_and_end_main_thread, &entrance);
	pidfd = pidfd_open(child.pid, 0);
	for (unsigned i = 0; i < 6000 && process_thread_lives(child.pid, child.pid); i++)
		usleep(10000);
	CU_ASSERT_FALSE(process_thread_lives(child.pid, child.pid));
	CU_ASSERT_EQUAL_FATAL(cgroup_of_process(child.pid, pidfd, &cgroup), 0);
	CU_ASSERT_TRUE(same_directory(&cgroup, own.path));
	cgroup_release(&cgroup);
	kill(child.pid, SIGKILL);
	unit_child_end(&child, SIGKILL);
	CU_ASSERT_EQUAL(cgroup_of_process(child.pid, pidfd, &cgroup), -ESRCH);
	close(entrance);
	close(pidfd);
	own_cgroup_end(&own);
}

/* Its pid may be anybody's by now: here it is ours. */
static void test_of_the_dead(void)
{
	struct cgroup cgroup = {.directory = -77};
	cleanup_fd int pidfd = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	pidfd = pidfd_open(child, 0);
	while (!process_ended(pidfd))
		usleep(1000);
	CU_ASSERT_EQUAL(cgroup_of_process(child, pidfd, &cgroup), -ESRCH);
	CU_ASSERT_EQUAL(cgroup_of_process(getpid(), pidfd, &cgroup), -ESRCH);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	CU_ASSERT_EQUAL(cgroup_of_process(child, pidfd, &cgroup), -ESRCH);
	CU_ASSERT_EQUAL(cgroup.directory, -77);
}

/* Room */

static uint64_t room_of(const struct own_cgroup *own)
{
	struct cgroup_room room = {.bytes = 77};

	CU_ASSERT_EQUAL(cgroup_room(&own->cgroup, &room), 0);
	return room.bytes;
}

static void test_room(void)
{
	struct cgroup_room room;
	struct own_cgroup own;

	if (!own_cgroup_or_skip("room", &own))
		return;
	CU_ASSERT_EQUAL(cgroup_room(&own.cgroup, &room), 0);
	CU_ASSERT_TRUE(room.bytes > 64 * MIB);
	CU_ASSERT_TRUE(own_cgroup_limit(&own, 64 * MIB));
	CU_ASSERT_EQUAL(cgroup_room(&own.cgroup, &room), 0);
	CU_ASSERT_EQUAL(room.limit, 64 * MIB);
	CU_ASSERT_TRUE(room.bytes > 60 * MIB && room.bytes <= 64 * MIB);
	CU_ASSERT_EQUAL(room.bytes, room.limit - room.used);
	own_cgroup_end(&own);
}

static void test_room_of_ancestors(void)
{
	struct own_cgroup own, child;

	if (!own_cgroup_or_skip("ancestor", &own))
		return;
	if (own_cgroup_child(&own, "child", &child)) {
		CU_ASSERT_TRUE(own_cgroup_limit(&own, 32 * MIB));
		CU_ASSERT_TRUE(own_cgroup_limit(&child, 96 * MIB));
		CU_ASSERT_TRUE(room_of(&child) <= 32 * MIB);
		CU_ASSERT_TRUE(own_cgroup_limit(&child, 16 * MIB));
		CU_ASSERT_TRUE(room_of(&child) <= 16 * MIB);
		CU_ASSERT_TRUE(room_of(&own) > 16 * MIB);
		own_cgroup_end(&child);
	} else {
		unit_skip("the memory controller can't be handed down here");
	}
	own_cgroup_end(&own);
}

struct filling {
	int entrance;
	int file;
	int to_child[2], to_parent[2];
};

/* Writes 16 MiB into the file, from within the cgroup. */
static void fill(void *context)
{
	static char page[1024 * 1024];
	struct filling *filling = context;
	char byte;

	CU_ASSERT_EQUAL(cgroup_enter(filling->entrance), 0);
	memset(page, 'x', sizeof page);
	for (int i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(write(filling->file, page, sizeof page), sizeof page);
	fsync(filling->file);
	(void)!write(filling->to_parent[1], "", 1);
	(void)!read(filling->to_child[0], &byte, 1);
}

static uint64_t room_used_by(const struct own_cgroup *own, int file)
{
	struct filling filling = {.file = file};
	struct unit_child child;
	uint64_t before = room_of(own), after;
	char byte;

	CU_ASSERT_EQUAL_FATAL(cgroup_open_entrance(&own->cgroup, &filling.entrance), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(filling.to_child, O_CLOEXEC), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(filling.to_parent, O_CLOEXEC), 0);
	unit_child_start(&child, fill, &filling);
	CU_ASSERT_EQUAL(read(filling.to_parent[0], &byte, 1), 1);
	after = room_of(own);
	CU_ASSERT_TRUE(own_cgroup_usage(own) >= 16 * MIB);
	(void)!write(filling.to_child[1], "", 1);
	unit_child_end(&child, 0);
	close(filling.entrance);
	for (int i = 0; i < 2; i++) {
		close(filling.to_child[i]);
		close(filling.to_parent[i]);
	}
	return before > after ? before - after : 0;
}

/* What the kernel would free before it kills leaves room; tmpfs does not. */
static void test_reclaimable_is_room(void)
{
	char path[] = "/var/tmp/gmemd-test-XXXXXX";
	cleanup_fd int memfd = memfd_create("filled", MFD_CLOEXEC);
	cleanup_fd int file = mkstemp(path);
	struct own_cgroup own;
	struct statfs status;

	unlink(path);
	CU_ASSERT_TRUE_FATAL(file >= 0 && fstatfs(file, &status) == 0);
	if (status.f_type == TMPFS_MAGIC) {
		unit_skip("/var/tmp is on no disk");
		return;
	}
	if (!own_cgroup_or_skip("reclaimable", &own))
		return;
	CU_ASSERT_TRUE(own_cgroup_limit(&own, 256 * MIB));
	CU_ASSERT_TRUE(room_used_by(&own, memfd) >= 16 * MIB);
	CU_ASSERT_TRUE(room_used_by(&own, file) < 8 * MIB);
	own_cgroup_end(&own);
}

/* Files that look like the unified hierarchy's, where there may be none. */
struct likeness {
	char path[64];
	struct cgroup cgroup;
};

static void put(const char *directory, const char *name, const char *text)
{
	char path[128];
	cleanup_file FILE *file = NULL;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	file = fopen(path, "we");
	CU_ASSERT_TRUE_FATAL(file && fputs(text, file) >= 0);
}

static void put_level(const char *directory, const char *limit, const char *usage)
{
	mkdir(directory, 0700);
	put(directory, "cgroup.procs", "");
	put(directory, "memory.max", limit);
	put(directory, "memory.current", usage);
	put(directory, "memory.stat",
		"anon 5\nfile 1000\nfile_dirty 100\nfile_writeback 50\ninactive_anon 7000\n"
		"inactive_file 500\nactive_file 250\nworkingset_inactive_file 9000\n");
	put(directory, "memory.events.local", "low 0\noom 9\noom_kill 3\noom_group_kill 0\n");
}

static void likeness_make(struct likeness *likeness, const char *limit, const char *above)
{
	char path[80];

	snprintf(likeness->path, sizeof likeness->path, "/tmp/gmemd-test-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(likeness->path));
	put_level(likeness->path, above, "4000\n");
	snprintf(path, sizeof path, "%s/vm", likeness->path);
	put_level(path, limit, "3000\n");
	likeness->cgroup.unified = true;
	likeness->cgroup.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void likeness_end(struct likeness *likeness)
{
	static const char *const names[] = {"cgroup.procs", "memory.max", "memory.current",
		"memory.stat", "memory.events.local", "memory.limit_in_bytes",
		"memory.usage_in_bytes", "memory.use_hierarchy", ""};
	const size_t count = sizeof names / sizeof *names;
	char path[128];

	cgroup_release(&likeness->cgroup);
	for (size_t i = 0; i < 2 * count; i++) {
		snprintf(path, sizeof path, "%s/%s%s", likeness->path, i < count ? "vm/" : "",
			names[i % count]);
		remove(path);
	}
}

static void check_unified(
	const char *limit, const char *above, uint64_t bytes, uint64_t of_limit, uint64_t used)
{
	struct likeness likeness;
	struct cgroup_room room = {.bytes = 77};

	likeness_make(&likeness, limit, above);
	CU_ASSERT_EQUAL(cgroup_room(&likeness.cgroup, &room), 0);
	UNIT_ASSERT_ROW(room.bytes == bytes && room.limit == of_limit && room.used == used,
		"%s below %s: %llu of %llu, %llu used", limit, above,
		(unsigned long long)room.bytes, (unsigned long long)room.limit,
		(unsigned long long)room.used);
	likeness_end(&likeness);
}

/* 600 of each use is reclaimable. */
static void test_unified_room(void)
{
	check_unified("max\n", "max\n", CGROUP_UNLIMITED, CGROUP_UNLIMITED, 0);
	check_unified("10000\n", "max\n", 7600, 10000, 2400);
	check_unified("max\n", "10000\n", 6600, 10000, 3400);
	check_unified("10000\n", "20000\n", 7600, 10000, 2400);
	check_unified("10000\n", "5000\n", 1600, 5000, 3400);
	check_unified("1000\n", "5000\n", 0, 1000, 2400);
	check_unified("0\n", "max\n", 0, 0, 2400);
}

static void test_unified_kills(void)
{
	struct likeness likeness;
	uint64_t count = 77;

	likeness_make(&likeness, "max\n", "max\n");
	CU_ASSERT_EQUAL(cgroup_oom_kills(&likeness.cgroup, &count), 0);
	CU_ASSERT_EQUAL(count, 3);
	/* Without a controller of its own, it is part of the one above. */
	unlinkat(likeness.cgroup.directory, "memory.events.local", 0);
	count = 77;
	CU_ASSERT_EQUAL(cgroup_oom_kills(&likeness.cgroup, &count), 0);
	CU_ASSERT_EQUAL(count, 3);
	likeness_end(&likeness);
}

static void test_unified_without_counts(void)
{
	struct likeness likeness;
	struct cgroup_room room = {.bytes = 77};
	uint64_t count = 77;
	char above[128];

	likeness_make(&likeness, "10000\n", "max\n");
	snprintf(above, sizeof above, "%s/vm", likeness.path);
	put(above, "memory.events.local", "low 0\n");
	CU_ASSERT_EQUAL(cgroup_oom_kills(&likeness.cgroup, &count), 0);
	CU_ASSERT_EQUAL(count, 0);
	/* As far up as there is anything. */
	unlinkat(likeness.cgroup.directory, "memory.events.local", 0);
	snprintf(above, sizeof above, "%s/memory.events.local", likeness.path);
	unlink(above);
	count = 77;
	CU_ASSERT_EQUAL(cgroup_oom_kills(&likeness.cgroup, &count), 0);
	CU_ASSERT_EQUAL(count, 0);
	unlinkat(likeness.cgroup.directory, "memory.stat", 0);
	CU_ASSERT_EQUAL(mkdirat(likeness.cgroup.directory, "memory.stat", 0700), 0);
	CU_ASSERT_EQUAL(cgroup_room(&likeness.cgroup, &room), -EISDIR);
	CU_ASSERT_EQUAL(room.bytes, 77);
	likeness_end(&likeness);
}

/* As v1 was before Linux 5.11: one above doesn't count what those below use. */
static void test_room_without_hierarchy(void)
{
	struct likeness likeness;
	struct cgroup_room room;
	char below[128];

	likeness_make(&likeness, "max\n", "max\n");
	likeness.cgroup.unified = false;
	snprintf(below, sizeof below, "%s/vm", likeness.path);
	for (const char *directory = below; directory;
		directory = directory == below ? likeness.path : NULL) {
		put(directory, "memory.limit_in_bytes", directory == below ? "9000\n" : "5000\n");
		put(directory, "memory.usage_in_bytes", "1000\n");
		put(directory, "memory.use_hierarchy", "0\n");
	}
	CU_ASSERT_EQUAL(cgroup_room(&likeness.cgroup, &room), 0);
	CU_ASSERT_EQUAL(room.limit, 9000);
	put(likeness.path, "memory.use_hierarchy", "1\n");
	CU_ASSERT_EQUAL(cgroup_room(&likeness.cgroup, &room), 0);
	CU_ASSERT_EQUAL(room.limit, 5000);
	likeness_end(&likeness);
}

static void test_oom_kills(void)
{
	struct own_cgroup own;
	uint64_t count = 77;

	if (!own_cgroup_or_skip("kills", &own))
		return;
	CU_ASSERT_EQUAL(cgroup_oom_kills(&own.cgroup, &count), 0);
	CU_ASSERT_EQUAL(count, 0);
	own_cgroup_end(&own);
}

static void test_removed(void)
{
	struct own_cgroup own;
	struct cgroup_room room = {.bytes = 77};
	uint64_t count = 77;
	int entrance = -77, opened = -1;

	if (!own_cgroup_or_skip("removed", &own))
		return;
	CU_ASSERT_EQUAL(cgroup_open_entrance(&own.cgroup, &opened), 0);
	own_cgroup_remove(&own);
	CU_ASSERT_EQUAL(cgroup_room(&own.cgroup, &room), -ENODEV);
	CU_ASSERT_EQUAL(cgroup_oom_kills(&own.cgroup, &count), -ENODEV);
	CU_ASSERT_EQUAL(cgroup_open_entrance(&own.cgroup, &entrance), -ENODEV);
	CU_ASSERT_EQUAL(cgroup_enter(opened), -ENODEV);
	CU_ASSERT_TRUE(room.bytes == 77 && count == 77 && entrance == -77);
	fd_close(opened);
	own_cgroup_end(&own);
}

int main(void)
{
	CU_TestInfo finding[] = {
		{"by what is said of it", test_locate},
		{"long paths", test_long_path},
		{"of a process", test_of_process},
		{"of a process without its main thread", test_of_process_without_main_thread},
		{"of a dead process", test_of_the_dead},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo contents[] = {
		{"room", test_room},
		{"room of ancestors", test_room_of_ancestors},
		{"what is reclaimable is room", test_reclaimable_is_room},
		{"kills", test_oom_kills},
		{"room in the unified hierarchy", test_unified_room},
		{"kills in the unified hierarchy", test_unified_kills},
		{"where less is told", test_unified_without_counts},
		{"without hierarchical use", test_room_without_hierarchy},
		{"removed", test_removed},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "finding", .pTests = finding},
		{.pName = "contents", .pTests = contents},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
