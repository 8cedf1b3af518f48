/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preallocation by the real helper: what it allocates, who is charged, how it ends.
 */
#include "daemon/prealloc/helper_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <numaif.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/helper_process.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/memory_file.h"
#include "kernel/host/process.h"
#include "tests/lib/own_cgroup.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"

#define MIB (1024ull * 1024)

/* So large that it is under way for a while. */
#define LARGE (4096 * MIB)

#define PATIENCE_SECONDS 60

/* One that a test watches. */
struct trial {
	struct event_base *base;
	struct preallocation_request request;
	struct preallocation *preallocation;
	struct preallocation_result result;
	unsigned dones;
	unsigned progresses;
	uint64_t last_progress;
	void (*on_progress)(struct trial *trial); /* at the first alone */
	const struct own_cgroup *own;
	size_t fds;
};

static void progress(void *context, uint64_t done, uint64_t total)
{
	struct trial *trial = context;

	CU_ASSERT_EQUAL(total, trial->request.size);
	CU_ASSERT_TRUE(done > trial->last_progress && done <= total);
	trial->last_progress = done;
	if (trial->progresses++ == 0 && trial->on_progress)
		trial->on_progress(trial);
}

static void done(void *context, const struct preallocation_result *result)
{
	struct trial *trial = context;

	trial->dones++;
	trial->result = *result;
	trial->preallocation = preallocation_free(trial->preallocation);
	event_base_loopbreak(trial->base);
}

static void trial_init(struct trial *trial, int file, uint64_t size)
{
	CU_ASSERT_EQUAL_FATAL(helper_process_reserve(), 0);
	*trial = (struct trial){
		.fds = unit_open_fds(),
		.request = {.file = file,
			.size = size,
			.node = NODE_ANY,
			.program = getenv("ALLOCATOR")},
	};
	trial->base = event_base_new();
}

static int trial_start(struct trial *trial)
{
	const struct preallocation_events events = {progress, done, trial};

	return preallocation_start(trial->base, &trial->request, &events, &trial->preallocation);
}

/* The child that is one, ended or not, whom nobody has waited for; 0 where there is none. */
static pid_t helper(void)
{
	char path[64], name[32];
	cleanup_file FILE *children = NULL;
	int pid;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", gettid());
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &pid) == 1) {
		cleanup_file FILE *file = NULL;

		snprintf(path, sizeof path, "/proc/%d/comm", pid);
		file = fopen(path, "re");
		if (file && fscanf(file, "%31s", name) == 1 && strcmp(name, "gmemd-allocator") == 0)
			return pid;
	}
	return 0;
}

static void trial_clear(struct trial *trial)
{
	event_base_free(trial->base);
	CU_ASSERT_EQUAL(unit_open_fds(), trial->fds);
	CU_ASSERT_EQUAL(helper(), 0);
}

/* Of the outcome, with the bytes that it should have allocated. */
static void check_result(const struct trial *trial, enum preallocation_outcome outcome)
{
	UNIT_ASSERT_ROW(trial->dones == 1, "done called %u times", trial->dones);
	UNIT_ASSERT_ROW(trial->result.outcome == outcome, "outcome %d (error %d), expected %d",
		trial->result.outcome, trial->result.error, outcome);
}

/* What it says that it allocated is what has come. */
static void check_exact(const struct trial *trial, uint64_t resident_before)
{
	uint64_t resident = 0;

	CU_ASSERT_EQUAL(memory_file_resident(trial->request.file, &resident), 0);
	UNIT_ASSERT_ROW(trial->result.allocated == resident - resident_before,
		"%" PRIu64 " bytes told, %" PRIu64 " resident of which %" PRIu64 " were before",
		trial->result.allocated, resident, resident_before);
}

static void run_loop(struct trial *trial)
{
	const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

	event_base_loopexit(trial->base, &patience);
	event_base_dispatch(trial->base);
}

static void trial_run(struct trial *trial, enum preallocation_outcome outcome)
{
	CU_ASSERT_EQUAL_FATAL(trial_start(trial), 0);
	run_loop(trial);
	check_result(trial, outcome);
}

/* Files */

static int new_memfd(uint64_t size)
{
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("memory", size, &fd), 0);
	return fd;
}

static bool guest_memfd_or_skip(uint64_t size, int *ret_vm, int *ret_fd)
{
	if (!vm_or_skip(0, ret_vm))
		return false;
	*ret_fd = vm_guest_memfd(*ret_vm, size, 0);
	CU_ASSERT_TRUE_FATAL(*ret_fd >= 0);
	fcntl(*ret_fd, F_SETFD, FD_CLOEXEC);
	return true;
}

/* The member of a cgroup was not hurt; ends it. */
static void end_alive(struct unit_child *child)
{
	int pidfd = pidfd_open(child->pid, 0);

	CU_ASSERT_FALSE(process_ended(pidfd));
	close(pidfd);
	kill(child->pid, SIGKILL);
	unit_child_end(child, SIGKILL);
}

/* What it allocates */

static void check_range(int file, uint64_t offset, uint64_t size, unsigned threads)
{
	struct trial trial;
	uint64_t before = 0, within = 0, missing;

	CU_ASSERT_EQUAL(memory_file_resident(file, &before), 0);
	CU_ASSERT_EQUAL(memory_file_resident_range(file, offset, size, &within), 0);
	missing = size - within;
	trial_init(&trial, file, size);
	trial.request.offset = offset;
	trial.request.threads = threads;
	trial_run(&trial, PREALLOCATION_DONE);
	check_exact(&trial, before);
	CU_ASSERT_EQUAL(trial.result.allocated, missing);
	CU_ASSERT_EQUAL(memory_file_resident_range(file, offset, size, &within), 0);
	CU_ASSERT_EQUAL(within, size);
	trial_clear(&trial);
}

/* file is empty, of 64 MiB and a page. */
static void check_ranges(int file)
{
	check_range(file, 0, 4096, 0);
	check_range(file, 3 * MIB + 4096, 2 * MIB, 3);
	check_range(file, 8 * MIB - 4096, 8192, 1);
	check_range(file, 4 * MIB, 4 * MIB, 2);
	check_range(file, 64 * MIB, 4096, 64);
	check_range(file, 0, 64 * MIB + 4096, 2);
	check_range(file, 0, 64 * MIB + 4096, 0);
	CU_ASSERT_EQUAL(memory_file_punch(file, 0, 64 * MIB + 4096), 0);
	check_range(file, 0, 64 * MIB + 4096, 1000);
}

static void test_memfd(void)
{
	cleanup_fd int file = new_memfd(64 * MIB + 4096);

	check_ranges(file);
}

static void test_guest_memfd(void)
{
	cleanup_fd int vm = -1, file = -1;

	if (guest_memfd_or_skip(64 * MIB + 4096, &vm, &file))
		check_ranges(file);
}

static void test_progress(void)
{
	cleanup_fd int vm = -1, file = -1;
	struct trial trial;

	if (!guest_memfd_or_skip(LARGE / 2, &vm, &file))
		return;
	trial_init(&trial, file, LARGE / 2);
	trial.request.threads = 1;
	trial_run(&trial, PREALLOCATION_DONE);
	check_exact(&trial, 0);
	if (trial.progresses == 0)
		unit_skip("too fast to be seen");
	trial_clear(&trial);
}

/* Bytes of the file from the start on that are zeroed: of a memfd, pages that are allocated and no
 * more are a hole. */
static uint64_t zeroed(int file)
{
	off_t hole = lseek(file, 0, SEEK_HOLE);

	return hole < 0 ? 0 : (uint64_t)hole;
}

/* What is allocated already is zeroed, too. */
static void test_populated(void)
{
	cleanup_fd int file = new_memfd(64 * MIB);
	struct trial trial;

	check_range(file, 0, 8 * MIB, 1);
	CU_ASSERT_EQUAL(zeroed(file), 0);
	trial_init(&trial, file, 32 * MIB);
	trial.request.populate = true;
	trial_run(&trial, PREALLOCATION_DONE);
	check_exact(&trial, 8 * MIB);
	CU_ASSERT_EQUAL(trial.result.allocated, 24 * MIB);
	CU_ASSERT_EQUAL(zeroed(file), 32 * MIB);
	trial_clear(&trial);
}

/* Nothing is allocated of what can't be mapped. */
static void test_not_populated(void)
{
	cleanup_fd int file = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct trial trial;

	CU_ASSERT_EQUAL_FATAL(ftruncate(file, MIB), 0);
	CU_ASSERT_EQUAL_FATAL(fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	trial_init(&trial, file, MIB);
	trial.request.populate = true;
	trial_run(&trial, PREALLOCATION_FAILED);
	CU_ASSERT_EQUAL(trial.result.error, -EPERM);
	check_exact(&trial, 0);
	trial_clear(&trial);
}

static void check_failure(int file, uint64_t offset, uint64_t size, int error)
{
	struct trial trial;

	trial_init(&trial, file, size);
	trial.request.offset = offset;
	trial_run(&trial, PREALLOCATION_FAILED);
	CU_ASSERT_EQUAL(trial.result.error, error);
	check_exact(&trial, 0);
	trial_clear(&trial);
}

static void test_failures(void)
{
	cleanup_fd int file = new_memfd(MIB), vm = -1, guest = -1;

	check_failure(file, MIB, MIB, -EPERM); /* sealed against growing */
	if (!guest_memfd_or_skip(MIB, &vm, &guest))
		return;
	check_failure(guest, MIB, MIB, -EINVAL);
	check_failure(guest, 2048, 4096, -EINVAL);
}

static void test_refused(void)
{
	cleanup_fd int file = new_memfd(MIB);
	struct trial trial;

	trial_init(&trial, file, 0);
	CU_ASSERT_EQUAL(trial_start(&trial), -EINVAL);
	trial.request.size = MIB;
	trial.request.program = "/nonexistent/gmemd-allocator";
	CU_ASSERT_EQUAL(trial_start(&trial), -ENOENT);
	trial.request.program = NULL; /* there is none beside a test */
	CU_ASSERT_TRUE(trial_start(&trial) < 0 || trial.preallocation);
	trial.preallocation = preallocation_free(trial.preallocation);
	trial.request.file = -1;
	CU_ASSERT_EQUAL(trial_start(&trial), -EBADF);
	CU_ASSERT_EQUAL(trial.dones, 0);
	CU_ASSERT_PTR_NULL(preallocation_free(NULL));
	trial_clear(&trial);
}

/* Nodes */

static void test_node_that_is_none(void)
{
	cleanup_fd int file = new_memfd(MIB);
	const int none[] = {-2, 1023, 1024, 100000, INT_MIN, INT_MAX};
	struct trial trial;

	trial_init(&trial, file, MIB);
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		trial.request.node = none[i];
		UNIT_ASSERT_ROW(trial_start(&trial) == -EINVAL, "node %d", none[i]);
	}
	trial_clear(&trial);
	CU_ASSERT_TRUE(node_exists(0));
	CU_ASSERT_TRUE(node_cores(0) >= 1 && node_cores(NODE_ANY) >= node_cores(0));
}

static void check_placement(int file, uint64_t size)
{
	uint64_t pages = size / 4096;
	unsigned char *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
	void **addresses = calloc(pages, sizeof *addresses);
	int *status = calloc(pages, sizeof *status);

	CU_ASSERT_NOT_EQUAL_FATAL(memory, MAP_FAILED);
	for (uint64_t i = 0; i < pages; i++)
		addresses[i] = memory + i * 4096;
	if (move_pages(0, pages, addresses, NULL, status, 0) < 0)
		unit_skip("move_pages(2) is not to be had");
	else
		for (uint64_t i = 0; i < pages; i++)
			UNIT_ASSERT_ROW(status[i] == 0, "page %" PRIu64 ": %d", i, status[i]);
	free(status);
	free(addresses);
	munmap(memory, size);
}

static void check_node(int file)
{
	struct trial trial;

	trial_init(&trial, file, 8 * MIB);
	trial.request.node = 0;
	trial_run(&trial, PREALLOCATION_DONE);
	CU_ASSERT_EQUAL(trial.result.allocated, 8 * MIB);
	CU_ASSERT_EQUAL(trial.result.elsewhere, 0);
	trial_clear(&trial);
	check_placement(file, 8 * MIB);
}

/* All of it is elsewhere to who wants it on a node that there is not. */
static void check_elsewhere(int file)
{
	const uint64_t size = 8 * MIB - 4096;

	CU_ASSERT_EQUAL(node_elsewhere(file, 4096, size, 4 * MIB, 0), 0);
	CU_ASSERT_EQUAL(node_elsewhere(file, 4096, size, 4 * MIB, NODE_ANY), 0);
	CU_ASSERT_EQUAL(node_elsewhere(file, 4096, size, 4 * MIB, 999), size);
	CU_ASSERT_EQUAL(node_elsewhere(file, 4096, size, 4096, 999), size);
}

static void test_node(void)
{
	cleanup_fd int file = new_memfd(8 * MIB), vm = -1, guest = -1;

	check_node(file);
	check_elsewhere(file);
	if (!vm_or_skip(0, &vm))
		return;
	guest = vm_guest_memfd(vm, 8 * MIB, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	if (guest < 0)
		unit_skip("a guest_memfd can't be mapped here");
	else
		check_node(guest);
	if (guest >= 0)
		check_elsewhere(guest);
}

/* What another mapping of the file shows, when one has been bound to a node. */
static int policy_after_binding(int file, uint64_t size)
{
	void *other = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
	int policy = -1;

	CU_ASSERT_EQUAL(node_bind_file(file, size, 0), 0);
	if (get_mempolicy(&policy, NULL, 0, other, MPOL_F_ADDR) < 0)
		unit_skip("get_mempolicy(2) is not to be had");
	munmap(other, size);
	return policy < 0 ? policy : policy & 0xff; /* without its flags */
}

static bool files_have_policies(void)
{
	struct utsname host;
	unsigned major, minor;

	uname(&host);
	return sscanf(host.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 19));
}

/* mm/mempolicy.c and virt/kvm/guest_memfd.c of Linux 6.19: a guest_memfd has a policy of its own
 * from then on, as a memfd always has. Before, mbind(2) does nothing to it. */
static void test_policy_of_file(void)
{
	cleanup_fd int file = new_memfd(8 * MIB), vm = -1, guest = -1;
	int found = policy_after_binding(file, 8 * MIB);

	if (found < 0 || !vm_or_skip(0, &vm))
		return;
	CU_ASSERT_EQUAL(found, MPOL_BIND);
	guest = vm_guest_memfd(vm, 8 * MIB, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	if (guest < 0)
		unit_skip("a guest_memfd can't be mapped here");
	else
		CU_ASSERT_EQUAL(policy_after_binding(guest, 8 * MIB),
			files_have_policies() ? MPOL_BIND : MPOL_DEFAULT);
}

/* Who is charged */

/* Into file, by the cgroup or by us. Returns what the cgroup uses more than before. */
static uint64_t charge(const struct own_cgroup *own, int file, bool by_cgroup)
{
	uint64_t before = own_cgroup_usage(own), after;
	struct trial trial;

	trial_init(&trial, file, 128 * MIB);
	trial.request.cgroup = by_cgroup ? &own->cgroup : NULL;
	trial_run(&trial, PREALLOCATION_DONE);
	CU_ASSERT_EQUAL(trial.result.allocated, 128 * MIB);
	trial_clear(&trial);
	after = own_cgroup_usage(own);
	return after > before ? after - before : 0;
}

static void check_charges(const struct own_cgroup *own, int file)
{
	uint64_t before = own_cgroup_usage(own), more = charge(own, file, true);

	CU_ASSERT_TRUE(more >= 128 * MIB && more < 144 * MIB);
	CU_ASSERT_EQUAL(memory_file_punch(file, 0, 128 * MIB), 0);
	CU_ASSERT_TRUE(own_cgroup_usage(own) < before + 16 * MIB);
	CU_ASSERT_TRUE(charge(own, file, false) < 16 * MIB);
}

static void test_charged(void)
{
	int vm = -1, file = -1;
	struct own_cgroup own;
	struct unit_child child;

	if (!own_cgroup_or_skip("charged", &own))
		return;
	if (guest_memfd_or_skip(128 * MIB, &vm, &file)) {
		own_cgroup_start_member(&own, &child);
		check_charges(&own, file);
		end_alive(&child);
	}
	fd_close(file);
	fd_close(vm);
	own_cgroup_end(&own);
}

/* Of the tests below: a cgroup with a member, and a guest_memfd that is more than its limit. */
struct narrow {
	struct own_cgroup own;
	struct unit_child child;
	int vm, file;
	struct trial trial;
};

static bool narrow_or_skip(struct narrow *narrow, uint64_t limit, uint64_t size)
{
	narrow->vm = narrow->file = -1;
	if (!own_cgroup_or_skip("narrow", &narrow->own))
		return false;
	if (!guest_memfd_or_skip(size, &narrow->vm, &narrow->file)) {
		own_cgroup_end(&narrow->own);
		return false;
	}
	CU_ASSERT_TRUE(own_cgroup_limit(&narrow->own, limit));
	own_cgroup_start_member(&narrow->own, &narrow->child);
	trial_init(&narrow->trial, narrow->file, size);
	narrow->trial.request.cgroup = &narrow->own.cgroup;
	narrow->trial.own = &narrow->own;
	return true;
}

/* Whatever happened, nobody was hurt but the helper. */
static void narrow_end(struct narrow *narrow)
{
	check_exact(&narrow->trial, 0);
	trial_clear(&narrow->trial);
	end_alive(&narrow->child);
	fd_close(narrow->file);
	fd_close(narrow->vm);
	own_cgroup_end(&narrow->own);
}

static void check_kills(const struct narrow *narrow, uint64_t expected)
{
	uint64_t kills = 77;

	CU_ASSERT_EQUAL(cgroup_oom_kills(&narrow->own.cgroup, &kills), 0);
	CU_ASSERT_EQUAL(kills, expected);
}

static void test_no_room(void)
{
	struct narrow narrow;
	const struct preallocation_result *result = &narrow.trial.result;

	if (!narrow_or_skip(&narrow, 128 * MIB, 256 * MIB))
		return;
	trial_run(&narrow.trial, PREALLOCATION_NO_ROOM);
	CU_ASSERT_EQUAL(result->allocated, 0);
	CU_ASSERT_EQUAL(result->room.limit, 128 * MIB);
	CU_ASSERT_TRUE(result->room.bytes > 64 * MIB && result->room.bytes <= 128 * MIB);
	check_kills(&narrow, 0);
	/* What is there needs no room. */
	narrow.trial.request.size = 96 * MIB;
	narrow.trial.dones = 0;
	trial_run(&narrow.trial, PREALLOCATION_DONE);
	CU_ASSERT_EQUAL(result->allocated, 96 * MIB);
	narrow.trial.dones = 0;
	trial_run(&narrow.trial, PREALLOCATION_DONE);
	CU_ASSERT_EQUAL(result->allocated, 0);
	narrow.trial.result.allocated = 96 * MIB; /* of all three */
	check_kills(&narrow, 0);
	narrow_end(&narrow);
}

static void test_over_the_limit(void)
{
	struct narrow narrow;

	if (!narrow_or_skip(&narrow, 128 * MIB, 256 * MIB))
		return;
	narrow.trial.request.ignore_room = true;
	trial_run(&narrow.trial, PREALLOCATION_OUT_OF_MEMORY);
	CU_ASSERT_TRUE(narrow.trial.result.allocated > 64 * MIB);
	CU_ASSERT_TRUE(narrow.trial.result.allocated <= 128 * MIB);
	CU_ASSERT_EQUAL(narrow.trial.result.room.limit, 128 * MIB);
	CU_ASSERT_TRUE(narrow.trial.result.room.bytes < 64 * MIB);
	check_kills(&narrow, 1);
	narrow_end(&narrow);
}

/* As low as the kernel lets us while it is in use: soon there is no room left. */
static void lower_limit(struct trial *trial)
{
	uint64_t usage = own_cgroup_usage(trial->own);

	for (uint64_t more = 8 * MIB; more < LARGE; more *= 2) {
		if (own_cgroup_limit(trial->own, usage + more))
			return;
	}
	CU_FAIL("the limit can't be lowered");
}

static void test_limit_lowered(void)
{
	struct narrow narrow;
	struct trial *trial = &narrow.trial;

	if (!narrow_or_skip(&narrow, 4 * LARGE, LARGE))
		return;
	trial->on_progress = lower_limit;
	trial->request.threads = 1;
	CU_ASSERT_EQUAL_FATAL(trial_start(trial), 0);
	run_loop(trial);
	CU_ASSERT_EQUAL(trial->dones, 1);
	if (trial->result.outcome == PREALLOCATION_DONE)
		unit_skip("done before the limit could be lowered");
	else if (trial->result.outcome == PREALLOCATION_NO_ROOM)
		check_kills(&narrow, 0);
	else
		CU_ASSERT_EQUAL(trial->result.outcome, PREALLOCATION_OUT_OF_MEMORY);
	CU_ASSERT_TRUE(trial->progresses > 0 || trial->result.allocated == LARGE);
	narrow_end(&narrow);
}

static void test_cgroup_gone(void)
{
	cleanup_fd int file = new_memfd(MIB);
	struct own_cgroup own;
	struct trial trial;

	if (!own_cgroup_or_skip("gone", &own))
		return;
	trial_init(&trial, file, MIB);
	trial.request.cgroup = &own.cgroup;
	own_cgroup_remove(&own);
	CU_ASSERT_EQUAL(trial_start(&trial), -ENODEV);
	trial_clear(&trial);
	own_cgroup_end(&own);
}

/* After it was opened, unless the helper is faster. */
static void test_cgroup_gone_meanwhile(void)
{
	cleanup_fd int file = new_memfd(MIB);
	struct own_cgroup own;
	struct trial trial;

	if (!own_cgroup_or_skip("going", &own))
		return;
	trial_init(&trial, file, MIB);
	trial.request.cgroup = &own.cgroup;
	CU_ASSERT_EQUAL_FATAL(trial_start(&trial), 0);
	if (rmdir(own.path) < 0 || access(own.path, F_OK) == 0)
		unit_skip("it was entered before it could be removed");
	run_loop(&trial);
	CU_ASSERT_EQUAL(trial.dones, 1);
	CU_ASSERT_TRUE(trial.result.outcome == PREALLOCATION_CGROUP_GONE ||
		       trial.result.outcome == PREALLOCATION_DONE);
	check_exact(&trial, 0);
	trial_clear(&trial);
	file = fd_close(file);
	own_cgroup_end(&own);
}

/* A stop interrupts fallocate(2) as any signal would that isn't blocked. */
static void interrupt(struct trial *trial)
{
	pid_t pid = helper();

	(void)trial;
	CU_ASSERT_TRUE_FATAL(pid > 0);
	for (int i = 0; i < 50; i++) {
		kill(pid, SIGSTOP);
		usleep(1000);
		kill(pid, SIGCONT);
		usleep(1000);
	}
}

static void check_interrupted(int file)
{
	struct trial trial;

	trial_init(&trial, file, LARGE);
	trial.on_progress = interrupt;
	trial_run(&trial, PREALLOCATION_DONE);
	CU_ASSERT_EQUAL(trial.result.allocated, LARGE);
	check_exact(&trial, 0);
	if (trial.progresses == 0)
		unit_skip("done before it could be interrupted");
	trial_clear(&trial);
}

static void test_interrupted(void)
{
	cleanup_fd int vm = -1, file = -1, memfd = -1;

	if (guest_memfd_or_skip(LARGE, &vm, &file))
		check_interrupted(file);
	file = fd_close(file);
	memfd = new_memfd(LARGE);
	check_interrupted(memfd);
}

/* How it ends */

static void cancel(struct trial *trial)
{
	preallocation_cancel(trial->preallocation);
	preallocation_cancel(trial->preallocation);
}

static void kill_helper(struct trial *trial)
{
	pid_t pid = helper();

	(void)trial;
	if (pid > 0)
		kill(pid, SIGKILL);
	else
		CU_FAIL("its process was not found");
}

static void free_it(struct trial *trial)
{
	trial->preallocation = preallocation_free(trial->preallocation);
	event_base_loopbreak(trial->base);
}

/* The outcome where it was stopped in the middle. */
static void check_stopped(void (*stop)(struct trial *trial), enum preallocation_outcome outcome)
{
	cleanup_fd int vm = -1, file = -1;
	struct trial trial;

	if (!guest_memfd_or_skip(LARGE, &vm, &file))
		return;
	trial_init(&trial, file, LARGE);
	trial.on_progress = stop;
	CU_ASSERT_EQUAL_FATAL(trial_start(&trial), 0);
	run_loop(&trial);
	CU_ASSERT_EQUAL(trial.dones, 1);
	if (trial.result.outcome == PREALLOCATION_DONE)
		unit_skip("done before it could be stopped");
	else
		check_result(&trial, outcome);
	CU_ASSERT_TRUE(trial.result.allocated >= trial.last_progress);
	check_exact(&trial, 0);
	trial_clear(&trial);
}

static void test_cancel(void)
{
	check_stopped(cancel, PREALLOCATION_CANCELLED);
}

static void test_cancel_at_once(void)
{
	cleanup_fd int file = new_memfd(MIB);
	struct trial trial;

	trial_init(&trial, file, MIB);
	CU_ASSERT_EQUAL_FATAL(trial_start(&trial), 0);
	preallocation_cancel(trial.preallocation);
	run_loop(&trial);
	CU_ASSERT_EQUAL(trial.dones, 1);
	CU_ASSERT_TRUE(trial.result.outcome == PREALLOCATION_CANCELLED ||
		       trial.result.outcome == PREALLOCATION_DONE);
	check_exact(&trial, 0);
	trial_clear(&trial);
}

static void test_killed_by_another(void)
{
	check_stopped(kill_helper, PREALLOCATION_KILLED);
}

/* Also where the kernel counts kills of that cgroup. */
static void test_killed_in_cgroup(void)
{
	struct narrow narrow;

	if (!narrow_or_skip(&narrow, 4 * LARGE, LARGE))
		return;
	narrow.trial.on_progress = kill_helper;
	CU_ASSERT_EQUAL_FATAL(trial_start(&narrow.trial), 0);
	run_loop(&narrow.trial);
	if (narrow.trial.result.outcome == PREALLOCATION_DONE)
		unit_skip("done before it could be killed");
	else
		check_result(&narrow.trial, PREALLOCATION_KILLED);
	narrow_end(&narrow);
}

/* Ended or not; one that was just started has no name yet. */
static bool any_child(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The loop waits for it. */
static void await_end_of_helper(struct trial *trial)
{
	for (int i = 0; i < PATIENCE_SECONDS * 100 && any_child(); i++) {
		event_base_loop(trial->base, EVLOOP_NONBLOCK);
		usleep(10000);
	}
	CU_ASSERT_FALSE(any_child());
}

static void test_freed_while_running(void)
{
	cleanup_fd int vm = -1, file = -1;
	struct trial trial;

	if (!guest_memfd_or_skip(LARGE, &vm, &file))
		return;
	trial_init(&trial, file, LARGE);
	trial.on_progress = free_it;
	CU_ASSERT_EQUAL_FATAL(trial_start(&trial), 0);
	run_loop(&trial);
	CU_ASSERT_TRUE(trial.dones == 0 || trial.result.outcome == PREALLOCATION_DONE);
	await_end_of_helper(&trial);
	trial_clear(&trial);
}

static void test_freed_at_once(void)
{
	cleanup_fd int file = new_memfd(MIB);
	struct trial trial;

	trial_init(&trial, file, MIB);
	CU_ASSERT_EQUAL_FATAL(trial_start(&trial), 0);
	trial.preallocation = preallocation_free(trial.preallocation);
	await_end_of_helper(&trial);
	CU_ASSERT_EQUAL(trial.dones, 0);
	trial_clear(&trial);
}

/* Without a loop. */
static void test_finished(void)
{
	cleanup_fd int file = new_memfd(MIB);
	struct trial trial;

	trial_init(&trial, file, MIB);
	CU_ASSERT_EQUAL_FATAL(trial_start(&trial), 0);
	preallocation_finish(trial.preallocation);
	trial.preallocation = NULL;
	CU_ASSERT_EQUAL(trial.dones, 0);
	/* On a busy machine it may take longer to end than that waits. */
	CU_ASSERT_TRUE(waitpid(-1, NULL, 0) > 0 || errno == ECHILD);
	trial_clear(&trial);
}

/* The kernel can be told to let a cgroup's processes wait for memory instead of killing them. */
static bool forbid_kills(const struct own_cgroup *own)
{
	cleanup_fd int fd =
		openat(own->cgroup.directory, "memory.oom_control", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, "1", 1) == 1;
}

static void test_cancelled_while_stuck(void)
{
	struct narrow narrow;
	struct trial *trial = &narrow.trial;

	if (!narrow_or_skip(&narrow, 128 * MIB, 256 * MIB))
		return;
	trial->request.ignore_room = true;
	if (forbid_kills(&narrow.own)) {
		CU_ASSERT_EQUAL_FATAL(trial_start(trial), 0);
		for (int i = 0;
			i < PATIENCE_SECONDS * 100 && own_cgroup_usage(&narrow.own) < 127 * MIB;
			i++)
			usleep(10000);
		cancel(trial);
		run_loop(trial);
		CU_ASSERT_EQUAL(trial->dones, 1);
		/* Where it gave up before we asked, for the kernel said that there is no memory. */
		if (trial->result.outcome == PREALLOCATION_FAILED)
			CU_ASSERT_EQUAL(trial->result.error, -ENOMEM)
		else
			check_result(trial, PREALLOCATION_CANCELLED);
		CU_ASSERT_TRUE(trial->result.allocated > 64 * MIB);
	} else {
		unit_skip("only v1 can keep the kernel from killing in a cgroup");
	}
	narrow_end(&narrow);
}

struct orphan {
	int file;
	int report[2];
};

/* Says who the helper is. */
static _Noreturn void start_and_wait(struct orphan *orphan)
{
	struct trial trial;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	trial_init(&trial, orphan->file, LARGE);
	trial_start(&trial);
	pid = helper();
	(void)!write(orphan->report[1], &pid, sizeof pid);
	while (true)
		pause();
}

static void check_ends(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0);

	for (int i = 0; i < PATIENCE_SECONDS * 100 && !process_ended(pidfd); i++)
		usleep(10000);
	CU_ASSERT_TRUE(process_ended(pidfd));
	CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
	close(pidfd);
}

/* Takes over the child that its own child leaves, to see its end. */
static void test_parent_killed(void)
{
	cleanup_fd int vm = -1;
	struct orphan orphan;
	pid_t parent, pid = 0;

	if (!guest_memfd_or_skip(LARGE, &vm, &orphan.file))
		return;
	CU_ASSERT_EQUAL_FATAL(pipe2(orphan.report, O_CLOEXEC), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	parent = fork();
	if (parent == 0)
		start_and_wait(&orphan);
	CU_ASSERT_EQUAL(read(orphan.report[0], &pid, sizeof pid), sizeof pid);
	kill(parent, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(parent, NULL, 0), parent);
	CU_ASSERT_TRUE_FATAL(pid > 0);
	check_ends(pid);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	for (int i = 0; i < 2; i++)
		close(orphan.report[i]);
	close(orphan.file);
}

int main(void)
{
	CU_TestInfo memory[] = {
		{"of a memfd", test_memfd},
		{"of a guest_memfd", test_guest_memfd},
		{"progress", test_progress},
		{"populated", test_populated},
		{"can't be populated", test_not_populated},
		{"interrupted", test_interrupted},
		{"failures", test_failures},
		{"refused", test_refused},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo nodes[] = {
		{"that is none", test_node_that_is_none},
		{"placement", test_node},
		{"whose policy a file has", test_policy_of_file},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo charge[] = {
		{"charged", test_charged},
		{"no room", test_no_room},
		{"over the limit", test_over_the_limit},
		{"limit lowered", test_limit_lowered},
		{"cgroup gone", test_cgroup_gone},
		{"cgroup gone meanwhile", test_cgroup_gone_meanwhile},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo ends[] = {
		{"cancelled", test_cancel},
		{"cancelled at once", test_cancel_at_once},
		{"cancelled while stuck", test_cancelled_while_stuck},
		{"killed by another", test_killed_by_another},
		{"killed by another in its cgroup", test_killed_in_cgroup},
		{"freed while it runs", test_freed_while_running},
		{"freed at once", test_freed_at_once},
		{"finished", test_finished},
		{"parent killed", test_parent_killed},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "memory", .pTests = memory},
		{.pName = "node", .pTests = nodes},
		{.pName = "charge", .pTests = charge},
		{.pName = "end", .pTests = ends},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
