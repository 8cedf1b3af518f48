/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the benches share: competitors measured in turn on one core, and the table of their times.
 *
 * Each subject runs in a process of its own, so that a gate round one is none round the others. In
 * every round each subject warms up and is measured once, in turn, while the others wait; a round's
 * figure is the median of its samples, and ratios are taken within a round. So what drifts or
 * disturbs the machine meets all subjects alike.
 */
#pragma once

#include <stdbool.h>

#define BENCH_STEPS_MAX 6

/* What meson counts as skipped. */
#define BENCH_SKIPPED 77

/* One that competes. All its functions run in its own process and return 0 or a negative errno. */
struct bench_subject {
	const char *name;
	/* socket: gmemd's. What it makes is gone with its process. *ret_context is NULL already. */
	int (*set_up)(const char *socket, void **ret_context);
	/* Done one after the other and timed each by itself; in the order of the comparison's
	 * names. */
	int (*steps[BENCH_STEPS_MAX])(void *context);
};

enum bench_unit {
	BENCH_MICROSECONDS, /* that a step takes */
	BENCH_PER_SECOND,   /* steps */
};

struct bench_comparison {
	const char *title;
	enum bench_unit unit;
	const char *const *steps; /* their names; ends with NULL */
	const struct bench_subject *subjects;
	unsigned n_subjects; /* the first is what the others are compared with */
	unsigned n_kept;     /* of the last so many the gmemd is another one, with a keeper */
	unsigned rounds;
	unsigned samples; /* per round; a tenth of that warms up */
	unsigned batch;   /* how often a sample does its steps: more than once only for one step */
	bool gate;        /* a subject needs one */
	const char *target;
};

/*
 * A bench's main(): starts gmemd (argv[1]), with gates preferred, in a directory of its own,
 * measures, prints and ends what it has started. A second one has a keeper, where a subject wants
 * that. Returns the exit status; BENCH_SKIPPED, and says why, where the kernel has no guest_memfd,
 * or no gate and one is needed.
 */
int bench_main(int argc, char **argv, const struct bench_comparison *comparison);

/* Forks a child that ends when its parent does. As fork(2), but a negative errno. */
int bench_fork(void);

/* Nanoseconds, CLOCK_MONOTONIC. */
double bench_now(void);

/* Sorts the values. */
double bench_median(double *values, unsigned count);

/* To one core; inherited by all that is started from now on. 0 or a negative errno. */
int bench_pin(void);

/* Of this host, for a bench with VMs; NULL where nothing is. */
const char *bench_what_is_missing(bool gate);

/*
 * For tests/bench/run: how many rounds to measure, GMEMD_BENCH_ROUNDS of the environment where that
 * is fewer than usual; and a line of JSON of one measure of one work by one subject, its values in
 * all rounds, at the end of the file that GMEMD_BENCH_JSON names. Nothing where it names none.
 */
struct bench_figure {
	const char *work, *subject, *measure, *unit;
};
unsigned bench_rounds(unsigned usual);
void bench_tell(const struct bench_figure *figure, const double *values, unsigned count);

/* Says what failed. Returns r. */
int bench_failed(const char *what, int r);
