/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the table of the kernel's behaviours on the kernel or on the model, and reports as TAP.
 *
 * Needs nothing but itself and, for the kernel, /dev/kvm.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/row.h"

static const struct row *const tables[] = {memory_rows, slot_rows, guest_rows, attribute_rows};
#define TABLES (sizeof tables / sizeof *tables)

struct options {
	bool model, list;
	unsigned long vm_type;
	const char *kernel; /* that the model plays */
	char **rows;        /* ends with NULL; all where empty */
};

static bool is_wanted(const struct options *options, const char *name)
{
	if (!*options->rows)
		return true;
	for (char **row = options->rows; *row; row++) {
		if (strcmp(*row, name) == 0)
			return true;
	}
	return false;
}

static const char *what_is_missing(const struct subject *subject, unsigned needs)
{
	const struct model_rules *rules = &subject->rules;
	bool private = rules->memory_attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;

	if (needs & NEEDS_VCPU && !subject->has_vcpu)
		return "a vCPU of this VM type can't be run from outside";
	if (needs & NEEDS_MMAP && !(rules->guest_memfd_flags & GUEST_MEMFD_FLAG_MMAP))
		return "the kernel has no GUEST_MEMFD_FLAG_MMAP for this VM type";
	if (needs & NEEDS_INIT_SHARED && !(rules->guest_memfd_flags & GUEST_MEMFD_FLAG_INIT_SHARED))
		return "the kernel has no GUEST_MEMFD_FLAG_INIT_SHARED for this VM type";
	if (needs & NEEDS_PRIVATE && !private)
		return "KVM_CAP_MEMORY_ATTRIBUTES is 0: this VM type has no private memory";
	if (needs & NEEDS_NO_PRIVATE && private)
		return "this VM type has private memory";
	if (needs & NEEDS_PAGE_FAULTS && rules->emulated_guest)
		return "this KVM emulates a guest in real mode: no access is a page fault";
	if (needs & NEEDS_REACH && rules->emulated_guest &&
		!(rules->guest_memfd_flags & GUEST_MEMFD_FLAG_INIT_SHARED))
		return "an emulated guest can't reach a guest_memfd that the host can't map";
	if (needs & NEEDS_KERNEL && strcmp(subject->operations->name, "kvm") != 0)
		return "the model's files are memfds";
	if (needs & NEEDS_EMULATION && !rules->emulated_guest)
		return "this KVM does not emulate a guest in real mode";
	return NULL;
}

/* Whether the row did not fail. */
static bool run_row(struct subject *subject, const struct row *row, unsigned number)
{
	struct trial trial = {.subject = subject};
	const char *missing = what_is_missing(subject, row->needs);

	if (missing) {
		printf("ok %u - %s # SKIP %s\n", number, row->name, missing);
		return true;
	}
	EXPECT(&trial, subject_reset(subject), 0, "a new VM");
	if (trial.failures == 0)
		row->run(&trial);
	printf("%s %u - %s\n", trial.failures ? "not ok" : "ok", number, row->name);
	fflush(stdout);
	return trial.failures == 0;
}

static unsigned count_rows(const struct options *options)
{
	unsigned count = 0;

	for (size_t table = 0; table < TABLES; table++) {
		for (const struct row *row = tables[table]; row->name; row++)
			count += is_wanted(options, row->name);
	}
	return count;
}

static int run_rows(const struct options *options, struct subject *subject)
{
	unsigned number = 0, failed = 0;

	printf("TAP version 13\n1..%u\n", count_rows(options));
	for (size_t table = 0; table < TABLES; table++) {
		for (const struct row *row = tables[table]; row->name; row++) {
			if (is_wanted(options, row->name))
				failed += !run_row(subject, row, ++number);
		}
	}
	return failed || number == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int list_rows(void)
{
	for (size_t table = 0; table < TABLES; table++) {
		for (const struct row *row = tables[table]; row->name; row++)
			printf("%s\n", row->name);
	}
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr,
		"Usage: conformance [--backend=kvm|model] [--kernel=6.18|7.2|7.3] [--vm-type=N] "
		"[--list] [ROW...]\n");
	return 2;
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"backend", required_argument, NULL, 'b'},
		{"kernel", required_argument, NULL, 'k'},
		{"vm-type", required_argument, NULL, 't'},
		{"list", no_argument, NULL, 'l'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'l')
			ret->list = true;
		else if (option == 'k')
			ret->kernel = optarg;
		else if (option == 't')
			ret->vm_type = strtoul(optarg, NULL, 0);
		else if (option == 'b' && strcmp(optarg, "model") == 0)
			ret->model = true;
		else if (option != 'b' || strcmp(optarg, "kvm") != 0)
			return false;
	}
	ret->rows = argv + optind;
	return true;
}

int main(int argc, char **argv)
{
	struct options options = {.kernel = "6.18"};
	const char *reason = NULL;
	struct subject *subject;
	int status;

	if (!parse(argc, argv, &options))
		return usage();
	if (options.list)
		return list_rows();
	subject = options.model ? subject_new_model_type(options.vm_type, options.kernel, &reason)
				: subject_new_kvm(options.vm_type, &reason);
	if (!subject) {
		printf("1..0 # SKIP %s\n", reason);
		return EXIT_SUCCESS;
	}
	status = run_rows(&options, subject);
	subject_free(subject);
	return status;
}
