/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports by the page: when they are settled, and how many at once.
 */
#include "daemon/release/call_reports.h"

#include <inttypes.h>

#include "daemon/vm/call.h"
#include "protocol/json.h"
#include "tests/lib/private_vm.h"
#include "tests/lib/unit.h"

#define P     4096ull
#define CALLS 600 /* more than are settled in one turn of nobody's */
#define TURN  256

static struct private_vm test;

static void set_up(void)
{
	struct memory *memory;

	private_vm_init(&test, &backend_kvm);
	memory = private_vm_memory(&test, BACKING_GUEST_MEMFD, CALLS * P);
	private_vm_slot(&test, &(struct slot_request){.memory_size = CALLS * P, .memory = memory});
}

static void tear_down(void)
{
	private_vm_end(&test);
}

static void ping(enum method_access access)
{
	test.caller.access = access;
	json_unref(private_vm_ask(&test, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"));
	test.caller.access = ACCESS_VMM;
}

static unsigned waiting(void)
{
	const struct call *call;
	unsigned count = 0;

	TAILQ_FOREACH (call, &test.vm->calls, link)
		count++;
	return count;
}

static void submit(unsigned calls)
{
	for (unsigned i = 0; i < calls; i++) {
		const struct guest_range range = {i * P, P};

		json_unref(private_vm_convert(
			&test, CONVERT_TO_PRIVATE, /* discard= */ true, &range, 1));
	}
	CU_ASSERT_EQUAL(waiting(), calls);
}

static void write_all(void)
{
	struct report_place place;
	struct call *call;

	TAILQ_FOREACH (call, &test.vm->calls, link) {
		CU_ASSERT_TRUE_FATAL(call_report_place(call, &place));
		report_page_write(test.vm->report_page, &place, call->id, 1, false);
	}
}

static void test_own_request(void)
{
	submit(CALLS);
	ping(ACCESS_VMM);
	CU_ASSERT_EQUAL(waiting(), CALLS);
	write_all();
	ping(ACCESS_VMM);
	CU_ASSERT_EQUAL(waiting(), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), CALLS * P);
	CU_ASSERT_FALSE(test.vm->awaits_reports);
}

static void test_operator(void)
{
	submit(3);
	write_all();
	ping(ACCESS_OPERATOR);
	CU_ASSERT_EQUAL(waiting(), 0);
}

static void test_others_request(void)
{
	const uint64_t identity = test.caller.process.identity;

	submit(1);
	write_all();
	test.caller.process.identity++;
	ping(ACCESS_VMM);
	CU_ASSERT_EQUAL(waiting(), 1);
	test.caller.process.identity = identity;
	ping(ACCESS_VMM);
	CU_ASSERT_EQUAL(waiting(), 0);
}

/* The timer is all that the loop has. */
static void test_nobody_asks(void)
{
	unsigned before = CALLS;

	submit(CALLS);
	write_all();
	while (before > 0) {
		unsigned after;

		CU_ASSERT_EQUAL_FATAL(event_base_loop(test.gmemd.base, EVLOOP_ONCE), 0);
		after = waiting();
		UNIT_ASSERT_ROW(before - after <= TURN, "%u, then %u", before, after);
		before = after;
	}
	CU_ASSERT_FALSE(test.vm->awaits_reports);
}

static void test_not_all_are_reported(void)
{
	struct report_place place;
	struct call *call;

	submit(4);
	call = TAILQ_FIRST(&test.vm->calls);
	write_all();
	CU_ASSERT_TRUE_FATAL(call_report_place(call, &place));
	report_page_write(test.vm->report_page, &place, call->id - 1, 1, false);
	ping(ACCESS_VMM);
	CU_ASSERT_EQUAL(waiting(), 1);
	CU_ASSERT_PTR_EQUAL(TAILQ_FIRST(&test.vm->calls), call);
	CU_ASSERT_TRUE(test.vm->awaits_reports);
	report_page_write(test.vm->report_page, &place, call->id, 1, false);
	call_reports_settle(&test.gmemd, test.vm);
	CU_ASSERT_EQUAL(waiting(), 0);
}

/* As it is left without memory for what follows: the VMM has reported it, and does nothing more. */
static void test_begun(void)
{
	struct call *call;

	submit(2);
	write_all();
	call = TAILQ_FIRST(&test.vm->calls);
	call->settling = true;
	call->done = 1;
	ping(ACCESS_VMM);
	CU_ASSERT_EQUAL(waiting(), 0);
	CU_ASSERT_FALSE(test.vm->awaits_reports);
}

/* A VM that an older gmemd has opened. */
static void test_no_page(void)
{
	struct report_page *page = test.vm->report_page;

	test.vm->report_page = NULL;
	submit(2);
	CU_ASSERT_FALSE(test.vm->awaits_reports);
	ping(ACCESS_OPERATOR);
	CU_ASSERT_EQUAL(waiting(), 2);
	test.vm->report_page = page;
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{"before a request of the VMM's: all", test_own_request},
		{"before an operator's", test_operator},
		{"not before another VMM's", test_others_request},
		{"where nobody asks: some at once, until all are", test_nobody_asks},
		{"one that has no word stays, and is looked at again", test_not_all_are_reported},
		{"one that could not be settled to its end is begun again", test_begun},
		{"a VM without a page waits for call.done", test_no_page},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"reports by the page", NULL, NULL, set_up, tear_down, tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
