/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_preallocation: guest memory allocated by gmemd's helper against the same allocated by as
 * many threads of one's own, each by one fallocate(2); and populated, besides.
 *
 * Each round allocates a new guest_memfd by each, in turn, or a memfd where there is no KVM; a
 * ratio is taken within a round. What the helper's start and end cost is in its time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/prealloc/helper_run.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/memory_file.h"
#include "tests/bench/bench.h"

#define SIZE        (2ull << 30) /* SIZE_MIB of the environment in place of it */
#define ROUNDS      9
#define THREADS_MAX 4

/* What is measured. */
struct way {
	const char *program; /* the helper's */
	uint64_t size;
	int vm; /* -1: memfds are allocated */
	unsigned threads;
	bool populate;
};

struct figures {
	double direct[ROUNDS], helper[ROUNDS]; /* GiB/s */
	double ratio[ROUNDS];
};

/* One's own threads */

struct part {
	int file;
	off_t offset, size;
	bool populate;
	int r;
	pthread_t thread;
};

static void *allocate_part(void *context)
{
	struct part *part = context;

	size_t size = (size_t)part->size;
	void *mapped;

	part->r = fallocate(part->file, FALLOC_FL_KEEP_SIZE, part->offset, part->size) < 0 ? -errno
											   : 0;
	if (part->r < 0 || !part->populate)
		return NULL;
	mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, part->file, part->offset);
	if (mapped == MAP_FAILED || madvise(mapped, size, MADV_POPULATE_WRITE) < 0)
		part->r = -errno;
	if (mapped != MAP_FAILED)
		munmap(mapped, size);
	return NULL;
}

static int allocate_directly(int file, const struct way *way)
{
	struct part parts[THREADS_MAX];
	off_t size = (off_t)(way->size / way->threads);
	int r = 0;

	for (unsigned i = 0; i < way->threads; i++) {
		parts[i] = (struct part){.file = file,
			.offset = (off_t)i * size,
			.size = size,
			.populate = way->populate};
		if (pthread_create(&parts[i].thread, NULL, allocate_part, &parts[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < way->threads; i++) {
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

static int allocate_by_helper(int file, const struct way *way)
{
	struct ended ended = {.base = event_base_new()};
	const struct preallocation_events events = {.done = done, .context = &ended};
	const struct preallocation_request request = {.file = file,
		.size = way->size,
		.threads = way->threads,
		.populate = way->populate,
		.node = NODE_ANY,
		.program = way->program};
	struct preallocation *preallocation;
	int r = preallocation_start(ended.base, &request, &events, &preallocation);

	if (r == 0) {
		event_base_dispatch(ended.base);
		preallocation_free(preallocation);
		if (ended.result.allocated != way->size)
			r = ended.result.error ? ended.result.error : -ENOMEM;
	}
	event_base_free(ended.base);
	return r;
}

/* Comparing them */

static int new_file(const struct way *way)
{
	struct kvm_create_guest_memfd arguments = {
		.size = way->size, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
	int fd = -1, r;

	if (way->vm < 0)
		r = memory_file_create_memfd("bench", way->size, &fd);
	else
		r = fd = ioctl(way->vm, KVM_CREATE_GUEST_MEMFD, &arguments);
	return r < 0 ? -1 : fd;
}

static int measure(
	const struct way *way, int (*allocate)(int file, const struct way *way), double *ret)
{
	cleanup_fd int file = new_file(way);
	double start = bench_now();
	int r;

	if (file < 0)
		return -errno;
	r = allocate(file, way);
	*ret = (double)way->size / (double)(1ull << 30) / (bench_now() - start) * 1e9;
	return r;
}

static int play(const struct way *way, struct figures *figures)
{
	double warm_up;
	int r = measure(way, allocate_by_helper, &warm_up);

	for (unsigned i = 0; r == 0 && i < bench_rounds(ROUNDS); i++) {
		r = measure(way, allocate_directly, &figures->direct[i]);
		if (r == 0)
			r = measure(way, allocate_by_helper, &figures->helper[i]);
		figures->ratio[i] = figures->helper[i] / figures->direct[i];
	}
	return r;
}

static void print_row(unsigned threads, const char *name, double *figures, double ratio)
{
	unsigned rounds = bench_rounds(ROUNDS);
	char work[64];
	const struct bench_figure figure = {work, name, "rate", "GiB/s"};
	double median;

	snprintf(work, sizeof work, "preallocation by %u thread%s", threads,
		threads == 1 ? "" : "s");
	bench_tell(&figure, figures, rounds);
	median = bench_median(figures, rounds);
	printf("%u %-14s %-20s %11.2f %11.2f %11.2f %7.3f\n", threads,
		threads == 1 ? "thread" : "threads", name, median, figures[0], figures[rounds - 1],
		ratio);
}

static int compete(struct way *way)
{
	struct figures figures;
	int r = play(way, &figures);

	if (r < 0)
		return r;
	print_row(way->threads, way->populate ? "and populate" : "fallocate", figures.direct, 1);
	print_row(way->threads, way->populate ? "gmemd, populate" : "gmemd-allocator",
		figures.helper, bench_median(figures.ratio, bench_rounds(ROUNDS)));
	return 0;
}

static int compete_by_all(struct way *way)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	printf("preallocation of %llu MiB of a %s, GiB/s: medians of %u rounds, in turn\n",
		(unsigned long long)way->size >> 20, way->vm < 0 ? "memfd" : "guest_memfd",
		bench_rounds(ROUNDS));
	printf("%-16s %-20s %11s %11s %11s %7s\n", "", "", "median", "min", "max", "ratio");
	for (unsigned i = 1; i <= THREADS_MAX && i <= cores; i *= 2) {
		for (int populate = 0; populate < 2; populate++) {
			int r;

			way->threads = i;
			way->populate = populate;
			r = compete(way);
			if (r < 0)
				return r;
		}
	}
	printf("target: at least 0.95 of one's own threads\n");
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	cleanup_fd int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	const char *size = getenv("SIZE_MIB");
	struct way way = {.vm = -1, .size = size ? strtoull(size, NULL, 10) << 20 : SIZE};
	int r;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s GMEMD-ALLOCATOR\n", argv[0]);
		return 2;
	}
	way.program = argv[1];
	if (vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) > 0)
		way.vm = vm;
	r = compete_by_all(&way);
	return r < 0 ? (bench_failed("preallocation", r), EXIT_FAILURE) : EXIT_SUCCESS;
}
