/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_footprint: what a VM with many memories and slots takes of memory in gmemd and its keeper.
 *
 * How much more there is with many VMs than with none, divided by their number: anonymous memory of
 * both processes, and pages of the files that gmemd keeps for VMs, which no process's private
 * memory counts. The kernel's own memory is not counted, nor is guest memory.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/cleanup.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/lib/gmemd_process.h"

#define VMS 100

static const struct crowd_plan plans[] = {
	{.vmms = VMS, .memories = 2, .slots = 4},
	{.vmms = VMS, .memories = 2, .slots = 64},
	{.vmms = VMS, .memories = 64, .slots = 64},
};

enum { GMEMD, KEEPER, LEDGERS, MAILBOXES, REPORTS, FRAMES, PEERS, PARTS };

static const struct {
	const char *name;
	const char *file; /* how its files' names begin, where it has any */
} parts[PARTS] = {
	[GMEMD] = {"gmemd", NULL},
	[KEEPER] = {"gmemd-keeper", NULL},
	[LEDGERS] = {"ledger", "/memfd:gmemd-vm "},
	[MAILBOXES] = {"mailbox", "/memfd:gmemd-mailbox"},
	[REPORTS] = {"report page", "/memfd:gmemd-report"},
	[FRAMES] = {"frames", "/memfd:gmemd-frames "},
	[PEERS] = {"connection", "/memfd:gmemd-peer"},
};

struct footprint {
	uint64_t bytes[PARTS];
};

static int read_anonymous(pid_t pid, uint64_t *ret)
{
	cleanup_file FILE *file = NULL;
	char path[64], line[256];
	unsigned long long kilobytes;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "Anonymous: %llu kB", &kilobytes) == 1) {
			*ret = kilobytes * 1024;
			return 0;
		}
	}
	return file ? -EBADMSG : -errno;
}

static void add_file(int directory, const char *name, struct footprint *footprint)
{
	char target[512] = "";
	struct stat status;

	if (readlinkat(directory, name, target, sizeof target - 1) < 0 ||
		fstatat(directory, name, &status, 0) < 0)
		return;
	for (unsigned part = 0; part < PARTS; part++) {
		if (parts[part].file &&
			strncmp(target, parts[part].file, strlen(parts[part].file)) == 0)
			footprint->bytes[part] += (uint64_t)status.st_blocks * 512;
	}
}

/* The keeper has each once. */
static int read_files(pid_t keeper, struct footprint *footprint)
{
	struct dirent *entry;
	char path[64];
	DIR *files;

	snprintf(path, sizeof path, "/proc/%d/fd", keeper);
	files = opendir(path);
	if (!files)
		return -errno;
	while ((entry = readdir(files)))
		add_file(dirfd(files), entry->d_name, footprint);
	closedir(files);
	return 0;
}

static int measure(const struct gmemd_process *gmemd, struct footprint *ret)
{
	pid_t keeper = gmemd_process_keeper(gmemd);
	int r = keeper > 0 ? 0 : -ESRCH;

	*ret = (struct footprint){.bytes = {0}};
	if (r == 0)
		r = read_anonymous(gmemd->pid, &ret->bytes[GMEMD]);
	if (r == 0)
		r = read_anonymous(keeper, &ret->bytes[KEEPER]);
	return r < 0 ? r : read_files(keeper, ret);
}

/* It may be connected to before it serves. */
static int await_answer(const struct gmemd_process *gmemd)
{
	struct gmem *gmem = NULL;
	char *result = NULL;
	int r = gmem_connect(gmemd->socket, &gmem);

	if (r == 0)
		r = gmem_call(gmem, "ping", NULL, &result);
	free(result);
	gmem_free(gmem);
	return r;
}

static void print(const char *when, const struct footprint *none, const struct footprint *all)
{
	double sum = 0;

	for (unsigned part = 0; part < PARTS; part++) {
		double bytes = ((double)all->bytes[part] - (double)none->bytes[part]) / VMS;

		printf("%-16s %-20s %8.2f\n", when, parts[part].name, bytes / 1024);
		sum += bytes;
	}
	printf("%-16s %-20s %8.2f\n", when, "all", sum / 1024);
}

static int compare(const char *program, const struct crowd_plan *plan, struct gmemd_process *gmemd,
	struct crowd *crowd)
{
	struct footprint none, all;
	int r = measure(gmemd, &none);

	if (r == 0)
		r = crowd_start(gmemd->socket, plan, crowd);
	if (r == 0)
		r = measure(gmemd, &all);
	if (r < 0)
		return r;
	printf("KiB for each of %u VMs with %u memories and %u slots\n", plan->vmms, plan->memories,
		plan->slots);
	print("as made", &none, &all);
	r = gmemd_process_restart(program, gmemd, /* with_keeper= */ false);
	if (r == 0)
		r = await_answer(gmemd);
	if (r == 0)
		r = measure(gmemd, &all);
	if (r == 0)
		print("after a restart", &none, &all);
	return r;
}

static int measure_plan(const char *program, const struct crowd_plan *plan)
{
	struct crowd crowd = {.pids = NULL};
	struct gmemd_process gmemd;
	int r = gmemd_process_start(program, "kvm", "[keeper]\nuse = yes\n", &gmemd);

	if (r < 0)
		return bench_failed("starting gmemd", r);
	r = compare(program, plan, &gmemd, &crowd);
	crowd_end(&crowd);
	gmemd_process_end(&gmemd);
	return r < 0 ? bench_failed("footprint", r) : 0;
}

int main(int argc, char **argv)
{
	const char *missing = bench_what_is_missing(/* gate= */ true);
	int r = 0;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s GMEMD\n", argv[0]);
		return 2;
	}
	if (missing) {
		printf("footprint: skipped: %s\n", missing);
		return BENCH_SKIPPED;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; r == 0 && i < sizeof plans / sizeof *plans; i++)
		r = measure_plan(argv[1], &plans[i]);
	puts("target: all at most 16.00 KiB");
	while (wait(NULL) > 0)
		;
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
