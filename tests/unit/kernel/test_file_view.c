/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views of a file: what a process shows is told from all that only looks like it. What is looked at
 * is this process.
 */
#include "kernel/host/file_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define P     4096ull
#define PAGES 16ull
#define SIZE  (PAGES * P)

static int file, other;
static struct file_identity identity;

static int set_up(void)
{
	file = memfd_create("view", MFD_CLOEXEC);
	other = memfd_create("view", MFD_CLOEXEC);
	if (file < 0 || other < 0 || ftruncate(file, SIZE) < 0 || ftruncate(other, SIZE) < 0)
		return -1;
	return file_identity_of(file, &identity);
}

static int tear_down(void)
{
	file = fd_close(file);
	other = fd_close(other);
	return 0;
}

/* In the place of what is there. */
static void map_at(uint64_t at, uint64_t pages, int protection, int flags, int fd, uint64_t page)
{
	void *address = (void *)(uintptr_t)at;

	CU_ASSERT_EQUAL_FATAL(
		mmap(address, pages * P, protection, flags | MAP_FIXED, fd, (off_t)(page * P)),
		address);
}

/* All of the file, with nothing behind it. */
static uint64_t map_whole(void)
{
	void *room = mmap(NULL, SIZE + P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_NOT_EQUAL_FATAL(room, MAP_FAILED);
	map_at((uintptr_t)room, PAGES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return (uintptr_t)room;
}

static void unmap_whole(uint64_t at)
{
	munmap((void *)(uintptr_t)at, SIZE + P);
}

static bool shows(uint64_t address, uint64_t length, uint64_t offset)
{
	const struct file_view view = {address, length, offset, identity};
	uint64_t shown = 99;

	CU_ASSERT_EQUAL(file_views_look(getpid(), &view, 1, &shown), 0);
	CU_ASSERT_TRUE(shown <= 1);
	return shown;
}

static void test_parts(void)
{
	uint64_t at = map_whole();

	CU_ASSERT_TRUE(shows(at, SIZE, 0));
	CU_ASSERT_TRUE(shows(at, P, 0));
	CU_ASSERT_TRUE(shows(at + 3 * P, 5 * P, 3 * P));
	CU_ASSERT_TRUE(shows(at + SIZE - P, P, SIZE - P));
	CU_ASSERT_FALSE(shows(at, SIZE + P, 0));
	CU_ASSERT_FALSE(shows(at - P, P, 0));
	CU_ASSERT_FALSE(shows(at, P, P));
	CU_ASSERT_FALSE(shows(at + P, P, 0));
	CU_ASSERT_FALSE(shows(at + SIZE, P, SIZE));
	CU_ASSERT_FALSE(shows(P, P, 0));
	CU_ASSERT_FALSE(shows(UINT64_MAX - P, P, 0));
	unmap_whole(at);
	CU_ASSERT_FALSE(shows(at, P, 0));
}

/* What is put in the place of its pages 4 to 7. */
static void test_patched(void)
{
	const struct {
		const char *what;
		int protection, flags, *fd;
		uint64_t page;
		bool shown;
	} rows[] = {
		{"the same, read-only", PROT_READ, MAP_SHARED, &file, 4, true},
		{"the same, not to be touched", PROT_NONE, MAP_SHARED, &file, 4, true},
		{"the same, mapped anew", PROT_READ | PROT_WRITE, MAP_SHARED, &file, 4, true},
		{"a private copy", PROT_READ | PROT_WRITE, MAP_PRIVATE, &file, 4, false},
		{"other pages of it", PROT_READ | PROT_WRITE, MAP_SHARED, &file, 5, false},
		{"another file of the name", PROT_READ | PROT_WRITE, MAP_SHARED, &other, 4, false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t at = map_whole();

		map_at(at + 4 * P, 4, rows[i].protection, rows[i].flags, *rows[i].fd, rows[i].page);
		UNIT_ASSERT_ROW(shows(at, SIZE, 0) == rows[i].shown, "%s", rows[i].what);
		CU_ASSERT_TRUE(shows(at, 4 * P, 0));
		CU_ASSERT_TRUE(shows(at + 8 * P, 8 * P, 8 * P));
		CU_ASSERT_EQUAL(shows(at + 7 * P, 2 * P, 7 * P), rows[i].shown);
		unmap_whole(at);
	}
}

static void test_hole(void)
{
	uint64_t at = map_whole();

	CU_ASSERT_EQUAL(munmap((void *)(uintptr_t)(at + 4 * P), P), 0);
	CU_ASSERT_FALSE(shows(at, SIZE, 0));
	CU_ASSERT_FALSE(shows(at + 4 * P, P, 4 * P));
	CU_ASSERT_TRUE(shows(at, 4 * P, 0));
	CU_ASSERT_TRUE(shows(at + 5 * P, P, 5 * P));
	unmap_whole(at);
}

/* Each has its own bit, and they may overlap. */
static void test_many(void)
{
	struct file_view views[FILE_VIEWS_MAX + 1];
	uint64_t at = map_whole(), shown = 0, expected = 0;

	for (size_t i = 0; i < FILE_VIEWS_MAX; i++) {
		bool wrong = i % 3 == 0;

		views[i] = (struct file_view){at + i % PAGES * P, P, i % PAGES * P, identity};
		views[i].offset += wrong ? P : 0;
		expected |= (uint64_t)!wrong << i;
	}
	CU_ASSERT_EQUAL(file_views_look(getpid(), views, FILE_VIEWS_MAX, &shown), 0);
	CU_ASSERT_EQUAL(shown, expected);
	CU_ASSERT_EQUAL(file_views_look(getpid(), views, FILE_VIEWS_MAX + 1, &shown), -EINVAL);
	unmap_whole(at);
}

static void test_no_process(void)
{
	const struct file_view view = {P, P, 0, identity};
	uint64_t shown;

	CU_ASSERT_EQUAL(file_views_look(0x7fffffff, &view, 1, &shown), -ENOENT);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{"parts of a mapping", test_parts},
		{"what is mapped in the place of a part", test_patched},
		{"a hole", test_hole},
		{"many at once", test_many},
		{"no process", test_no_process},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"views of a file", set_up, tear_down, NULL, NULL, tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
