/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report page: whatever a VMM writes there, and whenever, a call is settled once its own words
 * say so, and no other is.
 *
 * An input is a row of stores: two bytes say which word of the page, by the place of a call where
 * the first is below CALLS, one how the value is made, eight the value. After each of them gmemd
 * looks.
 */
#include <string.h>
#include <unistd.h>

#include "daemon/release/call_reports.h"
#include "daemon/vm/call.h"
#include "protocol/json.h"
#include "tests/fuzz/check_vm.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/private_vm.h"

#define P          4096ull
#define CALLS      6
#define CALL_PAGES 8 /* of the guest, for each call's ranges */
#define STORE_SIZE 11

static struct private_vm test;
static struct call *calls[CALLS];
static uint64_t ids[CALLS];
static unsigned n_calls;

/* One to four ranges each. */
static void submit_conversion(unsigned number)
{
	struct guest_range ranges[4];
	unsigned count = 1 + number % 4;

	for (unsigned i = 0; i < count; i++)
		ranges[i] = (struct guest_range){(number * CALL_PAGES + 2 * i) * P, P};
	json_unref(private_vm_convert(&test, CONVERT_TO_PRIVATE, number % 2, ranges, count));
}

static void submit_slot(void)
{
	json_unref(private_vm_ask(&test,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slot.bind\",\"params\":{\"vm\":\"%s\","
		"\"slot\":9,\"guest_phys_addr\":1073741824,\"memory_size\":4096,"
		"\"userspace_addr\":4096,\"memory\":null}}",
		test.vm->id));
}

static void set_up(void)
{
	struct memory *memory;
	struct call *call;

	private_vm_init(&test, &backend_kvm);
	memory = private_vm_memory(&test, BACKING_GUEST_MEMFD, CALLS * CALL_PAGES * P);
	private_vm_slot(&test,
		&(struct slot_request){.memory_size = CALLS * CALL_PAGES * P, .memory = memory});
	submit_slot();
	for (unsigned number = 0; number < CALLS - 1; number++)
		submit_conversion(number);
	n_calls = 0;
	TAILQ_FOREACH (call, &test.vm->calls, link) {
		calls[n_calls] = call;
		ids[n_calls++] = call->id;
	}
	FUZZ_CHECK(n_calls == CALLS);
}

static uint64_t read_word(uint64_t offset)
{
	uint64_t word;

	FUZZ_CHECK(pread(report_page_fd(test.vm->report_page), &word, sizeof word, (off_t)offset) ==
		   sizeof word);
	return word;
}

/* By the file, not by the mapping. */
static bool should_be_settled(unsigned number)
{
	struct report_place place;

	FUZZ_CHECK(call_report_place(calls[number], &place));
	for (unsigned i = 0; i < place.count; i++) {
		uint64_t word = read_word(place.offset + i * place.stride);

		if (word == (ids[number] | UINT64_C(1) << 63))
			return true;
		if (word != ids[number])
			return false;
	}
	return true;
}

static void look(void)
{
	bool settled[CALLS];

	for (unsigned number = 0; number < CALLS; number++)
		settled[number] = !calls[number] || should_be_settled(number);
	call_reports_settle(&test.gmemd, test.vm);
	for (unsigned number = 0; number < CALLS; number++) {
		FUZZ_CHECK(!vm_call(test.vm, ids[number]) == settled[number]);
		if (settled[number])
			calls[number] = NULL;
	}
	check_vm(test.vm);
}

static uint64_t offset_of(const uint8_t *store)
{
	uint64_t words = report_page_length() / sizeof(uint64_t);
	struct report_place place;

	if (store[0] < CALLS && calls[store[0]]) {
		FUZZ_CHECK(call_report_place(calls[store[0]], &place));
		return place.offset + store[1] % place.count * place.stride;
	}
	return (store[0] << 8 | store[1]) % words * sizeof(uint64_t);
}

static uint64_t value_of(const uint8_t *store)
{
	uint64_t value;

	memcpy(&value, store + 3, sizeof value);
	switch (store[2] % 4) {
	case 0:
		return ids[store[0] % CALLS];
	case 1:
		return ids[store[0] % CALLS] | REPORT_FAILED;
	case 2:
		return ids[value % CALLS] ^ value >> 8;
	default:
		return value;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	set_up();
	for (; size >= STORE_SIZE; bytes += STORE_SIZE, size -= STORE_SIZE) {
		uint64_t word = value_of(bytes);

		FUZZ_CHECK(pwrite(report_page_fd(test.vm->report_page), &word, sizeof word,
				   (off_t)offset_of(bytes)) == sizeof word);
		look();
	}
	private_vm_end(&test);
	return 0;
}
