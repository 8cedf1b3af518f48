/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of VMs, each writer with its reader: what is read says what was written, of every member.
 */
#include "daemon/vm/vm_record.h"

#include <stdint.h>
#include <string.h>

#include "daemon/vm/call.h"
#include "daemon/vm/conversion.h"
#include "daemon/vm/vm_ledger.h"
#include "tests/lib/unit.h"

/* Each member has a value of its own, so that none can stand for another. */
static void fill_vm(struct vm *ret)
{
	*ret = (struct vm){
		.number = 0x1111111122222222,
		.uuid = "01234567-89ab-cdef-0123-456789abcdef",
		.type = 3,
		.process = {.uid = 1004, .pid = 1005},
		.state = VM_RUNNING,
		.gate = VM_GATE_ACTIVE,
		.generation = 6,
		.request = 0x7777777788888888,
		.listener = -1,
		.trap = {.id = 0x99, .answer = TRAP_REFUSE, .verifying = 0xaa},
		.budget = {.limit = 0xbbbbbbbbcccc0000},
		.settled = {.call = 0xdddddddddddddddd, .done = 14},
	};
}

static void check_vm_again(const struct vm *vm)
{
	struct vm_record record, again;
	struct vm read = {.listener = vm->listener};

	record_write_vm(vm, &record);
	record_read_vm(&record, &read);
	CU_ASSERT_EQUAL(read.number, vm->number);
	CU_ASSERT_STRING_EQUAL(read.uuid, vm->uuid);
	CU_ASSERT_EQUAL(read.type, vm->type);
	CU_ASSERT_EQUAL(read.process.uid, vm->process.uid);
	CU_ASSERT_EQUAL(read.process.pid, vm->process.pid);
	CU_ASSERT_EQUAL(read.state, vm->state);
	CU_ASSERT_EQUAL(read.gate, vm->gate);
	CU_ASSERT_EQUAL(read.generation, vm->generation);
	CU_ASSERT_EQUAL(read.request, vm->request);
	CU_ASSERT_EQUAL(read.trap.id, vm->trap.id);
	CU_ASSERT_EQUAL(read.trap.answer, vm->trap.answer);
	CU_ASSERT_EQUAL(read.trap.verifying, vm->trap.verifying);
	CU_ASSERT_EQUAL(read.budget.limit, vm->budget.limit);
	CU_ASSERT_EQUAL(read.settled.call, vm->settled.call);
	CU_ASSERT_EQUAL(read.settled.done, vm->settled.done);
	CU_ASSERT_EQUAL(read.initially_private, vm->initially_private);
	CU_ASSERT_EQUAL(read.charge, vm->charge);
	CU_ASSERT_EQUAL(read.rebuilt, vm->rebuilt);
	record_write_vm(&read, &again);
	CU_ASSERT_EQUAL(memcmp(&record, &again, sizeof record), 0);
}

static void test_vm(void)
{
	struct vm vm;

	fill_vm(&vm);
	check_vm_again(&vm);
	vm.initially_private = true;
	check_vm_again(&vm);
	vm.charge = CHARGE_BROKER;
	check_vm_again(&vm);
	vm.rebuilt = true;
	check_vm_again(&vm);
	for (vm.state = VM_MAKING; vm.state < VM_STATES; vm.state++) {
		if (vm.state != VM_RELEASING)
			check_vm_again(&vm);
	}
	vm.state = VM_RUNNING;
	for (vm.gate = VM_GATE_NONE; vm.gate < VM_GATE_STATES; vm.gate++)
		check_vm_again(&vm);
}

/* What was being given back, a successor gives back; and what no gmemd can have written. */
static void test_states(void)
{
	struct vm_record record;
	struct vm vm;

	fill_vm(&vm);
	vm.state = VM_RELEASING;
	record_write_vm(&vm, &record);
	CU_ASSERT_EQUAL(record_vm_state(&record), VM_RELEASED);
	record.flags |= RECORD_VM_REMAINS;
	CU_ASSERT_EQUAL(record_vm_state(&record), VM_REMAINING);
	record.state = RECORD_VM_RUNNING;
	CU_ASSERT_EQUAL(record_vm_state(&record), VM_STATES);
	record.flags = 0;
	record.state = RECORD_VM_RELEASED + 1;
	CU_ASSERT_EQUAL(record_vm_state(&record), VM_STATES);
}

/* The listener itself is the keeper's: a record says whether there was one. */
static void test_listener(void)
{
	struct vm_record record;
	struct vm vm;

	fill_vm(&vm);
	record_write_vm(&vm, &record);
	CU_ASSERT_FALSE(record.flags & RECORD_VM_LISTENER);
	vm.listener = 5;
	record_write_vm(&vm, &record);
	CU_ASSERT_TRUE(record.flags & RECORD_VM_LISTENER);
}

/* Of every length, in as many parts as it takes. */
static void test_names(void)
{
	for (size_t length = 0; length <= NAME_BYTES_MAX; length++) {
		char name[NAME_BYTES_MAX + 1] = "", read[NAME_BYTES_MAX + 1] = "";
		struct name_record record;
		uint16_t parts = 0;

		for (size_t i = 0; i < length; i++)
			name[i] = (char)('a' + i % 26);
		while (record_write_name(RECORD_NAME, 7, parts, name, &record)) {
			UNIT_ASSERT_ROW(record_is_name_part(&record), "%zu bytes", length);
			CU_ASSERT_EQUAL(record.kind, RECORD_NAME);
			CU_ASSERT_EQUAL(record.owner, 7);
			record_read_name_part(&record, read);
			parts++;
		}
		CU_ASSERT_TRUE(parts <= NAME_RECORDS);
		UNIT_ASSERT_ROW(strcmp(name, read) == 0, "%zu bytes", length);
	}
}

static void test_no_name(void)
{
	struct name_record record;

	CU_ASSERT_FALSE(record_write_name(RECORD_NAME, 7, 0, NULL, &record));
	record = (struct name_record){.part = NAME_RECORDS};
	CU_ASSERT_FALSE(record_is_name_part(&record));
	record = (struct name_record){.length = sizeof record.bytes + 1};
	CU_ASSERT_FALSE(record_is_name_part(&record));
	record = (struct name_record){.part = 1, .length = sizeof record.bytes};
	CU_ASSERT_FALSE(record_is_name_part(&record));
	record.length = NAME_BYTES_MAX - sizeof record.bytes;
	CU_ASSERT_TRUE(record_is_name_part(&record));
}

static void test_memory(void)
{
	struct memory memory = {.id = 0x1111111122222222,
		.size = 0x3333333300000000,
		.backing = BACKING_GUEST_MEMFD,
		.flags = MEMORY_MMAP,
		.node = 4,
		.state = OBJECT_READY,
		.resident = 0x5555};
	struct memory_create_parameters told;
	struct memory_record record;

	record_write_memory(&memory, &record);
	record_read_memory(&record, &told);
	CU_ASSERT_EQUAL(record.id, memory.id);
	CU_ASSERT_EQUAL(record.state, memory.state);
	CU_ASSERT_EQUAL(record.resident, 0);
	CU_ASSERT_EQUAL(told.size, memory.size);
	CU_ASSERT_EQUAL(told.backing, memory.backing);
	CU_ASSERT_EQUAL(told.flags, memory.flags);
	CU_ASSERT_EQUAL(told.node, 4);
	memory.state = OBJECT_CLOSED;
	memory.node = NODE_ANY;
	record_write_memory(&memory, &record);
	record_read_memory(&record, &told);
	CU_ASSERT_EQUAL(record.resident, memory.resident);
	CU_ASSERT_EQUAL(told.node, FIELD_UNSET);
}

/* One without flags is told of as memory.create takes it: flags are a guest_memfd's. */
static void test_memfd(void)
{
	struct memory memory = {.size = 4096, .backing = BACKING_MEMFD, .node = NODE_ANY};
	struct memory_create_parameters told;
	struct memory_record record;

	record_write_memory(&memory, &record);
	record_read_memory(&record, &told);
	CU_ASSERT_EQUAL(told.backing, BACKING_MEMFD);
	CU_ASSERT_EQUAL(told.flags, FIELD_UNSET);
	CU_ASSERT_EQUAL(told.page_size, 0);
	memory.page_size = 2 << 20;
	record_write_memory(&memory, &record);
	record_read_memory(&record, &told);
	CU_ASSERT_EQUAL(told.page_size, 2 << 20);
	memory.backing = BACKING_GUEST_MEMFD;
	record_write_memory(&memory, &record);
	record_read_memory(&record, &told);
	CU_ASSERT_EQUAL(told.flags, 0);
}

static void test_slot(void)
{
	struct memory memory = {.id = 77}, shared = {.id = 78};
	struct shared_half half = {.memory = &shared, .offset = 0x7777};
	struct slot slot = {.number = 0x10002,
		.guest_phys_addr = 0x3333,
		.memory_size = 0x4444,
		.userspace_addr = 0x5555,
		.named = &memory,
		.guest_memfd_offset = 0x6666,
		.shared = &half,
		.flags = SLOT_READONLY | SLOT_LOG_DIRTY_PAGES,
		.state = OBJECT_CLOSING};
	struct slot_bind_parameters told;
	struct slot_record record;

	record_write_slot(&slot, &record);
	record_read_slot(&record, &told);
	CU_ASSERT_EQUAL(record.state, slot.state);
	CU_ASSERT_EQUAL(told.slot, slot.number);
	CU_ASSERT_EQUAL(told.guest_phys_addr, slot.guest_phys_addr);
	CU_ASSERT_EQUAL(told.memory_size, slot.memory_size);
	CU_ASSERT_EQUAL(told.userspace_addr, slot.userspace_addr);
	CU_ASSERT_EQUAL(told.memory, 77);
	CU_ASSERT_EQUAL(told.guest_memfd_offset, slot.guest_memfd_offset);
	CU_ASSERT_EQUAL(told.shared_memory, 78);
	CU_ASSERT_EQUAL(told.shared_offset, half.offset);
	CU_ASSERT_EQUAL(told.flags, slot.flags);
	CU_ASSERT_EQUAL(told.through, THROUGH_GUEST_MEMFD);
	CU_ASSERT_EQUAL(record.how, 0);
	slot.shared = NULL;
	slot.showing = slot.astray = slot.leaving = true;
	record_write_slot(&slot, &record);
	record_read_slot(&record, &told);
	CU_ASSERT_EQUAL(record.how, RECORD_SLOT_SHOWING | RECORD_SLOT_ASTRAY | RECORD_SLOT_LEAVING);
	CU_ASSERT_EQUAL(told.memory, 77);
	CU_ASSERT_EQUAL(told.through, THROUGH_MAPPING);
	slot.named = NULL;
	slot.showing = false;
	record_write_slot(&slot, &record);
	record_read_slot(&record, &told);
	CU_ASSERT_EQUAL(told.memory, FIELD_UNSET);
	CU_ASSERT_EQUAL(told.shared_memory, FIELD_UNSET);
}

static void check_call_again(const struct call *call)
{
	struct call_record record;
	struct call read;

	record_write_call(call, &record);
	record_read_call(&record, &read);
	CU_ASSERT_EQUAL(read.id, call->id);
	CU_ASSERT_EQUAL(read.kind, call->kind);
	CU_ASSERT_EQUAL(read.progress, CALL_SUBMITTED);
	CU_ASSERT_EQUAL(read.entry, call->entry);
	CU_ASSERT_EQUAL(read.count, call->count);
	CU_ASSERT_EQUAL(read.done, call->done);
	CU_ASSERT_EQUAL(read.settling, call->settling);
	CU_ASSERT_EQUAL(read.inherited, call->settling);
	CU_ASSERT_EQUAL(read.continued, call->continued);
	CU_ASSERT_EQUAL(read.guest_memfd, call->guest_memfd);
	CU_ASSERT_EQUAL(record.slot, call->slot ? call->slot->number : 0);
	CU_ASSERT_EQUAL(record.memory, call->memory ? call->memory->id : 0);
}

static void test_call(void)
{
	struct slot slot = {.number = 0x10002};
	struct memory memory = {.id = 77};
	struct call call = {.id = 0x1111111122222222,
		.kind = CALL_BIND,
		.progress = CALL_SUBMITTED,
		.entry = 3,
		.count = 4,
		.done = 5,
		.guest_memfd = 6,
		.slot = &slot};

	check_call_again(&call);
	call.settling = true;
	check_call_again(&call);
	call = (struct call){.kind = CALL_CREATE, .memory = &memory, .continued = true};
	check_call_again(&call);
}

static void test_conversion(void)
{
	for (unsigned way = 0; way < 4; way++) {
		struct conversion conversion = {
			.to = way & 1 ? CONVERT_TO_PRIVATE : CONVERT_TO_SHARED, .discard = way & 2};
		struct call call = {.kind = CALL_CONVERT, .count = 9, .conversion = &conversion};
		struct conversion_plan plan;
		struct call_record record;

		check_call_again(&call);
		record_write_call(&call, &record);
		record_read_conversion(&record, &plan);
		CU_ASSERT_EQUAL(plan.to, conversion.to);
		CU_ASSERT_EQUAL(plan.discard, conversion.discard);
		CU_ASSERT_EQUAL(plan.count, call.count);
		CU_ASSERT_PTR_NULL(plan.ranges);
	}
}

/* In a ledger; one of an older gmemd's has none. */
static void test_opened(void)
{
	const struct opened_record record = {.kind = RECORD_OPENED, .microseconds = 77};
	struct ledger *ledger;
	struct vm vm = {.opened = 0};

	CU_ASSERT_EQUAL_FATAL(ledger_new("test", RECORD_SIZE, 8, &ledger), 0);
	vm_ledger_read_opened(&vm, ledger);
	CU_ASSERT_EQUAL(vm.opened, 0);
	CU_ASSERT_EQUAL(ledger_put(ledger, 3, &record, sizeof record), 0);
	ledger_commit(ledger);
	vm_ledger_read_opened(&vm, ledger);
	CU_ASSERT_EQUAL(vm.opened, 77);
	ledger_free(ledger);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"VM", test_vm},
		{"VM's states", test_states},
		{"VM's listener", test_listener},
		{"names", test_names},
		{"no name", test_no_name},
		{"memory", test_memory},
		{"memfd", test_memfd},
		{"slot", test_slot},
		{"call", test_call},
		{"conversion", test_conversion},
		{"when it was opened", test_opened},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "records of VMs", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
