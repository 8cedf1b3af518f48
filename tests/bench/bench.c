/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Comparisons. See bench.h.
 */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/kvm/probe.h"
#include "tests/lib/gmemd_process.h"

/* What a subject's process answers to its set-up, with no medians, and to each round. */
struct report {
	int r;
	double medians[BENCH_STEPS_MAX]; /* nanoseconds of each step */
};

/* A subject's process, as the bench sees it. */
struct contender {
	const struct bench_subject *subject;
	pid_t pid;
	int channel;
	double *figures[BENCH_STEPS_MAX]; /* in the comparison's unit, one per round */
};

struct summary {
	double median, min, max, ratio;
};

int bench_failed(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	return r;
}

int bench_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_FAILURE);
	}
	return pid;
}

double bench_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double bench_median(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

unsigned bench_rounds(unsigned usual)
{
	const char *rounds = getenv("GMEMD_BENCH_ROUNDS");
	unsigned fewer = rounds ? (unsigned)strtoul(rounds, NULL, 10) : usual;

	return fewer > 0 && fewer < usual ? fewer : usual;
}

void bench_tell(const struct bench_figure *figure, const double *values, unsigned count)
{
	const char *path = getenv("GMEMD_BENCH_JSON");
	cleanup_file FILE *file = path ? fopen(path, "ae") : NULL;

	if (!file)
		return;
	fprintf(file,
		"{\"work\": \"%s\", \"subject\": \"%s\", \"measure\": \"%s\", \"unit\": \"%s\"",
		figure->work, figure->subject, figure->measure, figure->unit);
	for (unsigned i = 0; i < count; i++)
		fprintf(file, "%s%.9g", i == 0 ? ", \"values\": [" : ", ", values[i]);
	fputs("]}\n", file);
}

static double *new_values(unsigned count)
{
	double *values = calloc(count, sizeof *values);

	if (!values)
		abort();
	return values;
}

/* The first core serves most interrupts. */
int bench_pin(void)
{
	cpu_set_t allowed, last;
	int cpu = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		return -errno;
	while (cpu > 0 && !CPU_ISSET(cpu, &allowed))
		cpu--;
	CPU_ZERO(&last);
	CPU_SET(cpu, &last);
	return sched_setaffinity(0, sizeof last, &last) < 0 ? -errno : 0;
}

/* In a subject's process: */

static int sample(const struct bench_comparison *comparison, const struct bench_subject *subject,
	void *context, double *const ret[static BENCH_STEPS_MAX], unsigned index)
{
	for (unsigned step = 0; comparison->steps[step]; step++) {
		double start = bench_now();

		for (unsigned i = 0; i < comparison->batch; i++) {
			int r = subject->steps[step](context);

			if (r < 0)
				return bench_failed(subject->name, r);
		}
		ret[step][index] = (bench_now() - start) / comparison->batch;
	}
	return 0;
}

static int play_round(const struct bench_comparison *comparison,
	const struct bench_subject *subject, void *context, double *samples[static BENCH_STEPS_MAX],
	struct report *report)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < comparison->samples / 10; i++)
		r = sample(comparison, subject, context, samples, 0);
	for (unsigned i = 0; r == 0 && i < comparison->samples; i++)
		r = sample(comparison, subject, context, samples, i);
	for (unsigned step = 0; r == 0 && comparison->steps[step]; step++)
		report->medians[step] = bench_median(samples[step], comparison->samples);
	return r;
}

/* A round for each byte that comes. */
static void play(const struct bench_comparison *comparison, const struct bench_subject *subject,
	const char *socket, int channel)
{
	double *samples[BENCH_STEPS_MAX];
	struct report report = {.r = 0};
	void *context = NULL;
	char turn;

	for (unsigned step = 0; step < BENCH_STEPS_MAX; step++)
		samples[step] = new_values(comparison->samples);
	report.r = subject->set_up(socket, &context);
	while (send(channel, &report, sizeof report, MSG_NOSIGNAL) == sizeof report &&
		recv(channel, &turn, sizeof turn, 0) > 0)
		report.r = play_round(comparison, subject, context, samples, &report);
	_exit(report.r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* In the bench's process: */

static int hear(const struct contender *contender, struct report *ret)
{
	ssize_t length = recv(contender->channel, ret, sizeof *ret, 0);

	if (length != sizeof *ret)
		return -ECHILD;
	return ret->r;
}

static int contender_start(const struct bench_comparison *comparison,
	const struct bench_subject *subject, const char *socket, struct contender *ret)
{
	struct report report;
	int channel[2];

	ret->subject = subject;
	for (unsigned step = 0; step < BENCH_STEPS_MAX; step++)
		ret->figures[step] = new_values(comparison->rounds);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	ret->pid = bench_fork();
	if (ret->pid == 0) {
		fd_close(channel[0]);
		play(comparison, subject, socket, channel[1]);
	}
	fd_close(channel[1]);
	ret->channel = channel[0];
	return ret->pid < 0 ? ret->pid : hear(ret, &report);
}

/* To be done in the reverse order: who was started later holds the channels of who was before. */
static void contender_end(struct contender *contender)
{
	fd_close(contender->channel);
	if (contender->pid > 0)
		waitpid(contender->pid, NULL, 0);
	for (unsigned step = 0; step < BENCH_STEPS_MAX; step++)
		free(contender->figures[step]);
}

static int contender_turn(
	const struct bench_comparison *comparison, struct contender *contender, unsigned round)
{
	struct report report;
	char turn = 0;
	int r;

	if (send(contender->channel, &turn, sizeof turn, MSG_NOSIGNAL) < 0)
		return -errno;
	r = hear(contender, &report);
	for (unsigned step = 0; r == 0 && comparison->steps[step]; step++)
		contender->figures[step][round] = comparison->unit == BENCH_PER_SECOND
							  ? 1e9 / report.medians[step]
							  : report.medians[step] / 1e3;
	return r;
}

static struct summary summarize(const double *figures, const double *reference, unsigned rounds)
{
	double *sorted = new_values(rounds);
	struct summary summary;

	for (unsigned round = 0; round < rounds; round++)
		sorted[round] = figures[round] / reference[round];
	summary.ratio = bench_median(sorted, rounds);
	memcpy(sorted, figures, rounds * sizeof *sorted);
	summary.median = bench_median(sorted, rounds);
	summary.min = sorted[0];
	summary.max = sorted[rounds - 1];
	free(sorted);
	return summary;
}

/* A subject's name may be indented, below the one that it is a kind of. */
static void tell_step(
	const struct bench_comparison *comparison, const struct contender *contender, unsigned step)
{
	const char *name = contender->subject->name;
	char work[80];
	const struct bench_figure figure = {.work = work,
		.subject = name + strspn(name, " "),
		.measure = comparison->unit == BENCH_PER_SECOND ? "rate" : "time",
		.unit = comparison->unit == BENCH_PER_SECOND ? "a second" : "us"};

	snprintf(work, sizeof work, "%s: %s", comparison->title, comparison->steps[step]);
	bench_tell(&figure, contender->figures[step], comparison->rounds);
}

static void print_step(const struct bench_comparison *comparison,
	const struct contender *contenders, unsigned step)
{
	int decimals = comparison->unit == BENCH_PER_SECOND ? 0 : 2;

	for (unsigned i = 0; i < comparison->n_subjects; i++) {
		struct summary summary = summarize(contenders[i].figures[step],
			contenders[0].figures[step], comparison->rounds);

		tell_step(comparison, &contenders[i], step);
		printf("%-16s %-20s %11.*f %11.*f %11.*f %7.3f\n", comparison->steps[step],
			contenders[i].subject->name, decimals, summary.median, decimals,
			summary.min, decimals, summary.max, summary.ratio);
	}
}

static void print_table(
	const struct bench_comparison *comparison, const struct contender *contenders)
{
	printf("%s, %s: medians of %u rounds of %u, in turn, on one core\n", comparison->title,
		comparison->unit == BENCH_PER_SECOND ? "per second" : "microseconds",
		comparison->rounds, comparison->samples * comparison->batch);
	printf("%-16s %-20s %11s %11s %11s %7s\n", "", "", "median", "min", "max", "ratio");
	for (unsigned step = 0; comparison->steps[step]; step++)
		print_step(comparison, contenders, step);
	if (comparison->target)
		printf("target: %s\n", comparison->target);
}

/* sockets: of the gmemd without a keeper, and of the one with it. */
static int compete(const struct bench_comparison *comparison, const char *const sockets[static 2])
{
	struct contender *contenders = calloc(comparison->n_subjects, sizeof *contenders);
	unsigned n = 0;
	int r = contenders ? 0 : -ENOMEM;

	for (; r == 0 && n < comparison->n_subjects; n++) {
		contenders[n].channel = -1;
		r = contender_start(comparison, &comparison->subjects[n],
			sockets[n + comparison->n_kept >= comparison->n_subjects], &contenders[n]);
	}
	for (unsigned round = 0; r == 0 && round < comparison->rounds; round++) {
		for (unsigned i = 0; r == 0 && i < n; i++)
			r = contender_turn(comparison, &contenders[i], round);
	}
	if (r == 0)
		print_table(comparison, contenders);
	while (n-- > 0)
		contender_end(&contenders[n]);
	free(contenders);
	return r;
}

const char *bench_what_is_missing(bool gate)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	static struct host_offer host;

	if (kvm < 0)
		return "/dev/kvm can't be opened";
	if (probe_host(kvm, &host) < 0 || !host.vm_types[0].guest_memfd)
		return "the kernel has no guest_memfd for VMs of the default type";
	return gate ? host.gate_missing : NULL;
}

static int run(const char *program, const struct bench_comparison *comparison)
{
	bool keeper = comparison->n_kept > 0;
	struct gmemd_process alone, kept;
	int r = gmemd_process_start(program, "kvm", "[keeper]\nuse = no\n", &alone);

	if (r < 0)
		return bench_failed("starting gmemd", r);
	if (keeper)
		r = gmemd_process_start(program, "kvm", "[keeper]\nuse = yes\n", &kept);
	if (r < 0) {
		gmemd_process_end(&alone);
		return bench_failed("starting gmemd", r);
	}
	r = compete(comparison,
		(const char *const[]){alone.socket, keeper ? kept.socket : alone.socket});
	gmemd_process_end(&alone);
	if (keeper)
		gmemd_process_end(&kept);
	return r < 0 ? bench_failed(comparison->title, r) : 0;
}

int bench_main(int argc, char **argv, const struct bench_comparison *comparison)
{
	const char *missing = bench_what_is_missing(comparison->gate);
	struct bench_comparison own = *comparison;
	int r;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s GMEMD\n", argv[0]);
		return 2;
	}
	if (missing) {
		printf("%s: skipped: %s\n", comparison->title, missing);
		return BENCH_SKIPPED;
	}
	own.rounds = bench_rounds(own.rounds);
	/* A subject's own children become ours, to wait for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = bench_pin();
	if (r == 0)
		r = run(argv[1], &own);
	while (wait(NULL) > 0)
		;
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
