/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_restart: from SIGKILL of a gmemd to the answers of the next one, which takes over VMs from
 * gmemd-keeper; against a gmemd that has no VM to take over.
 *
 * The next one is started as soon as the killed one is gone, as by a supervisor that doesn't wait.
 * Who asks it tries to connect again and again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/gmem.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/lib/gmemd_process.h"

#define ROUNDS      11
#define TRIES       100000
#define INTERVAL_US 100
#define PAUSE_US    200000

static const unsigned default_sizes[] = {0, 1, 100, 1000};

/* What there is to wait for, one after the other. */
enum { GONE, PING, VM_GET, STAGES };

static const char *const stages[STAGES] = {"killed one gone", "ping answered", "vm.get of last"};

struct figures {
	double stages[STAGES][ROUNDS]; /* milliseconds since SIGKILL */
};

static int call(struct gmem *gmem, const char *method, const char *params)
{
	char *result = NULL;
	int r = gmem_call(gmem, method, params, &result);

	free(result);
	return r;
}

/* Connected and answered. */
static int ask(const char *socket, struct gmem **ret)
{
	struct gmem *gmem = NULL;
	int r = gmem_connect(socket, &gmem);

	if (r < 0)
		return r;
	gmem_set_reconnect_limit(gmem, 0);
	r = call(gmem, "ping", NULL);
	if (r < 0)
		gmem_free(gmem);
	else
		*ret = gmem;
	return r;
}

static int ask_until_answered(const char *socket, struct gmem **ret)
{
	int r = -ETIMEDOUT;

	for (unsigned i = 0; i < TRIES; i++) {
		r = ask(socket, ret);
		if (r != -ENOENT && r != -ECONNREFUSED && r != -ECONNRESET)
			return r;
		usleep(INTERVAL_US);
	}
	return r;
}

static int get_last(struct gmem *gmem, const struct crowd *crowd)
{
	char params[64];

	if (crowd->count == 0)
		return 0;
	snprintf(params, sizeof params, "{\"vm\":\"%s\"}", crowd->last);
	return call(gmem, "vm.get", params);
}

static int restart(const char *program, struct gmemd_process *gmemd, const struct crowd *crowd,
	unsigned round, struct figures *figures)
{
	char operators[64];
	double began = bench_now();
	struct gmem *gmem = NULL;
	int r;

	snprintf(operators, sizeof operators, "%s/admin.sock", gmemd->directory);
	gmemd_process_kill(gmemd);
	figures->stages[GONE][round] = (bench_now() - began) / 1e6;
	r = gmemd_process_launch(program, gmemd);
	if (r == 0)
		r = ask_until_answered(operators, &gmem);
	if (r < 0)
		return bench_failed("the next gmemd", r);
	figures->stages[PING][round] = (bench_now() - began) / 1e6;
	r = get_last(gmem, crowd);
	figures->stages[VM_GET][round] = (bench_now() - began) / 1e6;
	gmem_free(gmem);
	return r < 0 ? bench_failed("vm.get", r) : 0;
}

static void print(const struct crowd *crowd, struct figures *figures)
{
	for (unsigned stage = 0; stage < STAGES; stage++) {
		double *values = figures->stages[stage], middle = bench_median(values, ROUNDS);

		printf("%6u VMs %-20s %9.1f %9.1f %9.1f\n", crowd->count, stages[stage], middle,
			values[0], values[ROUNDS - 1]);
	}
	fflush(stdout);
}

static int measure(const char *program, unsigned vmms)
{
	const struct crowd_plan plan = {.vmms = vmms, .memories = 2, .slots = 4};
	struct gmemd_process gmemd;
	struct figures figures;
	struct crowd crowd;
	int r;

	r = gmemd_process_start(program, "kvm", "[keeper]\nuse = yes\n", &gmemd);
	if (r < 0)
		return bench_failed("starting gmemd", r);
	r = crowd_start(gmemd.socket, &plan, &crowd);
	for (unsigned round = 0; r == 0 && round < ROUNDS; round++) {
		r = restart(program, &gmemd, &crowd, round, &figures);
		usleep(PAUSE_US);
	}
	if (r == 0)
		print(&crowd, &figures);
	crowd_end(&crowd);
	gmemd_process_end(&gmemd);
	return r;
}

int main(int argc, char **argv)
{
	const char *missing = bench_what_is_missing(/* gate= */ true);
	int r = 0;

	if (argc < 2) {
		fprintf(stderr, "Usage: %s GMEMD [VMS...]\n", argv[0]);
		return 2;
	}
	if (missing) {
		printf("restart: skipped: %s\n", missing);
		return BENCH_SKIPPED;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = bench_pin();
	printf("restart, milliseconds since SIGKILL: medians of %u, all processes on one core\n"
	       "%10s %-20s %9s %9s %9s\n",
		ROUNDS, "", "", "median", "min", "max");
	for (int i = 2; r == 0 && i < argc; i++)
		r = measure(argv[1], (unsigned)atoi(argv[i]));
	for (size_t i = 0; r == 0 && argc == 2 && i < sizeof default_sizes / sizeof *default_sizes;
		i++)
		r = measure(argv[1], default_sizes[i]);
	puts("target: vm.get of last at most 100.0 milliseconds with 1000 VMs");
	while (wait(NULL) > 0)
		;
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
