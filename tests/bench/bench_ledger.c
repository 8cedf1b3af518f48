/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_ledger: a transaction of two records, against copying them.
 */
#include <string.h>

#include "kernel/ledger.h"
#include "tests/bench/bench.h"

#define RECORD_SIZE 160
#define RECORDS     80

static unsigned char record[RECORD_SIZE];
static uint32_t turn;

static unsigned char copies[RECORDS][RECORD_SIZE];

static int set_up_copies(const char *socket, void **ret_context)
{
	(void)socket;
	*ret_context = copies;
	return 0;
}

static int copy_two(void *context)
{
	(void)context;
	for (unsigned i = 0; i < 2; i++) {
		memcpy(copies[turn++ % RECORDS], record, sizeof record);
		__asm__ volatile("" : : : "memory");
	}
	return 0;
}

static int set_up_ledger(const char *socket, void **ret_context)
{
	(void)socket;
	return ledger_new("bench", RECORD_SIZE, RECORDS, (struct ledger **)ret_context);
}

static int transact(void *context)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 2; i++)
		r = ledger_put(context, turn++ % RECORDS, record, sizeof record);
	ledger_commit(context);
	return r;
}

int main(int argc, char **argv)
{
	static const char *const steps[] = {"two records", NULL};
	static const struct bench_subject subjects[] = {
		{"memcpy", set_up_copies, {copy_two}},
		{"ledger", set_up_ledger, {transact}},
	};
	static const struct bench_comparison comparison = {
		.title = "ledger, records of 160 bytes",
		.unit = BENCH_MICROSECONDS,
		.steps = steps,
		.subjects = subjects,
		.n_subjects = sizeof subjects / sizeof *subjects,
		.rounds = 40,
		.samples = 100,
		.batch = 1000,
		.target = "ledger at most 1.00 microseconds",
	};

	return bench_main(argc, argv, &comparison);
}
