/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random sequences of calls on the model and on a kernel, side by side: after each call results,
 * errnos, allocated pages and bytes must agree. What does not is shrunk to a short sequence and
 * printed with its seed. Reports as TAP.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/conformance/comparison.h"
#include "tests/conformance/planted.h"

#define SEQUENCE_CALLS 250

struct options {
	uint64_t seed, calls;
	unsigned long vm_type;
	const char *kernel; /* that the model plays beside itself */
	bool model, self_test;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void random_sequence(
	uint64_t seed, uint64_t number, const struct model_rules *rules, struct call *ret_calls)
{
	struct random random = {.state = (seed << 32 ^ number) * 0x9e3779b97f4a7c15ULL | 1};

	for (unsigned i = 0; i < 8; i++)
		random_below(&random, 2); /* similar seeds begin alike */
	for (size_t i = 0; i < SEQUENCE_CALLS; i++)
		call_random(&random, rules, &ret_calls[i]);
}

static void report(struct comparison *comparison, const struct options *options, uint64_t number,
	struct call *calls, size_t count)
{
	comparison_run(comparison, calls, count);
	printf("# seed %llu, sequence %llu, shrunk to %zu calls:\n",
		(unsigned long long)options->seed, (unsigned long long)number, count);
	for (size_t i = 0; i < count; i++) {
		printf("#   ");
		call_print(stdout, &calls[i]);
		printf("\n");
	}
	printf("# after the last: %s\n", comparison->difference);
}

/* How many calls the first difference was shrunk to, 0 where there was none. */
static size_t search(struct comparison *comparison, const struct options *options)
{
	static struct call calls[SEQUENCE_CALLS];

	for (uint64_t number = 0; number * SEQUENCE_CALLS < options->calls; number++) {
		size_t count;

		random_sequence(options->seed, number, &comparison->model->rules, calls);
		count = comparison_run(comparison, calls, SEQUENCE_CALLS);
		if (count == 0)
			continue;
		count = comparison_shrink(comparison, calls, count);
		report(comparison, options, number, calls, count);
		return count;
	}
	return 0;
}

static void report_calls(const struct comparison *comparison)
{
	printf("# done of all:");
	for (unsigned kind = 0; kind < CALL_KINDS; kind++)
		printf(" %s %llu/%llu", call_kind_name((enum call_kind)kind),
			(unsigned long long)comparison->succeeded[kind],
			(unsigned long long)comparison->calls[kind]);
	printf("\n");
}

static int compare(struct subject *other, const struct options *options)
{
	struct comparison comparison = {
		.model = subject_new_model(&other->rules),
		.other = other,
	};
	double start = now();
	size_t count = search(&comparison, options);
	double seconds = now() - start;

	if (count == 0)
		printf("# %llu calls in %.1f s: %.0f a second\n",
			(unsigned long long)options->calls, seconds,
			(double)options->calls / seconds);
	report_calls(&comparison);
	printf("%s 1 - model and %s agree over %llu calls, seed %llu\n", count ? "not ok" : "ok",
		other->operations->name, (unsigned long long)options->calls,
		(unsigned long long)options->seed);
	subject_free(comparison.model);
	return count ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct options *options)
{
	const char *reason = NULL;
	struct subject *other =
		options->model ? subject_new_model_type(options->vm_type, options->kernel, &reason)
			       : subject_new_kvm(options->vm_type, &reason);
	int status;

	if (!other) {
		printf("1..0 # SKIP %s\n", reason);
		return EXIT_SUCCESS;
	}
	printf("TAP version 13\n1..1\n");
	fflush(stdout);
	status = compare(other, options);
	subject_free(other);
	return status;
}

/* Each planted bug must be found and shrunk to what shows it. */
static int self_test(const struct options *options)
{
	bool passed = true;

	printf("TAP version 13\n1..%u\n", PLANTED_BUGS);
	for (unsigned bug = 0; bug < PLANTED_BUGS; bug++) {
		struct model_rules rules;
		struct comparison comparison;
		size_t count;

		model_rules_of_type(1, &rules);
		rules.guest_memfd_flags |= GUEST_MEMFD_FLAG_INIT_SHARED; /* all that there can be */
		comparison.model = subject_new_model(&rules);
		comparison.other = planted_new(&rules, bug);
		count = search(&comparison, options);
		passed = passed && count > 0 && count <= 5;
		printf("%s %u - found in at most 5 calls: %s\n",
			count > 0 && count <= 5 ? "ok" : "not ok", bug + 1, planted_name(bug));
		subject_free(comparison.model);
		subject_free(comparison.other);
	}
	return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"seed", required_argument, NULL, 's'},
		{"calls", required_argument, NULL, 'c'},
		{"backend", required_argument, NULL, 'b'},
		{"kernel", required_argument, NULL, 'k'},
		{"vm-type", required_argument, NULL, 't'},
		{"self-test", no_argument, NULL, 'x'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'k')
			ret->kernel = optarg;
		else if (option == 's')
			ret->seed = strtoull(optarg, NULL, 0);
		else if (option == 'c')
			ret->calls = strtoull(optarg, NULL, 0);
		else if (option == 't')
			ret->vm_type = strtoul(optarg, NULL, 0);
		else if (option == 'x')
			ret->self_test = true;
		else if (option == 'b' && strcmp(optarg, "model") == 0)
			ret->model = true;
		else if (option != 'b' || strcmp(optarg, "kvm") != 0)
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options options = {.seed = 1, .calls = 200000, .kernel = "6.18"};

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "Usage: differential [--backend=kvm|model] [--kernel=6.18|7.2|7.3] "
				"[--vm-type=N] [--seed=N] [--calls=N] [--self-test]\n");
		return 2;
	}
	return options.self_test ? self_test(&options) : run(&options);
}
