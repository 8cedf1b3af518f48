/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.convert with KVM, up to what the VMM triggers: what it reads in its mailbox, the calls
 * that it is told, and what its reports come to.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/owner/scheduler.h"
#include "daemon/pages/page_worker.h"
#include "daemon/release/settlement.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/vm/vm_end.h"
#include "kernel/base/uapi.h"
#include "protocol/json.h"
#include "tests/lib/private_vm.h"
#include "tests/lib/unit.h"

#define P       4096ull
#define PAGES   8192
#define ENTRIES 2048

static struct private_vm test;
static struct memory *memory, *shared;
static const char *mailbox; /* as the VMM maps it */
static uint64_t mailbox_bytes;

static struct slot *bind_slot(void)
{
	const struct slot_request request = {
		.memory_size = PAGES * P, .memory = memory, .shared_memory = shared};

	return private_vm_slot(&test, &request);
}

static void set_up(void)
{
	private_vm_init(&test, &backend_kvm);
	memory = private_vm_memory(&test, BACKING_GUEST_MEMFD, PAGES * P);
	shared = private_vm_memory(&test, BACKING_MEMFD, PAGES * P);
	bind_slot();
	mailbox_bytes = mailbox_length(test.vm->mailbox);
	mailbox = mmap(NULL, mailbox_bytes, PROT_READ, MAP_SHARED, mailbox_fd(test.vm->mailbox), 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(mailbox, MAP_FAILED);
}

static void tear_down(void)
{
	munmap((void *)mailbox, mailbox_bytes);
	private_vm_end(&test);
}

/* Every second page, count of them. */
static struct json_object *convert(
	enum convert_to to, bool discard, uint64_t first, size_t count, uint64_t pages)
{
	static struct guest_range ranges[ENTRIES];

	for (size_t i = 0; i < count; i++)
		ranges[i] = (struct guest_range){(first + 2 * i) * P, pages * P};
	return private_vm_convert(&test, to, discard, ranges, count);
}

static int code_of(const struct json_object *answer)
{
	int64_t code = 0;

	json_get_int(json_get(answer, "error"), "code", &code);
	return (int)code;
}

/* The answer's code, and the answer freed. */
static int code_and_free(struct json_object *answer)
{
	int code = code_of(answer);

	json_unref(answer);
	return code;
}

static uint64_t number(const struct json_object *object, const char *name)
{
	uint64_t value = UINT64_MAX;

	CU_ASSERT_TRUE(json_get_uint(object, name, &value));
	return value;
}

static struct json_object *calls_of(const struct json_object *answer)
{
	return json_get(json_get(answer, "result"), "calls");
}

/* The id of a conversion's one call. */
static uint64_t one_call(struct json_object *answer)
{
	uint64_t id;

	CU_ASSERT_EQUAL_FATAL(json_length(calls_of(answer)), 1);
	id = number(json_at(calls_of(answer), 0), "id");
	json_unref(answer);
	return id;
}

static struct json_object *report(uint64_t id, uint64_t done, const char *errno_name)
{
	return private_vm_ask(&test,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call.done\",\"params\":{\"vm\":\"%s\","
		"\"call\":%" PRIu64 ",\"done\":%" PRIu64 "%s%s%s}}",
		test.vm->id, id, done, errno_name ? ",\"errno\":\"" : "",
		errno_name ? errno_name : "", errno_name ? "\"" : "");
}

static uint64_t discarded_by(struct json_object *answer)
{
	uint64_t discarded = number(json_get(answer, "result"), "discarded");

	json_unref(answer);
	return discarded;
}

static const struct kvm_memory_attributes *entry(const struct json_object *call, uint64_t index)
{
	uint64_t address = number(call, "address") + index * number(call, "stride");

	return (const void *)(mailbox + address - mailbox_address(test.vm->mailbox));
}

static unsigned free_entries(void)
{
	return mailbox_free_entries(test.vm->mailbox, MAILBOX_ATTRIBUTES);
}

static void test_entries(void)
{
	const struct kvm_memory_attributes *arguments = NULL;
	struct json_object *answer = convert(CONVERT_TO_PRIVATE, true, 10, 3, 1), *call;

	CU_ASSERT_EQUAL(json_length(calls_of(answer)), 1);
	call = json_at(calls_of(answer), 0);
	CU_ASSERT_EQUAL(number(call, "request"), KVM_SET_MEMORY_ATTRIBUTES);
	CU_ASSERT_EQUAL(number(call, "count"), 3);
	CU_ASSERT_EQUAL(number(call, "stride"), sizeof *arguments);
	for (uint64_t i = 0; i < 3; i++) {
		arguments = entry(call, i);
		CU_ASSERT_EQUAL(arguments->address, (10 + 2 * i) * P);
		CU_ASSERT_EQUAL(arguments->size, P);
		CU_ASSERT_EQUAL(arguments->attributes, KVM_MEMORY_ATTRIBUTE_PRIVATE);
		CU_ASSERT_EQUAL(arguments->flags, 0);
	}
	CU_ASSERT_EQUAL(entry(call, 3)->size, 0);
	CU_ASSERT_EQUAL(free_entries(), ENTRIES - 3);
	CU_ASSERT_EQUAL(code_and_free(report(number(call, "id"), 3, NULL)), 0);
	CU_ASSERT_EQUAL(arguments->address, UINT64_MAX); /* which the kernel refuses */
	CU_ASSERT_EQUAL(free_entries(), ENTRIES);
	json_unref(answer);
	answer = convert(CONVERT_TO_SHARED, true, 10, 1, 1);
	arguments = entry(json_at(calls_of(answer), 0), 0);
	CU_ASSERT_EQUAL(arguments->address, 10 * P);
	CU_ASSERT_EQUAL(arguments->attributes, 0);
	json_unref(answer);
}

static void test_nothing_to_do(void)
{
	struct json_object *answer = convert(CONVERT_TO_SHARED, true, 10, 3, 1);

	CU_ASSERT_EQUAL(code_of(answer), 0);
	CU_ASSERT_TRUE(json_has(json_get(answer, "result"), "calls"));
	CU_ASSERT_PTR_NULL(calls_of(answer));
	CU_ASSERT_EQUAL(discarded_by(answer), 0);
	CU_ASSERT_EQUAL(free_entries(), ENTRIES);
}

/* The entries that are free lie apart, and go round the end: each run is a call, in order. */
static void test_fragments(void)
{
	uint64_t ids[4], expected = 5000;
	struct json_object *answer;

	for (unsigned i = 0; i < 4; i++)
		ids[i] = one_call(convert(CONVERT_TO_PRIVATE, true, i * 1000, 500, 1));
	CU_ASSERT_EQUAL(code_and_free(report(ids[0], 500, NULL)), 0);
	CU_ASSERT_EQUAL(code_and_free(report(ids[2], 500, NULL)), 0);
	answer = convert(CONVERT_TO_PRIVATE, true, expected, 1048, 1);
	CU_ASSERT_EQUAL_FATAL(json_length(calls_of(answer)), 3);
	for (size_t i = 0; i < 3; i++) {
		struct json_object *call = json_at(calls_of(answer), i);

		CU_ASSERT_EQUAL(number(call, "count"), i == 0 ? 48 : 500);
		for (uint64_t at = 0; at < number(call, "count"); at++, expected += 2)
			CU_ASSERT_EQUAL(entry(call, at)->address, expected * P);
	}
	CU_ASSERT_EQUAL(free_entries(), 0);
	/* Each is reported by itself, in any order. */
	for (size_t i = 3; i-- > 0;) {
		struct json_object *call = json_at(calls_of(answer), i);

		CU_ASSERT_EQUAL(
			code_and_free(report(number(call, "id"), number(call, "count"), NULL)), 0);
	}
	CU_ASSERT_EQUAL(ranges_count(&test.vm->private_ranges), 2048);
	json_unref(answer);
}

/* So many fragments as no answer tells of: refused as a whole. */
static void test_too_many_fragments(void)
{
	static uint64_t ids[ENTRIES];

	for (unsigned i = 0; i < ENTRIES; i++)
		ids[i] = one_call(convert(CONVERT_TO_PRIVATE, true, 2 * i, 1, 1));
	for (unsigned i = 0; i < ENTRIES; i += 2)
		CU_ASSERT_EQUAL(code_and_free(report(ids[i], 1, NULL)), 0);
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, true, 4100, 257, 1)), -32007);
	CU_ASSERT_EQUAL(free_entries(), ENTRIES / 2);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), ENTRIES / 2 * P);
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, true, 4100, 256, 1)), 0);
}

/* What a batch's answer has no room to tell of is not done either. */
static void test_fragments_in_batch(void)
{
	static const char batch[] =
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"memory.convert\",\"params\":{\"vm\":"
		"\"%s\",\"to\":\"shared\",\"ranges\":[{\"guest_phys_addr\":0,\"size\":4096},{"
		"\"guest_phys_addr\":16384,\"size\":4096},{\"guest_phys_addr\":32768,\"size\":4096}"
		","
		"{\"guest_phys_addr\":49152,\"size\":4096}%s]}}]";
	struct json_object *answer;
	uint64_t ids[10];

	for (unsigned i = 0; i < 10; i++)
		ids[i] = one_call(convert(CONVERT_TO_PRIVATE, true, 2 * i, 1, 1));
	one_call(convert(CONVERT_TO_PRIVATE, true, 20, 1019, 1));
	one_call(convert(CONVERT_TO_PRIVATE, true, 2058, 1019, 1));
	for (unsigned i = 0; i < 10; i += 2)
		CU_ASSERT_EQUAL(code_and_free(report(ids[i], 1, NULL)), 0);
	answer = private_vm_ask(
		&test, batch, test.vm->id, ",{\"guest_phys_addr\":65536,\"size\":4096}");
	CU_ASSERT_EQUAL(code_of(json_at(answer, 0)), -32007);
	CU_ASSERT_EQUAL(free_entries(), 5);
	json_unref(answer);
	answer = private_vm_ask(&test, batch, test.vm->id, "");
	CU_ASSERT_EQUAL(json_length(calls_of(json_at(answer, 0))), 4);
	json_unref(answer);
}

static void test_no_room(void)
{
	uint64_t committed, first;

	first = one_call(convert(CONVERT_TO_PRIVATE, true, 0, 1024, 1));
	one_call(convert(CONVERT_TO_PRIVATE, true, 2048, 1000, 1));
	committed = test.vm->budget.committed;
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, false, 5000, 25, 1)), -32007);
	CU_ASSERT_EQUAL(free_entries(), 24);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), 2024 * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->in_both), 0);
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed);
	one_call(convert(CONVERT_TO_PRIVATE, true, 5000, 24, 1));
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, true, 6000, 1, 1)), -32007);
	CU_ASSERT_EQUAL(code_and_free(report(first, 0, "EINTR")), 0);
	one_call(convert(CONVERT_TO_PRIVATE, true, 0, 1024, 1));
}

/* What can't be: more than was to be done, all done and an errno, a part without one. */
static void test_bad_reports(void)
{
	uint64_t id = one_call(convert(CONVERT_TO_PRIVATE, true, 0, 3, 1));

	CU_ASSERT_EQUAL(code_and_free(report(id, 4, NULL)), -32602);
	CU_ASSERT_EQUAL(code_and_free(report(id, 3, "EINVAL")), -32602);
	CU_ASSERT_EQUAL(code_and_free(report(id, 2, NULL)), -32602);
	CU_ASSERT_EQUAL(code_and_free(report(id, 2, "EBOGUS")), -32602);
	CU_ASSERT_EQUAL(code_and_free(report(id + 1, 3, NULL)), -32001);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 0);
	CU_ASSERT_EQUAL(code_and_free(report(id, 2, "EINVAL")), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 2 * P);
	CU_ASSERT_EQUAL(code_and_free(report(id, 3, NULL)), -32001);
}

static uint64_t resident(const struct memory *file)
{
	uint64_t bytes = UINT64_MAX;

	CU_ASSERT_EQUAL(memory_file_resident(file->fd, &bytes), 0);
	return bytes;
}

static void write_page(const struct memory *file, uint64_t page)
{
	CU_ASSERT_EQUAL(pwrite(file->fd, "full", 4, (off_t)(page * P)), 4);
}

/* Nothing is punched before it is known to be stale. */
static void test_order(void)
{
	uint64_t id;

	for (uint64_t page = 0; page < 8; page++) {
		write_page(shared, page);
		write_page(memory, page);
	}
	id = one_call(convert(CONVERT_TO_PRIVATE, true, 0, 3, 1));
	CU_ASSERT_EQUAL(resident(shared), 8 * P);
	CU_ASSERT_EQUAL(discarded_by(report(id, 2, "EINVAL")), 2 * P);
	CU_ASSERT_EQUAL(resident(shared), 6 * P);
	CU_ASSERT_EQUAL(resident(memory), 8 * P);
	/* Of what was as wanted, at once; of the other, when it is. */
	write_page(shared, 0);
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, true, 0, 1, 4)), 0);
	CU_ASSERT_EQUAL(resident(shared), 6 * P);
}

/* A call that is never reported holds its frames, until its VM ends. */
static void test_never_reported(void)
{
	one_call(convert(CONVERT_TO_PRIVATE, false, 0, 3, 1));
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_SHARED, true, 2, 1, 1)), -32007);
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, true, 1, 1, 1)), 0);
	CU_ASSERT_EQUAL(test.vm->budget.committed, (PAGES + 3) * P);
	vms_free(&test.gmemd.registry);
	CU_ASSERT_EQUAL(test.gmemd.capacity.host.committed, 0);
}

/* Settled later */

static bool begin_report(uint64_t id, uint64_t done)
{
	return private_vm_begin(&test,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call.done\",\"params\":{\"vm\":\"%s\","
		"\"call\":%" PRIu64 ",\"done\":%" PRIu64 "}}",
		test.vm->id, id, done);
}

static struct json_object *unbind(void)
{
	return private_vm_ask(&test,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slot.unbind\",\"params\":{\"vm\":\"%"
		"s\","
		"\"slot\":0}}",
		test.vm->id);
}

static void unbind_whole(void)
{
	struct json_object *answer = unbind();
	struct json_object *call = json_get(json_get(answer, "result"), "call");

	CU_ASSERT_EQUAL(code_and_free(report(number(call, "id"), 1, NULL)), 0);
	CU_ASSERT_EQUAL(test.vm->n_slots, 0);
	json_unref(answer);
}

/* One of the first pages, all of which are there. */
static uint64_t convert_full(size_t count)
{
	for (uint64_t page = 0; page < 8; page++)
		write_page(shared, page);
	return one_call(convert(CONVERT_TO_PRIVATE, true, 0, count, 1));
}

/* Until its pages are gone a report is not answered, and what would make them live is refused. */
static void test_answered_when_gone(void)
{
	uint64_t id = convert_full(3);
	struct json_object *answer;

	CU_ASSERT_TRUE_FATAL(begin_report(id, 3));
	CU_ASSERT_EQUAL(ranges_total(&test.vm->discarding), 3 * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 0);
	test.caller.held = 0; /* another connection of the VMM's */
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_SHARED, true, 2, 1, 1)), -32007);
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, true, 1, 1, 1)), 0);
	CU_ASSERT_EQUAL(code_and_free(unbind()), -32007);
	CU_ASSERT_EQUAL(code_and_free(report(id, 2, "EINVAL")), -32004);
	test.caller.held = 1;
	answer = private_vm_answer(&test);
	CU_ASSERT_EQUAL(discarded_by(answer), 3 * P);
	CU_ASSERT_EQUAL(resident(shared), 5 * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->discarding), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 3 * P);
	CU_ASSERT_EQUAL(code_and_free(report(id, 3, NULL)), -32001);
	unbind_whole();
}

/* Reported by two connections: both are answered then. */
static void test_reported_twice(void)
{
	uint64_t id = convert_full(3);

	CU_ASSERT_TRUE_FATAL(begin_report(id, 3));
	CU_ASSERT_TRUE_FATAL(begin_report(id, 3));
	CU_ASSERT_EQUAL(test.caller.held, 2);
	CU_ASSERT_EQUAL(discarded_by(private_vm_answer(&test)), 3 * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 3 * P);
}

/* The other half is discarded before what is asked for is carried out, all of it once. */
static void test_wanted_already(void)
{
	struct json_object *answer;

	CU_ASSERT_EQUAL(code_and_free(report(convert_full(1), 1, NULL)), 0);
	write_page(shared, 0);
	answer = convert(CONVERT_TO_PRIVATE, true, 0, 1, 4);
	CU_ASSERT_EQUAL(number(json_get(answer, "result"), "discarded"), P);
	CU_ASSERT_EQUAL(json_length(calls_of(answer)), 1);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), 3 * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->discarding), 0);
	json_unref(answer);
}

/* Its VM is released meanwhile, by an operator say. */
static void test_released_meanwhile(void)
{
	CU_ASSERT_TRUE_FATAL(begin_report(convert_full(3), 3));
	vm_stop(test.vm);
	CU_ASSERT_EQUAL(code_and_free(private_vm_answer(&test)), -32008);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->discarding), 0);
}

/* What a gmemd was amid its successor begins again: who reports again is answered, whether that is
 * before its end or after. */
static void test_successor(void)
{
	uint64_t id = convert_full(3), discarded;
	struct call *call = vm_call(test.vm, id);

	/* As call_recover() makes it of its record. */
	call->settling = call->inherited = true;
	call->done = 3;
	CU_ASSERT_EQUAL(
		settlement_begin(&test.gmemd, call, call->done, &discarded), REQUEST_DEFERRED);
	CU_ASSERT_EQUAL(code_and_free(report(id, 2, "EINVAL")), -32004);
	CU_ASSERT_EQUAL(discarded_by(report(id, 3, NULL)), 3 * P);
	CU_ASSERT_EQUAL(resident(shared), 5 * P);
	CU_ASSERT_EQUAL(code_and_free(report(id, 3, NULL)), 0);
	CU_ASSERT_EQUAL(code_and_free(report(id, 2, "EINVAL")), -32001);
}

/* Attributes belong to guest frames: they outlive the slot. */
static void test_unbound_meanwhile(void)
{
	uint64_t id;

	write_page(shared, 0);
	id = one_call(convert(CONVERT_TO_PRIVATE, true, 0, 3, 1));
	unbind_whole();
	CU_ASSERT_EQUAL(discarded_by(report(id, 3, NULL)), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 3 * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), 0);
	CU_ASSERT_EQUAL(resident(shared), P);
	CU_ASSERT_EQUAL(code_and_free(convert(CONVERT_TO_PRIVATE, true, 0, 3, 1)), -32602);
	bind_slot();
	/* As wanted already; the stale page goes now. */
	CU_ASSERT_EQUAL(discarded_by(convert(CONVERT_TO_PRIVATE, true, 0, 3, 1)), P);
	CU_ASSERT_EQUAL(test.vm->calls.tqh_first == NULL, 1);
}

/* What was in both halves of a slot that is gone is charged no more. */
static void test_kept_and_unbound(void)
{
	uint64_t id = one_call(convert(CONVERT_TO_PRIVATE, false, 0, 3, 1));

	CU_ASSERT_EQUAL(test.vm->budget.committed, (PAGES + 3) * P);
	unbind_whole();
	CU_ASSERT_EQUAL(test.vm->budget.committed, PAGES * P);
	CU_ASSERT_EQUAL(code_and_free(report(id, 2, "EINVAL")), 0);
	CU_ASSERT_EQUAL(test.vm->budget.committed, PAGES * P);
	bind_slot();
	CU_ASSERT_EQUAL(test.vm->budget.committed, PAGES * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 2 * P);
}

/* slot.bind of a second slot behind the first. */
static struct json_object *bind_second(const struct memory *second)
{
	return private_vm_ask(&test,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slot.bind\",\"params\":{\"vm\":\"%s\","
		"\"slot\":1,\"guest_phys_addr\":%llu,\"memory_size\":%llu,\"userspace_addr\":0,"
		"\"memory\":%" PRIu64 ",\"guest_memfd_offset\":0,\"guest_memfd\":7}}",
		test.vm->id, PAGES * P, 4 * P, second->id);
}

static void test_initially_private(void)
{
	struct memory *second = private_vm_memory(&test, BACKING_GUEST_MEMFD, 4 * P);
	struct json_object *answer, *bound, *converted;

	test.vm->initially_private = true;
	answer = bind_second(second);
	bound = json_get(json_get(answer, "result"), "call");
	converted = json_get(json_get(answer, "result"), "convert");
	CU_ASSERT_EQUAL(number(converted, "count"), 1);
	CU_ASSERT_EQUAL(number(converted, "request"), KVM_SET_MEMORY_ATTRIBUTES);
	CU_ASSERT_EQUAL(entry(converted, 0)->address, PAGES * P);
	CU_ASSERT_EQUAL(entry(converted, 0)->size, 4 * P);
	CU_ASSERT_EQUAL(code_and_free(report(number(bound, "id"), 1, NULL)), 0);
	CU_ASSERT_EQUAL(code_and_free(report(number(converted, "id"), 1, NULL)), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 4 * P);
	json_unref(answer);
}

/* Where the conversion can't be written, neither is the binding. */
static void test_initially_private_refused(void)
{
	struct memory *second = private_vm_memory(&test, BACKING_GUEST_MEMFD, 4 * P);
	unsigned free_slots = mailbox_free_entries(test.vm->mailbox, MAILBOX_SLOT);

	one_call(convert(CONVERT_TO_PRIVATE, true, 0, 1024, 1));
	one_call(convert(CONVERT_TO_PRIVATE, true, 2048, 1024, 1));
	test.vm->initially_private = true;
	CU_ASSERT_EQUAL(code_and_free(bind_second(second)), -32007);
	CU_ASSERT_PTR_NULL(vm_slot(test.vm, 1));
	CU_ASSERT_EQUAL(mailbox_free_entries(test.vm->mailbox, MAILBOX_SLOT), free_slots);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), ENTRIES * P);
	CU_ASSERT_EQUAL(second->n_slots, 0);
	test.vm->initially_private = false;
	CU_ASSERT_EQUAL(code_and_free(bind_second(second)), 0);
}

static int submit_pinned(struct call *call)
{
	call->vm->pinned.memory = memory->id;
	call->vm->pinned.offset = 3 * P;
	return -EAGAIN;
}

/* A back end that converts by itself, and finds a page that somebody holds. */
static void test_pinned(void)
{
	struct backend converting = backend_kvm;
	struct json_object *answer;

	converting.submit = submit_pinned;
	test.gmemd.registry.backend = &converting;
	answer = convert(CONVERT_TO_PRIVATE, true, 2, 1, 2);
	test.gmemd.registry.backend = &backend_kvm;
	CU_ASSERT_EQUAL(code_of(answer), -32007);
	CU_ASSERT_STRING_EQUAL(
		json_get_string(json_get(json_get(answer, "error"), "data"), "reason"), "pinned");
	CU_ASSERT_EQUAL(number(json_get(json_get(answer, "error"), "data"), "offset"), 3 * P);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), 0);
	json_unref(answer);
}

/* A host whose private memory has another way. */
static void test_in_place(void)
{
	struct vm_type_offer *offer = &test.gmemd.host.vm_types[test.vm->type];
	struct vm_type_offer before = *offer;
	struct json_object *answer;

	offer->memory_attributes = 0;
	offer->converts_in_place = true;
	answer = convert(CONVERT_TO_PRIVATE, true, 2, 1, 2);
	CU_ASSERT_EQUAL(code_of(answer), -32005);
	CU_ASSERT_STRING_EQUAL(
		json_get_string(json_get(json_get(answer, "error"), "data"), "capability"),
		"KVM_SET_MEMORY_ATTRIBUTES2");
	json_unref(answer);
	*offer = before;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"what is written", test_entries},
		{"nothing to do", test_nothing_to_do},
		{"several calls where entries lie apart", test_fragments},
		{"more calls than an answer holds", test_too_many_fragments},
		{"more calls than a batch's answer holds", test_fragments_in_batch},
		{"all entries used up", test_no_room},
		{"reports that can't be", test_bad_reports},
		{"attributes, then the punch", test_order},
		{"answered when the pages are gone", test_answered_when_gone},
		{"reported twice", test_reported_twice},
		{"wanted already, in part", test_wanted_already},
		{"released meanwhile", test_released_meanwhile},
		{"begun again by a successor", test_successor},
		{"never reported", test_never_reported},
		{"a slot unbound meanwhile", test_unbound_meanwhile},
		{"a slot unbound with both halves", test_kept_and_unbound},
		{"a page that somebody holds", test_pinned},
		{"a host that converts in place", test_in_place},
		{"private from the start", test_initially_private},
		{"private from the start, and no room", test_initially_private_refused},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "conversion calls",
					 .pSetUpFunc = set_up,
					 .pTearDownFunc = tear_down,
					 .pTests = tests},
		CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
