/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk work: exact counts, whoever does it; turns between owners; files that are closed by the page
 * worker, and nothing left behind.
 */
#include "daemon/pages/page_closer.h"
#include "daemon/pages/page_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/helper_process.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "tests/lib/held_file.h"
#include "tests/lib/unit.h"

#define MIB (1ull << 20)

#define LARGE (64 * MIB)

static const struct config config = {.memories_per_user = 8};
static struct event_base *base;
static struct owners *owners;
static struct scheduler *scheduler;
static struct page_worker *pages;
static struct owner *owner;
static size_t fds;
static unsigned n_done;
static struct page_job *order[1024];

/* Whether there is memory for another job. */
static bool no_memory;
struct page_job *__real_page_job_new(struct owner *owner, size_t room);
struct page_job *__wrap_page_job_new(struct owner *owner, size_t room);

struct page_job *__wrap_page_job_new(struct owner *of, size_t room)
{
	return no_memory ? NULL : __real_page_job_new(of, room);
}

static void note_done(struct page_job *job)
{
	order[n_done++] = job;
	event_base_loopbreak(base);
}

static struct owner *get(enum owner_kind kind, uid_t uid)
{
	struct owner_name name = {.kind = kind, .uid = uid};
	struct owner *one = NULL;

	CU_ASSERT_EQUAL_FATAL(owner_get(owners, &name, &one), 0);
	return one;
}

static void set_up_with(const char *puncher)
{
	CU_ASSERT_EQUAL_FATAL(helper_process_reserve(), 0);
	fds = unit_open_fds();
	base = event_base_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	event_base_priority_init(base, SCHEDULER_PRIORITIES);
	CU_ASSERT_EQUAL_FATAL(owners_new(&config, &owners), 0);
	CU_ASSERT_EQUAL_FATAL(scheduler_new(base, owners, &scheduler), 0);
	CU_ASSERT_EQUAL_FATAL(page_worker_new(base, scheduler, owners, puncher, &pages), 0);
	owner = get(OWNER_IS_USER, 1);
	n_done = 0;
}

static void set_up(void)
{
	set_up_with(getenv("PUNCHER"));
}

static void tear_down(void)
{
	pages = page_worker_free(pages);
	owner_unref(owner);
	scheduler_free(scheduler);
	CU_ASSERT_FALSE(owners_any(owners));
	owners_free(owners);
	event_base_free(base);
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
}

static void wait_for(unsigned count)
{
	while (n_done < count)
		event_base_dispatch(base);
}

static struct page_file *new_file(uint64_t size, uint64_t allocated_from, uint64_t allocated)
{
	struct page_file *file;
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("bulk", size, &fd), 0);
	if (allocated > 0)
		CU_ASSERT_EQUAL_FATAL(
			fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)allocated_from, (off_t)allocated),
			0);
	file = page_file_new(pages, owner, fd, size, /* huge= */ 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	return file;
}

static uint64_t resident(int fd)
{
	uint64_t bytes = UINT64_MAX;

	CU_ASSERT_EQUAL(memory_file_resident(fd, &bytes), 0);
	return bytes;
}

static struct page_job *job_of(struct owner *whose, struct page_file *file, enum page_job_kind kind,
	uint64_t offset, uint64_t size)
{
	struct page_job *job = page_job_new(whose, 1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(job);
	page_job_add(job, kind, file, offset, size);
	job->done = note_done;
	return job;
}

static void test_small(void)
{
	struct page_file *file = new_file(32 * MIB, MIB, 2 * MIB);
	struct page_job *job = job_of(owner, file, PAGES_COUNT, 0, PAGES_SMALL);

	CU_ASSERT_TRUE(page_worker_do(pages, job));
	CU_ASSERT_EQUAL(n_done, 1);
	CU_ASSERT_EQUAL(job->parts[0].resident, MIB);
	CU_ASSERT_EQUAL(page_job_released(job), 0);
	page_job_free(job);
	job = job_of(owner, file, PAGES_PUNCH, 4 * MIB, MIB);
	CU_ASSERT_TRUE(page_worker_do(pages, job));
	CU_ASSERT_EQUAL(page_job_released(job), 0);
	page_job_free(job);
	page_file_unref(file);
	CU_ASSERT_PTR_NULL(page_job_free(NULL));
	CU_ASSERT_PTR_NULL(page_file_unref(NULL));
	CU_ASSERT_EQUAL(n_done, 2);
}

/* Be it one page: who else has the file may be allocating in it, and then a punch waits. */
static void test_never_in_loop(void)
{
	struct page_file *file = new_file(32 * MIB, MIB, 4096);
	struct page_job *job = job_of(owner, file, PAGES_PUNCH, MIB, 4096);

	CU_ASSERT_FALSE(page_worker_do(pages, job));
	wait_for(1);
	CU_ASSERT_TRUE(page_job_is_done(job));
	CU_ASSERT_EQUAL(page_job_released(job), 4096);
	CU_ASSERT_EQUAL(resident(page_file_fd(file)), 0);
	page_job_free(job);
	page_file_unref(file);
}

/* The first has a puncher started, whose files are this process's, too. */
static void punch_a_page(void)
{
	struct page_file *file = new_file(MIB, 0, 4096);
	struct page_job *job = job_of(owner, file, PAGES_PUNCH, 0, 4096);

	CU_ASSERT_FALSE(page_worker_do(pages, job));
	wait_for(n_done + 1);
	page_job_free(job);
	page_file_unref(file);
}

/* Of few bytes and many ranges is not small: each takes two system calls. */
static void test_many_ranges(void)
{
	struct page_file *file = new_file(4 * MIB, 0, 4 * MIB);
	struct file_range ranges[512];
	struct page_job *job = page_job_new(owner, 1);
	size_t before;

	punch_a_page();
	before = unit_open_fds();
	for (unsigned i = 0; i < 512; i++)
		ranges[i] = (struct file_range){8192ull * i, 4096};
	CU_ASSERT_EQUAL(page_job_add_ranges(job, PAGES_PUNCH, file, ranges, 512), 0);
	job->done = note_done;
	CU_ASSERT_FALSE(page_worker_do(pages, job));
	CU_ASSERT_EQUAL(unit_open_fds(), before);
	wait_for(2);
	CU_ASSERT_EQUAL(page_job_released(job), 2 * MIB);
	CU_ASSERT_EQUAL(resident(page_file_fd(file)), 2 * MIB);
	page_job_free(job);
	page_file_unref(file);
}

/* A range over many steps, its neighbours, and a second part that counts what is left. */
static void test_large(void)
{
	struct page_file *file = new_file(256 * MIB, 0, 200 * MIB);
	struct page_job *job;

	job = page_job_grow(job_of(owner, file, PAGES_PUNCH, 10 * MIB, 180 * MIB), 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(job);
	page_job_add(job, PAGES_COUNT, file, 0, 256 * MIB);
	CU_ASSERT_FALSE(page_worker_do(pages, job));
	wait_for(1);
	CU_ASSERT_EQUAL(job->parts[0].resident, 180 * MIB);
	CU_ASSERT_EQUAL(page_job_released(job), 180 * MIB);
	CU_ASSERT_EQUAL(job->parts[1].resident, 20 * MIB);
	CU_ASSERT_EQUAL(resident(page_file_fd(file)), 20 * MIB);
	page_job_free(job);
	page_file_unref(file);
}

/* Without a descriptor to be had it is the page worker's all the same. */
static void test_no_descriptors(void)
{
	struct page_file *file = new_file(LARGE, 0, 20 * MIB);
	struct page_job *job = job_of(owner, file, PAGES_PUNCH, 0, LARGE);
	struct rlimit limit, none;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){0, limit.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT_FALSE(page_worker_do(pages, job));
	wait_for(1);
	setrlimit(RLIMIT_NOFILE, &limit);
	CU_ASSERT_EQUAL(page_job_released(job), 20 * MIB);
	page_job_free(job);
	page_file_unref(file);
}

#define FLOOD 200

static struct page_file *flooding;
static struct page_job *flood_jobs[FLOOD];

/* A user whose jobs take the page worker for seconds: each is more than a turn. */
static void flood(void)
{
	flooding = new_file(512 * MIB, 0, 512 * MIB);
	for (unsigned i = 0; i < FLOOD; i++) {
		flood_jobs[i] = job_of(owner, flooding, PAGES_COUNT, 0, 512 * MIB);
		page_worker_submit(pages, flood_jobs[i]);
	}
}

/* At the test's end: whatever is not done yet is done as it is. */
static void end_flood(void)
{
	page_worker_stop(pages);
	for (unsigned i = 0; i < FLOOD; i++)
		page_job_free(flood_jobs[i]);
	page_file_unref(flooding);
}

static bool is_done(const struct page_job *job)
{
	for (unsigned i = 0; i < n_done; i++) {
		if (order[i] == job)
			return true;
	}
	return false;
}

static unsigned flood_done(void)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n_done; i++) {
		for (unsigned j = 0; j < FLOOD; j++)
			done += order[i] == flood_jobs[j];
	}
	return done;
}

/* Another's is done long before a flood is; so is an operator's, and what the dead leave. */
static void test_turns(void)
{
	struct owner *other = get(OWNER_IS_USER, 2), *operator= get(OWNER_IS_OPERATOR, 0);
	struct page_file *file = new_file(3 * LARGE, 0, 3 * LARGE);
	struct page_job *jobs[] = {job_of(other, file, PAGES_PUNCH, 0, LARGE),
		job_of(operator, file, PAGES_COUNT, LARGE, LARGE),
		job_of(owner, file, PAGES_PUNCH, 2 * LARGE, LARGE)};

	flood();
	jobs[2]->of_the_dead = true;
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_FALSE(page_worker_do(pages, jobs[i]));
		while (!is_done(jobs[i]))
			event_base_dispatch(base);
		UNIT_ASSERT_ROW(flood_done() < FLOOD / 2, "job %u came after %u of the flood", i,
			flood_done());
	}
	CU_ASSERT_EQUAL(page_job_released(jobs[0]), LARGE);
	CU_ASSERT_EQUAL(jobs[1]->parts[0].resident, LARGE);
	CU_ASSERT_EQUAL(page_job_released(jobs[2]), LARGE);
	for (unsigned i = 0; i < 3; i++)
		page_job_free(jobs[i]);
	end_flood();
	page_file_unref(file);
	owner_unref(other);
	owner_unref(operator);
}

/* Of one owner's, too, each has its turn: a short one is done before a long one. */
static void test_short_before_long(void)
{
	struct page_file *file = new_file(512 * MIB, 0, 512 * MIB);
	struct page_job *first = page_job_new(owner, FLOOD);
	struct page_job *second = job_of(owner, file, PAGES_COUNT, 0, 3 * MIB);

	for (unsigned i = 0; i < FLOOD; i++)
		page_job_add(first, PAGES_COUNT, file, 0, 512 * MIB);
	first->done = note_done;
	page_worker_submit(pages, first);
	page_worker_submit(pages, second);
	wait_for(2);
	CU_ASSERT_PTR_EQUAL(order[0], second);
	CU_ASSERT_EQUAL(first->parts[FLOOD - 1].resident, 512 * MIB);
	page_job_free(first);
	page_job_free(second);
	page_file_unref(file);
}

/* What is not finished is done as it is. */
static void test_end_at_once(void)
{
	flood();
	page_worker_stop(pages);
	CU_ASSERT_EQUAL(n_done, FLOOD);
	CU_ASSERT_FALSE(page_job_is_done(flood_jobs[FLOOD - 1]));
	end_flood();
	page_worker_stop(NULL);
	CU_ASSERT_PTR_NULL(page_worker_free(NULL));
}

static void wait_until_closed(uint64_t memories)
{
	while (owner_holds(owner, OWNER_MEMORIES) > memories)
		event_base_loop(base, EVLOOP_ONCE);
}

/* Whoever drops a large file last does not free its pages, and its owner is charged for it until
 * they are gone. */
static void test_close(void)
{
	struct page_file *file;
	struct page_job *job;
	int fd;

	CU_ASSERT_EQUAL(owner_charge(owner, OWNER_MEMORIES), 0);
	file = new_file(512 * MIB, 0, 512 * MIB);
	fd = page_file_fd(file);
	job = job_of(owner, file, PAGES_COUNT, 0, 512 * MIB);
	page_worker_submit(pages, job);
	page_file_take_charge(file);
	page_file_unref(file);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) >= 0);
	wait_for(1);
	CU_ASSERT_EQUAL(job->parts[0].resident, 512 * MIB);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) >= 0);
	page_job_free(job);
	CU_ASSERT_EQUAL(owner_holds(owner, OWNER_MEMORIES), 1);
	wait_until_closed(0);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) < 0);
}

static void test_close_small(void)
{
	struct page_file *file;

	CU_ASSERT_EQUAL(owner_charge(owner, OWNER_MEMORIES), 0);
	file = new_file(PAGES_SMALL, 0, PAGES_SMALL);
	page_file_take_charge(file);
	page_file_unref(file);
	CU_ASSERT_EQUAL(owner_holds(owner, OWNER_MEMORIES), 0);
}

static atomic_bool refilling;

static void *refill(void *context)
{
	const int *fd = context;

	while (refilling)
		fallocate(*fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)LARGE);
	return NULL;
}

/* One that somebody else fills again all the while is closed all the same. */
static void test_close_refilled(void)
{
	struct page_file *file = new_file(LARGE, 0, LARGE);
	cleanup_fd int fd = fcntl(page_file_fd(file), F_DUPFD_CLOEXEC, 3);
	pthread_t thread;

	CU_ASSERT_EQUAL(owner_charge(owner, OWNER_MEMORIES), 0);
	refilling = true;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, refill, &fd), 0);
	page_file_take_charge(file);
	page_file_set_released(file);
	page_file_unref(file);
	wait_until_closed(0);
	refilling = false;
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(resident(fd) <= LARGE);
}

/* What was released is emptied, whoever else has it. */
static void test_close_released(void)
{
	struct page_file *file = new_file(LARGE, 0, LARGE);
	cleanup_fd int other = fcntl(page_file_fd(file), F_DUPFD_CLOEXEC, 3);

	CU_ASSERT_EQUAL(owner_charge(owner, OWNER_MEMORIES), 0);
	page_file_take_charge(file);
	page_file_set_released(file);
	page_file_unref(file);
	wait_until_closed(0);
	CU_ASSERT_EQUAL(resident(other), 0);
}

/* Invariant: what was not released keeps its pages. */
static void test_close_kept(void)
{
	struct page_file *file = new_file(LARGE, 0, LARGE);
	cleanup_fd int other = fcntl(page_file_fd(file), F_DUPFD_CLOEXEC, 3);

	CU_ASSERT_EQUAL(owner_charge(owner, OWNER_MEMORIES), 0);
	page_file_take_charge(file);
	page_file_unref(file);
	wait_until_closed(0);
	CU_ASSERT_EQUAL(resident(other), LARGE);
}

/* Without memory one after the other is closed by the job that was made beforehand. */
static void test_close_without_memory(void)
{
	struct page_file *files[4];
	int copies[4];

	for (unsigned i = 0; i < 4; i++) {
		files[i] = new_file(LARGE, 0, LARGE);
		copies[i] = fcntl(page_file_fd(files[i]), F_DUPFD_CLOEXEC, 3);
		CU_ASSERT_EQUAL(owner_charge(owner, OWNER_MEMORIES), 0);
		page_file_take_charge(files[i]);
		page_file_set_released(files[i]);
	}
	no_memory = true;
	for (unsigned i = 0; i < 4; i++)
		page_file_unref(files[i]);
	CU_ASSERT_EQUAL(owner_holds(owner, OWNER_MEMORIES), 4);
	wait_until_closed(0);
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(resident(copies[i]), 0);
		fd_close(copies[i]);
	}
	files[0] = new_file(LARGE, 0, 0); /* the job is there again */
	page_file_unref(files[0]);
	no_memory = false;
}

/* Any file at all. A memory that somebody else has keeps its pages; of those that are no memories
 * nothing is looked at. */
static void test_dispose(void)
{
	cleanup_fd int copy = -1;
	int fd = -1, pipe_fds[2];

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("bulk", LARGE, &fd), 0);
	CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)LARGE), 0);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	page_file_dispose(pages, owner, fd);
	while (fcntl(fd, F_GETFD) >= 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(resident(copy), LARGE);
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
	page_file_dispose(pages, owner, pipe_fds[0]);
	page_file_dispose(pages, owner, pipe_fds[1]);
	CU_ASSERT_TRUE(fcntl(pipe_fds[0], F_GETFD) < 0);
}

/* Files that are kept */

#define KEPT 12
#define MANY 40

static struct held_file held[KEPT];

static struct owner *get_of_vm(uid_t uid, const char *unit, uint64_t vm)
{
	struct owner_name name = {.uid = uid, .vm = vm};
	struct owner *one = NULL;

	strcpy(name.unit, unit);
	CU_ASSERT_EQUAL_FATAL(owner_get(owners, &name, &one), 0);
	return one;
}

/* A punch, of an owner's pages or an operator's of them, that will wait for as long as the test
 * wants. */
static struct page_job *stuck_job_of(
	struct held_file *held_file, struct owner *whose, struct owner *taken_from)
{
	struct page_file *file = new_file(4 * MIB, 0, MIB);
	struct page_job *job = job_of(whose, file, PAGES_PUNCH, 0, MIB);

	if (taken_from)
		page_job_take_from(job, taken_from);
	CU_ASSERT_EQUAL_FATAL(held_file_begin(held_file, page_file_fd(file)), 0);
	page_file_unref(file); /* the job has it */
	page_worker_submit(pages, job);
	return job;
}

static struct page_job *stuck_job(struct held_file *held_file, struct owner *whose)
{
	return stuck_job_of(held_file, whose, NULL);
}

static bool can_keep(void)
{
	struct page_file *file = new_file(4 * MIB, 0, 0);
	struct held_file one;
	int r = held_file_begin(&one, page_file_fd(file));

	if (r == 0)
		held_file_end(&one);
	page_file_unref(file);
	if (r < 0)
		printf("# skipped: userfaultfd(2): %s\n", strerror(-r));
	return r == 0;
}

static uint64_t punch_taken(struct owner *whose, struct owner *taken_from)
{
	struct page_file *file = new_file(LARGE, 0, LARGE);
	struct page_job *job = job_of(whose, file, PAGES_PUNCH, 0, LARGE);
	uint64_t released;

	if (taken_from)
		page_job_take_from(job, taken_from);
	page_worker_submit(pages, job);
	while (!is_done(job))
		event_base_dispatch(base);
	released = page_job_released(job);
	n_done = 0;
	page_job_free(job);
	page_file_unref(file);
	return released;
}

static uint64_t punch_of(struct owner *whose)
{
	return punch_taken(whose, NULL);
}

/* Whose file is kept waits alone: another user, another unit, another VM of the unit are served. */
static void test_kept(void)
{
	struct owner *stuck = get_of_vm(7, "one.scope", 1),
		     *beside[] = {get_of_vm(8, "", 0), get_of_vm(7, "two.scope", 2),
			     get_of_vm(7, "one.scope", 3)};
	struct page_job *job, *next;

	if (!can_keep())
		return;
	job = stuck_job(&held[0], stuck);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(punch_of(beside[i]), LARGE);
		owner_unref(beside[i]);
	}
	next = job_of(stuck, job->parts[0].file, PAGES_COUNT, 2 * MIB, 2 * MIB);
	page_worker_submit(pages, next);
	CU_ASSERT_EQUAL(punch_of(owner), LARGE);
	CU_ASSERT_FALSE(is_done(next));
	held_file_end(&held[0]);
	wait_for(2);
	CU_ASSERT_PTR_EQUAL(order[0], job);
	CU_ASSERT_EQUAL(page_job_released(job), MIB);
	page_job_free(job);
	page_job_free(next);
	owner_unref(stuck);
}

/* Nor do any number of a user's, nor those of a unit keep the user's other units waiting. */
static void test_many_kept(void)
{
	struct owner *quiet = get_of_vm(7, "quiet.scope", 99);
	struct page_job *jobs[KEPT];

	if (!can_keep())
		return;
	for (unsigned i = 0; i < KEPT; i++) {
		struct owner *one = get_of_vm(7, "hostile.scope", 1 + i);

		jobs[i] = stuck_job(&held[i], one);
		owner_unref(one);
	}
	for (unsigned i = 0; i < 8; i++) {
		CU_ASSERT_EQUAL(punch_of(owner), LARGE);
		CU_ASSERT_EQUAL(punch_of(quiet), LARGE);
	}
	for (unsigned i = 0; i < KEPT; i++)
		held_file_end(&held[i]);
	wait_for(KEPT);
	for (unsigned i = 0; i < KEPT; i++) {
		CU_ASSERT_EQUAL(page_job_released(jobs[i]), MIB);
		page_job_free(jobs[i]);
	}
	owner_unref(quiet);
}

/* Each of another user's: a host has hundreds of VMs. */
static void test_kept_of_many_users(void)
{
	static struct held_file of_users[MANY];
	struct page_job *jobs[MANY];

	if (!can_keep())
		return;
	if (owners_threads(owners) < 2 * MANY) {
		puts("# skipped: RLIMIT_NOFILE is too low");
		return;
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct owner *one = get_of_vm(100 + i, "", 1 + i);

		jobs[i] = stuck_job(&of_users[i], one);
		owner_unref(one);
	}
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(punch_of(owner), LARGE);
	for (unsigned i = 0; i < MANY; i++)
		held_file_end(&of_users[i]);
	wait_for(MANY);
	for (unsigned i = 0; i < MANY; i++)
		page_job_free(jobs[i]);
}

/* Invariant: an operator who has given back what can't be, of any number of VMs, has all else
 * done. */
static void test_taken_from_kept(void)
{
	struct owner *operators = get(OWNER_IS_OPERATOR, 0), *quiet = get_of_vm(9, "", 1), *one;
	struct page_job *jobs[KEPT];

	if (!can_keep())
		return;
	for (unsigned i = 0; i < KEPT; i++) {
		one = get_of_vm(100 + i, "", 1 + i);
		jobs[i] = stuck_job_of(&held[i], operators, one);
		owner_unref(one);
	}
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(punch_of(operators), LARGE);
		CU_ASSERT_EQUAL(punch_taken(operators, quiet), LARGE);
	}
	for (unsigned i = 0; i < KEPT; i++)
		held_file_end(&held[i]);
	wait_for(KEPT);
	for (unsigned i = 0; i < KEPT; i++) {
		CU_ASSERT_EQUAL(page_job_released(jobs[i]), MIB);
		page_job_free(jobs[i]);
	}
	owner_unref(quiet);
	owner_unref(operators);
}

/* Invariant: nobody can keep gmemd from ending. */
static void test_end_while_kept(void)
{
	struct page_job *jobs[2];

	if (!can_keep())
		return;
	for (unsigned i = 0; i < 2; i++) {
		struct owner *one = get_of_vm(7, "hostile.scope", 1 + i);

		jobs[i] = stuck_job(&held[i], one);
		CU_ASSERT_EQUAL(punch_of(owner), LARGE);
		owner_unref(one);
	}
	page_worker_stop(pages);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(is_done(jobs[i]));
		CU_ASSERT_EQUAL(page_job_released(jobs[i]), 0);
		held_file_end(&held[i]);
		page_job_free(jobs[i]);
	}
}

/* A puncher that can't be had, or ends at once, is done without. */
static void test_no_puncher(void)
{
	static const char *const programs[] = {"/nonexistent", "/bin/true"};

	for (unsigned i = 0; i < 2; i++) {
		tear_down();
		set_up_with(programs[i]);
		CU_ASSERT_EQUAL(punch_of(owner), LARGE);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"small", test_small},
		{"nothing is given back in the loop", test_never_in_loop},
		{"many ranges", test_many_ranges},
		{"large", test_large},
		{"no descriptors to be had", test_no_descriptors},
		{"in turns", test_turns},
		{"short before long", test_short_before_long},
		{"whose file is kept waits alone", test_kept},
		{"many whose files are kept", test_many_kept},
		{"files of many users' are kept", test_kept_of_many_users},
		{"operators have pages of kept files given back", test_taken_from_kept},
		{"ended at once", test_end_at_once},
		{"ended while files are kept", test_end_while_kept},
		{"no puncher", test_no_puncher},
		{"a large file is closed", test_close},
		{"a small one", test_close_small},
		{"one that is filled again", test_close_refilled},
		{"one that was released is emptied", test_close_released},
		{"one that was not keeps its pages", test_close_kept},
		{"without memory they are closed one after the other", test_close_without_memory},
		{"any file", test_dispose},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "bulk work",
					 .pSetUpFunc = set_up,
					 .pTearDownFunc = tear_down,
					 .pTests = tests},
		CU_SUITE_INFO_NULL};

	if (getenv("PUNCHER"))
		return unit_main(suites);
	puts("1..0 # SKIP PUNCHER names no gmemd-puncher");
	return 0;
}
