/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in a file: what is read is what was written.
 */
#include "kernel/store/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define PAGE 4096ull

static struct ranges wanted;

static void check_read(int fd, enum frames_set set)
{
	struct range_place of_wanted, of_found;
	const struct range *a = ranges_from(&wanted, 0, &of_wanted), *b;
	struct ranges found = {.leaves = NULL};

	CU_ASSERT_EQUAL(frames_read(fd, set, &found), 0);
	CU_ASSERT_EQUAL(ranges_count(&found), ranges_count(&wanted));
	CU_ASSERT_EQUAL(ranges_total(&found), ranges_total(&wanted));
	for (b = ranges_from(&found, 0, &of_found); a && b;
		a = ranges_next(&of_wanted), b = ranges_next(&of_found))
		UNIT_ASSERT_ROW(a->start == b->start && a->end == b->end, "range at %llx",
			(unsigned long long)a->start);
	ranges_clear(&found);
}

static void change(int fd, bool in, uint64_t start, uint64_t size)
{
	CU_ASSERT_EQUAL((in ? ranges_add : ranges_remove)(&wanted, start, size), 0);
	CU_ASSERT_EQUAL(frames_write(fd, FRAMES_PRIVATE, &wanted, start, size), 0);
}

static void test_written(void)
{
	cleanup_fd int fd = -1;

	CU_ASSERT_EQUAL_FATAL(frames_new(&fd), 0);
	check_read(fd, FRAMES_PRIVATE);
	change(fd, true, 0, PAGE);
	change(fd, true, 7 * PAGE, 3 * PAGE);
	change(fd, true, 1ull << 40, 1ull << 32);
	change(fd, true, (1ull << 52) - PAGE, PAGE);
	check_read(fd, FRAMES_PRIVATE);
	change(fd, false, 8 * PAGE, PAGE);
	change(fd, false, (1ull << 40) + PAGE, (1ull << 32) - 2 * PAGE);
	check_read(fd, FRAMES_PRIVATE);
	CU_ASSERT_EQUAL(frames_write(fd, FRAMES_PRIVATE, &wanted, 1ull << 52, PAGE), -EINVAL);
	ranges_clear(&wanted);
	check_read(fd, FRAMES_IN_BOTH);
}

static void test_random(void)
{
	cleanup_fd int fd = -1;
	unsigned seed = 1;

	CU_ASSERT_EQUAL_FATAL(frames_new(&fd), 0);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t start = (uint64_t)(rand_r(&seed) % 70000) * PAGE;
		uint64_t size = (uint64_t)(1 + rand_r(&seed) % (i % 100 == 0 ? 5000 : 8)) * PAGE;

		change(fd, rand_r(&seed) % 2, start, size);
	}
	CU_ASSERT_TRUE(ranges_count(&wanted) > 50);
	check_read(fd, FRAMES_PRIVATE);
	ranges_clear(&wanted);
}

static void test_other_files(void)
{
	cleanup_fd int fd = memfd_create("other", MFD_CLOEXEC);
	struct ranges found = {.leaves = NULL};

	CU_ASSERT_EQUAL(frames_read(fd, FRAMES_PRIVATE, &found), -EBADMSG);
	CU_ASSERT_EQUAL(ftruncate(fd, 4096), 0);
	CU_ASSERT_EQUAL(frames_read(fd, FRAMES_IN_BOTH, &found), -EBADMSG);
	CU_ASSERT_EQUAL(frames_read(-1, FRAMES_IN_BOTH, &found), -EBADMSG);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"written and read", test_written},
		{"at random", test_random},
		{"other files", test_other_files},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "frames", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
