/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's and its nodes' memory: the texts, and those of the kernel that runs.
 */
#include "kernel/host/meminfo.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define KIB 1024ull

static void test_parse(void)
{
	static const char text[] = "MemTotal:       24684092 kB\nMemFree:        23992976 kB\n"
				   "MemAvailable:   24201428 kB\nBuffers:            3368 kB\n";
	struct meminfo meminfo;

	CU_ASSERT_EQUAL_FATAL(meminfo_parse(text, &meminfo), 0);
	CU_ASSERT_EQUAL(meminfo.total, 24684092 * KIB);
	CU_ASSERT_EQUAL(meminfo.free, 23992976 * KIB);
	CU_ASSERT_EQUAL(meminfo.available, 24201428 * KIB);
}

static void test_parse_bad(void)
{
	static const char *const texts[] = {"", "MemTotal: 3 kB\nMemFree: 2 kB\n",
		"MemTotal: 3 kB\nMemFree: 2 kB\nMemAvailable:",
		"MemTotal: 3 kB\nMemFree: 2 kB\nMemAvailable: 1",
		"MemTotal: 3 kB\nMemFree: x kB\nMemAvailable: 1 kB\n",
		"MemTotal: -3 kB\nMemFree: 2 kB\nMemAvailable: 1 kB\n",
		"MemTotal: 3 MB\nMemFree: 2 kB\nMemAvailable: 1 kB\n",
		"MemTotal: 3 kB\nMemFree: 2 kB\nNotMemAvailable: 1 kB\n",
		"MemTotal: 18446744073709551616 kB\nMemFree: 2 kB\nMemAvailable: 1 kB\n",
		"MemTotal: 18014398509481984 kB\nMemFree: 2 kB\nMemAvailable: 1 kB\n"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct meminfo meminfo = {.total = 77};

		UNIT_ASSERT_ROW(meminfo_parse(texts[i], &meminfo) == -EBADMSG, "%s", texts[i]);
		CU_ASSERT_EQUAL(meminfo.total, 77);
	}
}

/* An odd order, so that no field is taken for another whose name it ends with. */
static void test_parse_node(void)
{
	static const char text[] =
		"\nNode 1 MemTotal:       10000 kB\nNode 1 MemFree:  1000 kB\n"
		"Node 1 Inactive:         9999 kB\n"
		"Node 1 Inactive(file):    400 kB\n"
		"Node 1 Active(anon):     8888 kB\nNode 1 Active(file):  200 kB\n"
		"Node 1 KReclaimable:      100 kB\nNode 1 SReclaimable:  60 kB\n";
	struct meminfo meminfo;

	CU_ASSERT_EQUAL_FATAL(meminfo_parse_node(text, &meminfo), 0);
	CU_ASSERT_EQUAL(meminfo.total, 10000 * KIB);
	CU_ASSERT_EQUAL(meminfo.free, 1000 * KIB);
	CU_ASSERT_EQUAL(meminfo.available, (1000 + 200 + 100 + 30) * KIB);
	CU_ASSERT_EQUAL(meminfo_parse_node("Node 1 MemTotal: 1 kB\n", &meminfo), -EBADMSG);
	CU_ASSERT_EQUAL(meminfo.total, 10000 * KIB);
}

static void test_host(void)
{
	struct meminfo first, second;
	size_t before = unit_open_fds();
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(meminfo_open(&fd), 0);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(meminfo_read(fd, &first), 0);
	CU_ASSERT_EQUAL(meminfo_read(fd, &second), 0);
	CU_ASSERT_TRUE(second.total > 0);
	CU_ASSERT_TRUE(second.free > 0 && second.free < second.total);
	CU_ASSERT_TRUE(second.available > 0 && second.available <= second.total);
	close(fd);
	CU_ASSERT_EQUAL(meminfo_read(-1, &first), -EBADF);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void check_node(unsigned node)
{
	cleanup_fd int fd = -1;
	struct meminfo meminfo;

	CU_ASSERT_EQUAL_FATAL(meminfo_open_node(node, &fd), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(meminfo_read_node(fd, &meminfo), 0);
		UNIT_ASSERT_ROW(
			meminfo.total > 0 && meminfo.free <= meminfo.available, "node %u", node);
	}
}

static void test_nodes(void)
{
	struct ranges nodes = {0};
	struct range_place place;
	int r = meminfo_nodes(&nodes), fd = -77;
	char line[4096];

	if (r == -ENOENT) {
		unit_skip("the kernel knows no NUMA nodes");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_TRUE(ranges_total(&nodes) > 0);
	for (const struct range *range = ranges_from(&nodes, 0, &place); range;
		range = ranges_next(&place)) {
		for (uint64_t node = range->start; node < range->end; node++)
			check_node((unsigned)node);
	}
	CU_ASSERT_EQUAL(meminfo_node_line(99999, "cpulist", line, sizeof line), -ENOENT);
	CU_ASSERT_EQUAL(
		meminfo_node_line(ranges_from(&nodes, 0, &place)->start, "distance", line, 2),
		-ENAMETOOLONG);
	CU_ASSERT_EQUAL(meminfo_node_line(ranges_from(&nodes, 0, &place)->start, "distance", line,
				sizeof line),
		0);
	CU_ASSERT_TRUE(strlen(line) >= 2 && !strchr(line, '\n'));
	CU_ASSERT_EQUAL(meminfo_open_node(99999, &fd), -ENOENT);
	CU_ASSERT_EQUAL(fd, -77);
	ranges_clear(&nodes);
}

static void test_parse_nodes(void)
{
	static const struct {
		const char *text;
		int r;
		size_t count;
		uint64_t total;
	} rows[] = {{"0\n", 0, 1, 1}, {"0-3\n", 0, 1, 4}, {"0,2,4-7\n", 0, 3, 6}, {"\n", 0, 0, 0},
		{"", 0, 0, 0}, {"12", 0, 1, 1}, {"x\n", -EBADMSG, 0, 0}, {"-1\n", -EBADMSG, 0, 0},
		{"3-2\n", -EBADMSG, 0, 0}, {"1-\n", -EBADMSG, 0, 0}, {"1 2\n", -EBADMSG, 0, 0},
		{"1\n2\n", -EBADMSG, 0, 0}, {"0-18446744073709551615\n", -EINVAL, 0, 0}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ranges nodes = {0};
		int r = meminfo_parse_nodes(rows[i].text, &nodes);

		UNIT_ASSERT_ROW(r == rows[i].r && ranges_count(&nodes) == rows[i].count &&
					ranges_total(&nodes) == rows[i].total,
			"row %zu: %d, %zu of %llu", i, r, ranges_count(&nodes),
			(unsigned long long)ranges_total(&nodes));
		ranges_clear(&nodes);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"the host's text", test_parse},
		{"bad texts", test_parse_bad},
		{"a node's text", test_parse_node},
		{"this host", test_host},
		{"its nodes", test_nodes},
		{"lists of nodes", test_parse_nodes},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "meminfo", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
