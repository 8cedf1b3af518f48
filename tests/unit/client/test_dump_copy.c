/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl dump's reading of guest memory: by the file and by a mapping, which a guest_memfd leaves
 * as the only way, the same comes of it, and nothing is allocated.
 */
#include "client/ctl/dump/copy.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "tests/lib/unit.h"

#define PAGE  4096u
#define PAGES 64u

static int new_file(const char *name)
{
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd(name, PAGES * PAGE, &fd), 0);
	return fd;
}

static uint64_t resident(int fd)
{
	uint64_t bytes = 0;

	CU_ASSERT_EQUAL(memory_file_resident(fd, &bytes), 0);
	return bytes;
}

/* Page 3, two in a row, one of zeroes, and the last. */
static void fill(int fd)
{
	static const unsigned written[] = {3, 10, 11, PAGES - 1};
	char page[PAGE] = "";

	CU_ASSERT_EQUAL(pwrite(fd, page, PAGE, 20 * PAGE), PAGE);
	for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
		memset(page, (int)written[i], sizeof page);
		CU_ASSERT_EQUAL(pwrite(fd, page, PAGE, written[i] * PAGE), PAGE);
	}
}

static void check_copy(bool mapped)
{
	cleanup_fd int from = new_file("from"), to = new_file("to");
	char *wanted, *found;
	const struct core_file core = {.fd = to};
	struct dump_source source;
	uint64_t unread = 0;

	fill(from);
	CU_ASSERT_EQUAL_FATAL(
		dump_source_open(dup(from), (uint64_t)PAGES * PAGE, mapped, &source), 0);
	CU_ASSERT_EQUAL(dump_copy(&source, 0, (uint64_t)PAGES * PAGE, &core, 0, &unread), 0);
	dump_source_close(&source);
	CU_ASSERT_EQUAL(unread, 0);
	CU_ASSERT_EQUAL(resident(from), 5 * PAGE);
	CU_ASSERT_EQUAL(resident(to), 4 * PAGE);
	wanted = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, from, 0);
	found = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, to, 0);
	CU_ASSERT_EQUAL(memcmp(wanted, found, PAGES * PAGE), 0);
	munmap(wanted, PAGES * PAGE);
	munmap(found, PAGES * PAGE);
}

static void test_read(void)
{
	check_copy(false);
}

static void test_mapped(void)
{
	if (geteuid() != 0)
		unit_skip("only root is told which pages there are");
	else
		check_copy(true);
}

/* As a page is that has become private, or is broken: it is counted, and the rest is there. */
static void test_unread(void)
{
	cleanup_fd int from = new_file("from"), to = new_file("to");
	const struct core_file core = {.fd = to};
	struct dump_source source;
	uint64_t unread = 0;

	fill(from);
	CU_ASSERT_EQUAL_FATAL(
		dump_source_open(dup(from), (uint64_t)PAGES * PAGE, true, &source), 0);
	CU_ASSERT_EQUAL_FATAL(mprotect(source.mapped + 11 * PAGE, PAGE, PROT_NONE), 0);
	CU_ASSERT_EQUAL(dump_copy(&source, 0, (uint64_t)PAGES * PAGE, &core, 0, &unread), 0);
	CU_ASSERT_EQUAL(unread, PAGE);
	CU_ASSERT_EQUAL(resident(to), 3 * PAGE);
	dump_source_close(&source);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"by the file", test_read},
		{"by a mapping", test_mapped},
		{"what can't be read", test_unread},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "dump", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
