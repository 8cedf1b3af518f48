/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk work: exact counts, whoever does it, and nothing left behind.
 */
#include "daemon/bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "kernel/cleanup.h"
#include "kernel/memory_file.h"
#include "tests/lib/unit.h"

#define MIB (1ull << 20)

static struct event_base *base;
static struct bulk *bulk;
static unsigned n_done;

static void note_done(struct bulk_job *job)
{
	n_done++;
	event_base_loopbreak(base);
	(void)job;
}

static int new_file(uint64_t size, uint64_t allocated_from, uint64_t allocated)
{
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("bulk", size, &fd), 0);
	if (allocated > 0)
		CU_ASSERT_EQUAL_FATAL(
			fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)allocated_from, (off_t)allocated),
			0);
	return fd;
}

static uint64_t resident(int fd)
{
	uint64_t bytes = UINT64_MAX;

	CU_ASSERT_EQUAL(memory_file_resident(fd, &bytes), 0);
	return bytes;
}

static void start(void)
{
	base = event_base_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	CU_ASSERT_EQUAL_FATAL(bulk_new(base, &bulk), 0);
	n_done = 0;
}

static void end(void)
{
	bulk = bulk_free(bulk);
	event_base_free(base);
}

static struct bulk_job *job_on(int fd, enum bulk_kind kind, uint64_t offset, uint64_t size)
{
	struct bulk_job *job = bulk_job_new(1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(job);
	bulk_job_add(job, kind, fd, offset, size);
	job->done = note_done;
	return job;
}

static void test_small(void)
{
	cleanup_fd int fd = new_file(32 * MIB, 2 * MIB, 4 * MIB);
	size_t fds = unit_open_fds();
	struct bulk_job *job = job_on(fd, BULK_COUNT, 0, BULK_SMALL);

	CU_ASSERT_TRUE(bulk_do(NULL, job));
	CU_ASSERT_EQUAL(job->ranges[0].resident, 4 * MIB);
	CU_ASSERT_EQUAL(bulk_job_released(job), 0);
	bulk_job_free(job);
	job = job_on(fd, BULK_PUNCH, 3 * MIB, MIB);
	CU_ASSERT_TRUE(bulk_do(NULL, job));
	CU_ASSERT_EQUAL(bulk_job_released(job), MIB);
	CU_ASSERT_EQUAL(resident(fd), 3 * MIB);
	bulk_job_free(job);
	CU_ASSERT_PTR_NULL(bulk_job_free(NULL));
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
}

/* Without an fd for the thread it is done at once. */
static void test_no_files(void)
{
	cleanup_fd int fd = new_file(64 * MIB, 0, 20 * MIB);
	struct bulk_job *job = job_on(fd, BULK_PUNCH, 0, 64 * MIB);
	struct rlimit limit, none;

	start();
	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){0, limit.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT_TRUE(bulk_do(bulk, job));
	setrlimit(RLIMIT_NOFILE, &limit);
	CU_ASSERT_EQUAL(bulk_job_released(job), 20 * MIB);
	CU_ASSERT_EQUAL(n_done, 0);
	bulk_job_free(job);
	end();
}

/* A range over many steps, its neighbours, and a second range that counts what is left. */
static void test_large(void)
{
	cleanup_fd int fd = new_file(256 * MIB, 0, 200 * MIB);
	size_t fds = unit_open_fds();
	struct bulk_job *job;

	start();
	job = bulk_job_grow(job_on(fd, BULK_PUNCH, 10 * MIB, 180 * MIB), 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(job);
	bulk_job_add(job, BULK_COUNT, fd, 0, 256 * MIB);
	CU_ASSERT_FALSE(bulk_do(bulk, job));
	event_base_dispatch(base);
	CU_ASSERT_EQUAL(n_done, 1);
	CU_ASSERT_EQUAL(job->ranges[0].resident, 180 * MIB);
	CU_ASSERT_EQUAL(bulk_job_released(job), 180 * MIB);
	CU_ASSERT_EQUAL(job->ranges[1].resident, 20 * MIB);
	CU_ASSERT_EQUAL(resident(fd), 20 * MIB);
	bulk_job_free(job);
	end();
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
}

/* Each gets a step in turn: the short one is done before the long one. */
static void test_turns(void)
{
	cleanup_fd int large = new_file(4096 * MIB, 0, 0), other = new_file(65 * MIB, 0, 65 * MIB);
	struct bulk_job *first, *second;

	start();
	first = job_on(large, BULK_COUNT, 0, 4096 * MIB);
	second = job_on(other, BULK_PUNCH, 0, 65 * MIB);
	CU_ASSERT_FALSE(bulk_do(bulk, first));
	CU_ASSERT_FALSE(bulk_do(bulk, second));
	while (n_done < 2)
		event_base_dispatch(base);
	CU_ASSERT_EQUAL(bulk_job_released(second), 65 * MIB);
	CU_ASSERT_EQUAL(first->ranges[0].resident, 0);
	bulk_job_free(first);
	bulk_job_free(second);
	end();
}

/* What is not finished is done as it is. */
static void test_end_at_once(void)
{
	cleanup_fd int fd = new_file(512 * MIB, 0, 0);
	size_t fds = unit_open_fds();
	struct bulk_job *jobs[8];

	start();
	for (unsigned i = 0; i < 8; i++) {
		jobs[i] = job_on(fd, BULK_COUNT, 0, 512 * MIB);
		CU_ASSERT_FALSE(bulk_do(bulk, jobs[i]));
	}
	end();
	CU_ASSERT_EQUAL(n_done, 8);
	for (unsigned i = 0; i < 8; i++)
		bulk_job_free(jobs[i]);
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
	CU_ASSERT_PTR_NULL(bulk_free(NULL));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"small", test_small},
		{"large", test_large},
		{"no fds to be had", test_no_files},
		{"in turns", test_turns},
		{"ended at once", test_end_at_once},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "bulk work", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
