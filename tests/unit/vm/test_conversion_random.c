/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversions at random, against an array that knows of each page what it must be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/vm/call.h"
#include "protocol/json.h"
#include "tests/lib/private_vm.h"
#include "tests/lib/unit.h"

#define P           4096ull
#define PAGES       64 /* of the guest; those from ONE_HALF on have no memfd */
#define ONE_HALF    48
#define RANGE_PAGES 30 /* at most */
#define ASKED       (PAGES + RANGE_PAGES)
#define SECOND_SLOT 20
#define SHARED_AT   3 /* where in the memfd the first page's other half is */
#define STEPS       3000
#define RANGES      4
#define PENDING_MAX 8

enum half { SHARED, PRIVATE };

struct page {
	bool private, converting, in_both, resident[2];
};

/* A call that is to be reported, or as much of a request as is done at once. */
struct pending {
	uint64_t id; /* 0: none */
	enum convert_to to;
	bool discard;
	unsigned count;
	struct run {
		unsigned start, end;
	} runs[PAGES];
	bool kept[PAGES]; /* in both halves since */
};

static struct private_vm test;
static struct memory *halves[2];
static struct page pages[PAGES];
static struct pending pending[PENDING_MAX];

static unsigned below(unsigned limit)
{
	return (unsigned)random() % limit;
}

static int seed(void)
{
	const char *given = getenv("SEED");
	unsigned number = given ? (unsigned)atoi(given) : (unsigned)time(NULL);

	printf("# SEED=%u\n", number);
	srandom(number);
	return 0;
}

static void bind_slot(uint32_t number, unsigned start, unsigned end)
{
	struct slot_request request = {
		.number = number,
		.guest_phys_addr = start * P,
		.memory_size = (end - start) * P,
		.memory = halves[PRIVATE],
		.guest_memfd_offset = start * P,
	};

	if (start < ONE_HALF) {
		request.shared_memory = halves[SHARED];
		request.shared_offset = (start + SHARED_AT) * P;
	}
	private_vm_slot(&test, &request);
}

static void set_up(const struct backend *backend)
{
	memset(pages, 0, sizeof pages);
	memset(pending, 0, sizeof pending);
	private_vm_init(&test, backend);
	halves[PRIVATE] = private_vm_memory(&test, BACKING_GUEST_MEMFD, PAGES * P);
	halves[SHARED] = private_vm_memory(&test, BACKING_MEMFD, PAGES * P);
	bind_slot(0, 0, SECOND_SLOT);
	bind_slot(1, SECOND_SLOT, ONE_HALF);
	bind_slot(2, ONE_HALF, PAGES);
}

static off_t offset_of(unsigned page, enum half half)
{
	return (off_t)((page + (half == SHARED ? SHARED_AT : 0)) * P);
}

/* The oracle */

static uint64_t discard(unsigned page, enum convert_to to)
{
	enum half stale = to == CONVERT_TO_PRIVATE ? SHARED : PRIVATE;
	bool was = pages[page].resident[stale];

	pages[page].in_both = false;
	pages[page].resident[stale] = false;
	return was ? P : 0;
}

static bool is_wanted(unsigned page, enum convert_to to)
{
	return pages[page].private == (to == CONVERT_TO_PRIVATE);
}

/* One run of pages that were asked for: what is as wanted at its ends is settled at once. */
static uint64_t expect_run(struct pending *call, struct run whole)
{
	struct run part = whole;
	uint64_t discarded = 0;

	while (part.start < part.end && is_wanted(part.start, call->to))
		part.start++;
	while (part.end > part.start && is_wanted(part.end - 1, call->to))
		part.end--;
	for (unsigned at = whole.start; call->discard && at < whole.end; at++)
		discarded += at < part.start || at >= part.end ? discard(at, call->to) : 0;
	if (part.start < part.end)
		call->runs[call->count++] = part;
	for (unsigned at = part.start; at < part.end; at++) {
		pages[at].converting = true;
		call->kept[at] = !call->discard && at < ONE_HALF && !pages[at].in_both &&
				 !is_wanted(at, call->to);
		pages[at].in_both |= call->kept[at];
	}
	return discarded;
}

static uint64_t expect_all(struct pending *call, const bool asked[static PAGES])
{
	uint64_t discarded = 0;

	for (unsigned start = 0, end; start < PAGES; start = end + 1) {
		for (end = start; end < PAGES && asked[end]; end++)
			;
		if (end > start)
			discarded += expect_run(call, (struct run){start, end});
	}
	return discarded;
}

static uint64_t expect_done(const struct pending *call, unsigned done)
{
	uint64_t discarded = 0;

	for (unsigned i = 0; i < call->count; i++) {
		for (unsigned at = call->runs[i].start; at < call->runs[i].end; at++) {
			pages[at].converting = false;
			if (i >= done)
				pages[at].in_both &= !call->kept[at];
			else
				pages[at].private = call->to == CONVERT_TO_PRIVATE;
			if (i < done && call->discard)
				discarded += discard(at, call->to);
		}
	}
	return discarded;
}

/* The code of the error that the ranges give. What is behind the slots is shared, and can be made
 * so again. */
static int expect_code(enum convert_to to, const struct guest_range *ranges, unsigned count,
	bool asked[static ASKED])
{
	bool repeated = false;

	for (unsigned i = 0; i < count; i++) {
		unsigned start = (unsigned)(ranges[i].guest_phys_addr / P);
		unsigned end = start + (unsigned)(ranges[i].size / P);

		if (end > PAGES && to == CONVERT_TO_PRIVATE)
			return RPC_INVALID_PARAMS;
		for (unsigned at = start; at < end && at < PAGES; at++) {
			if (pages[at].converting)
				return RPC_BUSY;
		}
		for (unsigned at = start; at < end; at++) {
			repeated |= asked[at];
			asked[at] = true;
		}
	}
	return repeated ? RPC_INVALID_PARAMS : RPC_OK;
}

static uint64_t expect_committed(void)
{
	uint64_t committed = PAGES;

	for (unsigned at = 0; at < PAGES; at++)
		committed += pages[at].in_both;
	return committed * P;
}

static void compare(unsigned step)
{
	for (unsigned at = 0; at < PAGES; at++) {
		for (unsigned half = 0; half < 2; half++) {
			uint64_t bytes = 99;

			if (half == SHARED && at >= ONE_HALF)
				continue;
			memory_file_resident_range(
				halves[half]->fd, (uint64_t)offset_of(at, half), P, &bytes);
			UNIT_ASSERT_ROW(bytes == (pages[at].resident[half] ? P : 0),
				"step %u: page %u of half %u", step, at, half);
		}
		UNIT_ASSERT_ROW(
			ranges_contain(&test.vm->private_ranges, at * P) == pages[at].private &&
				ranges_contain(&test.vm->converting, at * P) ==
					pages[at].converting,
			"step %u: page %u", step, at);
	}
	UNIT_ASSERT_ROW(test.vm->budget.committed == expect_committed(), "step %u: %" PRIu64, step,
		test.vm->budget.committed);
}

/* What is done */

static void touch(void)
{
	unsigned half = below(2), at = below(half == SHARED ? ONE_HALF : PAGES);

	CU_ASSERT_EQUAL(pwrite(halves[half]->fd, "x", 1, offset_of(at, half)), 1);
	pages[at].resident[half] = true;
}

static struct pending *unused(void)
{
	for (unsigned i = 0; i < PENDING_MAX; i++) {
		if (pending[i].id == 0)
			return &pending[i];
	}
	return NULL;
}

static uint64_t discarded_of(const struct json_object *answer)
{
	uint64_t discarded = UINT64_MAX;

	json_get_uint(json_get(answer, "result"), "discarded", &discarded);
	return discarded;
}

static unsigned make_ranges(struct guest_range ranges[static RANGES])
{
	unsigned count = 1 + below(RANGES);

	for (unsigned i = 0; i < count; i++)
		ranges[i] = (struct guest_range){
			below(PAGES) * P, (1 + below(below(4) ? 4 : RANGE_PAGES)) * P};
	return count;
}

/* A request's calls are one: all steps together don't use the mailbox's entries up once. */
static void note_calls(struct pending *call, const struct json_object *calls, unsigned step)
{
	struct json_object *one = json_at(calls, 0);
	uint64_t count = 0;

	UNIT_ASSERT_ROW(json_length(calls) == 1, "step %u: %zu calls", step, json_length(calls));
	json_get_uint(one, "id", &call->id);
	json_get_uint(one, "count", &count);
	UNIT_ASSERT_ROW(count == call->count, "step %u: count", step);
}

static void convert(unsigned step)
{
	struct pending *call = unused();
	struct guest_range ranges[RANGES];
	bool asked[ASKED] = {false};
	struct json_object *answer, *calls;
	unsigned count = make_ranges(ranges);
	uint64_t discarded;
	int64_t code = 0;

	if (!call)
		return;
	*call = (struct pending){.to = below(2), .discard = below(3) > 0};
	answer = private_vm_convert(&test, call->to, call->discard, ranges, count);
	json_get_int(json_get(answer, "error"), "code", &code);
	UNIT_ASSERT_ROW(code == expect_code(call->to, ranges, count, asked),
		"step %u: code %" PRId64, step, code);
	calls = json_get(json_get(answer, "result"), "calls");
	discarded = code == RPC_OK ? expect_all(call, asked) : UINT64_MAX;
	if (calls)
		note_calls(call, calls, step);
	else if (code == RPC_OK)
		discarded += expect_done(call, call->count);
	UNIT_ASSERT_ROW(discarded_of(answer) == discarded, "step %u: discarded", step);
	json_unref(answer);
}

/* Nobody is told how much of the stale halves has gone. */
static void report_by_page(const struct pending *call, unsigned done)
{
	const struct call *one = vm_call(test.vm, call->id);
	struct report_place place;

	CU_ASSERT_TRUE_FATAL(one && call_report_place(one, &place));
	report_page_write(test.vm->report_page, &place, call->id, done, done < call->count);
	json_unref(private_vm_ask(&test, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"));
	while (vm_call(test.vm, call->id))
		event_base_loop(test.gmemd.base, EVLOOP_ONCE);
	expect_done(call, done);
}

static void report_by_message(const struct pending *call, unsigned done, unsigned step)
{
	struct json_object *answer = private_vm_ask(&test,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call.done\",\"params\":{\"vm\":\"%s\","
		"\"call\":%" PRIu64 ",\"done\":%u%s}}",
		test.vm->id, call->id, done, done < call->count ? ",\"errno\":\"EINVAL\"" : "");

	UNIT_ASSERT_ROW(
		discarded_of(answer) == expect_done(call, done), "step %u: discarded", step);
	json_unref(answer);
}

static void report(unsigned step)
{
	struct pending *call = &pending[below(PENDING_MAX)];
	unsigned done;

	if (call->id == 0)
		return;
	done = below(2) ? call->count : below(call->count + 1);
	if (below(2))
		report_by_page(call, done);
	else
		report_by_message(call, done, step);
	call->id = 0;
}

static void run(const struct backend *backend)
{
	set_up(backend);
	for (unsigned step = 0; step < STEPS && CU_get_number_of_failure_records() == 0; step++) {
		unsigned kind = below(6);

		if (kind < 2)
			touch();
		else if (kind < 4)
			report(step);
		else
			convert(step);
		compare(step);
	}
	private_vm_end(&test);
}

static void test_kvm(void)
{
	run(&backend_kvm);
}

static void test_model(void)
{
	run(&backend_model);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"reported late, in part, or as failed, in both ways", test_kvm},
		{"done at once", test_model},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "conversions at random", .pInitFunc = seed, .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
