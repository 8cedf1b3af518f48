/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_ledger: what a ledger adds to binding a slot, with the reports, and unbinding it again;
 * against copying the same records. The transactions are those of gmemd.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernel/store/ledger.h"
#include "tests/bench/bench.h"

#define RECORDS 130 /* of a VM with 64 memories and slots */
#define SLOT    (RECORDS + 0)
#define CALL    (RECORDS + 1)

/* As long as gmemd's. */
static unsigned char vm[96], slot[64], call[40];
static unsigned char copies[RECORDS + 2][96];

static int set_up_copies(const char *socket, void **ret_context)
{
	(void)socket;
	*ret_context = copies;
	return 0;
}

static void copy(unsigned index, const void *record, size_t size)
{
	memcpy(copies[index], record, size);
	__asm__ volatile("" : : : "memory");
}

/* Begun, and reported. */
static int copy_change(void *context)
{
	(void)context;
	copy(SLOT, slot, sizeof slot);
	copy(CALL, call, sizeof call);
	copy(SLOT, slot, sizeof slot);
	copy(0, vm, sizeof vm);
	return 0;
}

static int set_up_ledger(const char *socket, void **ret_context)
{
	struct ledger *ledger;
	int r;

	(void)socket;
	r = ledger_new("bench", sizeof vm, 1u << 15, &ledger);
	for (uint32_t i = 0; r == 0 && i < RECORDS; i++)
		r = ledger_put(ledger, i, slot, sizeof slot);
	if (r < 0)
		return r;
	ledger_commit(ledger);
	*ret_context = ledger;
	return 0;
}

static int put_new(struct ledger *ledger, const void *record, size_t size, uint32_t *ret_index)
{
	int r = ledger_free_index(ledger, ret_index);

	return r < 0 ? r : ledger_put(ledger, *ret_index, record, size);
}

static int report(struct ledger *ledger, uint32_t slot_index, uint32_t call_index, bool gone)
{
	int r = ledger_put(ledger, slot_index, slot, sizeof slot);

	if (r == 0 && gone)
		r = ledger_delete(ledger, slot_index);
	if (r == 0)
		r = ledger_put(ledger, 0, vm, sizeof vm);
	if (r == 0)
		r = ledger_delete(ledger, call_index);
	ledger_commit(ledger);
	return r;
}

static int bind_and_unbind(void *context)
{
	uint32_t slot_index, call_index;
	int r = put_new(context, slot, sizeof slot, &slot_index);

	if (r == 0)
		r = put_new(context, call, sizeof call, &call_index);
	ledger_commit(context);
	if (r == 0)
		r = report(context, slot_index, call_index, /* gone= */ false);
	if (r == 0)
		r = ledger_put(context, slot_index, slot, sizeof slot);
	if (r == 0)
		r = put_new(context, call, sizeof call, &call_index);
	ledger_commit(context);
	return r < 0 ? r : report(context, slot_index, call_index, /* gone= */ true);
}

static int copy_both(void *context)
{
	int r = copy_change(context);

	return r < 0 ? r : copy_change(context);
}

int main(int argc, char **argv)
{
	static const char *const steps[] = {"bind and unbind", NULL};
	static const struct bench_subject subjects[] = {
		{"memcpy", set_up_copies, {copy_both}},
		{"ledger", set_up_ledger, {bind_and_unbind}},
	};
	static const struct bench_comparison comparison = {
		.title = "ledger",
		.unit = BENCH_MICROSECONDS,
		.steps = steps,
		.subjects = subjects,
		.n_subjects = sizeof subjects / sizeof *subjects,
		.rounds = 40,
		.samples = 100,
		.batch = 1000,
		.target = "ledger at most 1.00 microseconds for each of both",
	};

	return bench_main(argc, argv, &comparison);
}
