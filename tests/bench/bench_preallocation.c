/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_preallocation: guest memory allocated by gmemd's helper against the same allocated by as
 * many threads of one's own, each by one fallocate(2).
 *
 * Each round allocates a new guest_memfd by each, in turn; a ratio is taken within a round. What
 * the helper's start and end cost is in its time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "daemon/prealloc/helper_run.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "tests/bench/bench.h"

#define SIZE        (3ull << 30)
#define ROUNDS      9
#define THREADS_MAX 2

struct figures {
	double direct[ROUNDS], helper[ROUNDS]; /* GiB/s */
	double ratio[ROUNDS];
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* One's own threads */

struct part {
	int file;
	off_t offset, size;
	int r;
	pthread_t thread;
};

static void *allocate_part(void *context)
{
	struct part *part = context;

	part->r = fallocate(part->file, FALLOC_FL_KEEP_SIZE, part->offset, part->size) < 0 ? -errno
											   : 0;
	return NULL;
}

static int allocate_directly(int file, unsigned threads, const char *program)
{
	struct part parts[THREADS_MAX];
	off_t size = (off_t)(SIZE / threads);
	int r = 0;

	(void)program;
	for (unsigned i = 0; i < threads; i++) {
		parts[i] = (struct part){.file = file, .offset = (off_t)i * size, .size = size};
		if (pthread_create(&parts[i].thread, NULL, allocate_part, &parts[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(parts[i].thread, NULL);
		if (parts[i].r < 0)
			r = parts[i].r;
	}
	return r;
}

/* The helper */

struct ended {
	struct event_base *base;
	struct preallocation_result result;
};

static void done(void *context, const struct preallocation_result *result)
{
	struct ended *ended = context;

	ended->result = *result;
	event_base_loopbreak(ended->base);
}

static int allocate_by_helper(int file, unsigned threads, const char *program)
{
	struct ended ended = {.base = event_base_new()};
	const struct preallocation_events events = {.done = done, .context = &ended};
	const struct preallocation_request request = {.file = file,
		.size = SIZE,
		.threads = threads,
		.node = NODE_ANY,
		.program = program};
	struct preallocation *preallocation;
	int r = preallocation_start(ended.base, &request, &events, &preallocation);

	if (r == 0) {
		event_base_dispatch(ended.base);
		preallocation_free(preallocation);
		if (ended.result.allocated != SIZE)
			r = ended.result.error ? ended.result.error : -ENOMEM;
	}
	event_base_free(ended.base);
	return r;
}

/* Comparing them */

static int measure(int vm, int (*allocate)(int file, unsigned threads, const char *program),
	unsigned threads, const char *program, double *ret)
{
	struct kvm_create_guest_memfd arguments = {.size = SIZE};
	cleanup_fd int file = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arguments);
	double start = now();
	int r;

	if (file < 0)
		return -errno;
	r = allocate(file, threads, program);
	*ret = (double)SIZE / (double)(1ull << 30) / (now() - start);
	return r;
}

static int play(int vm, unsigned threads, const char *program, struct figures *figures)
{
	double warm_up;
	int r = measure(vm, allocate_by_helper, threads, program, &warm_up);

	for (unsigned i = 0; r == 0 && i < ROUNDS; i++) {
		r = measure(vm, allocate_directly, threads, program, &figures->direct[i]);
		if (r == 0)
			r = measure(vm, allocate_by_helper, threads, program, &figures->helper[i]);
		figures->ratio[i] = figures->helper[i] / figures->direct[i];
	}
	return r;
}

static void print_row(unsigned threads, const char *name, double *figures, double ratio)
{
	qsort(figures, ROUNDS, sizeof *figures, compare);
	printf("%u %-14s %-20s %11.2f %11.2f %11.2f %7.3f\n", threads,
		threads == 1 ? "thread" : "threads", name, figures[ROUNDS / 2], figures[0],
		figures[ROUNDS - 1], ratio);
}

static int compete(int vm, const char *program)
{
	struct figures figures;

	printf("preallocation of %llu GiB, GiB/s: medians of %u rounds, in turn\n", SIZE >> 30,
		ROUNDS);
	printf("%-16s %-20s %11s %11s %11s %7s\n", "", "", "median", "min", "max", "ratio");
	for (unsigned threads = 1; threads <= THREADS_MAX; threads++) {
		int r = play(vm, threads, program, &figures);

		if (r < 0)
			return r;
		qsort(figures.ratio, ROUNDS, sizeof *figures.ratio, compare);
		print_row(threads, "fallocate", figures.direct, 1);
		print_row(threads, "gmemd-allocator", figures.helper, figures.ratio[ROUNDS / 2]);
	}
	printf("target: at least 0.95 of one's own threads\n");
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	cleanup_fd int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	int r;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s GMEMD-ALLOCATOR\n", argv[0]);
		return 2;
	}
	if (vm < 0 || ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) <= 0) {
		printf("preallocation: skipped: no VM with guest_memfd can be made here\n");
		return BENCH_SKIPPED;
	}
	r = compete(vm, argv[1]);
	return r < 0 ? (bench_failed("preallocation", r), EXIT_FAILURE) : EXIT_SUCCESS;
}
