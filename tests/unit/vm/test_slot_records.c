/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots in a ledger, several in a record: what fits, and that whatever becomes of slots, the
 * ledger has those that there are, as they are.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_record.h"
#include "tests/lib/slots_alone.h"
#include "tests/lib/unit.h"
#include "tests/unit/vm/held.h"

#define P     HELD_PAGE
#define SLOTS 64

static const struct slot_record largest = {.kind = RECORD_SLOT,
	.state = 3,
	.flags = SLOT_READONLY | SLOT_LOG_DIRTY_PAGES,
	.how = RECORD_SLOT_SHOWING | RECORD_SLOT_ASTRAY | RECORD_SLOT_LEAVING,
	.number = UINT32_MAX,
	.guest_phys_addr = ((1ull << 40) - 1) * P,
	.memory_size = UINT32_MAX * P,
	.userspace_addr = ((1ull << 48) - 1) * P,
	.memory = UINT32_MAX,
	.guest_memfd_offset = ((1ull << 40) - 1) * P};

static void test_pack(void)
{
	const struct slot_record none = {.kind = RECORD_SLOT};
	uint8_t packed[SLOT_TOGETHER_BYTES] = {0};
	struct slot_record read;

	CU_ASSERT_FALSE(record_unpack_slot(packed, &read));
	CU_ASSERT_TRUE(record_pack_slot(&largest, packed));
	CU_ASSERT_TRUE(record_unpack_slot(packed, &read));
	CU_ASSERT_EQUAL(memcmp(&read, &largest, sizeof read), 0);
	CU_ASSERT_TRUE(record_pack_slot(&none, packed));
	CU_ASSERT_TRUE(record_unpack_slot(packed, &read));
	CU_ASSERT_EQUAL(memcmp(&read, &none, sizeof read), 0);
}

static void test_too_large(void)
{
	const struct slot_record wrong[] = {{.state = 4}, {.flags = 4}, {.how = 8},
		{.guest_phys_addr = 1ull << 52}, {.guest_phys_addr = 1},
		{.memory_size = 1ull << 44}, {.memory_size = P + 8}, {.userspace_addr = 1ull << 60},
		{.userspace_addr = 0x10}, {.memory = 1ull << 32},
		{.guest_memfd_offset = 1ull << 52}, {.guest_memfd_offset = 2048},
		{.shared_memory = 1}};
	uint8_t packed[SLOT_TOGETHER_BYTES];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		UNIT_ASSERT_ROW(!record_pack_slot(&wrong[i], packed), "row %zu", i);
}

/* What a successor would find. */
struct found {
	unsigned slots, records;
};

static void find_slot(struct vm *vm, const struct slot_record *record, struct found *found)
{
	struct slot *slot = vm_slot(vm, record->number);
	struct slot_record expected;

	found->slots++;
	CU_ASSERT_PTR_NOT_NULL_FATAL(slot);
	record_write_slot(slot, &expected);
	CU_ASSERT_EQUAL(memcmp(record, &expected, sizeof expected), 0);
}

static struct found find_slots(struct vm *vm, const struct ledger *ledger)
{
	struct found found = {0};
	struct slot_record slot;
	union record record;

	EACH_RECORD (ledger, index, RECORD_SLOT, &record) {
		find_slot(vm, &record.slot, &found);
		found.records++;
	}
	EACH_RECORD (ledger, index, RECORD_SLOTS, &record) {
		for (unsigned part = 0; part < SLOTS_TOGETHER; part++) {
			if (record_unpack_slot(record.slots.slots[part], &slot))
				find_slot(vm, &slot, &found);
		}
		found.records++;
	}
	CU_ASSERT_EQUAL(found.slots, vm->n_slots);
	return found;
}

/* Some are of what takes a record of its own. */
static void bind_one(struct vm *vm, uint32_t number)
{
	const struct slot_request request = {.number = number,
		.guest_phys_addr = number * P,
		.memory_size = P,
		.userspace_addr = number % 7 == 6 ? 16 : number * P};
	struct slot *slot;

	CU_ASSERT_EQUAL_FATAL(slot_recover(vm, &request, &slot), 0);
}

static void change_one(struct vm *vm, uint32_t number)
{
	struct slot *slot = vm_slot(vm, number);

	if (!slot) {
		bind_one(vm, number);
	} else if (random() % 2) {
		slot_free(slot);
	} else {
		slot->state = (slot->state + 1) % 3;
		vm_ledger_note_slot(slot);
	}
}

static void change_at_random(struct vm *vm)
{
	for (unsigned i = 0; i < 3000; i++) {
		for (unsigned more = 0; more <= i % 3; more++) /* in one transaction */
			change_one(vm, (uint32_t)random() % SLOTS);
		vm_ledger_commit(vm);
		find_slots(vm, vm->ledger);
	}
}

static void test_random(void)
{
	struct held held;
	struct found found;
	struct vm *vm;

	srandom(1);
	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	CU_ASSERT_EQUAL_FATAL(vm_ledger_new(vm), 0);
	change_at_random(vm);
	while (vm->n_slots > 0)
		slot_free(vm_slot_from(vm, 0));
	vm_ledger_commit(vm);
	found = find_slots(vm, vm->ledger);
	CU_ASSERT_EQUAL(found.records, 0);
	held_end(&held);
}

/* One of the first version, by a gmemd that knew no more: the slots are alone in it. */
static void test_older_ledger(void)
{
	struct held held;
	struct vm *vm;

	srandom(2);
	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	CU_ASSERT_EQUAL_FATAL(ledger_new("test", RECORD_SIZE, RECORDS_MAX, &vm->ledger), 0);
	vm_ledger_note_vm(vm);
	change_at_random(vm);
	CU_ASSERT_EQUAL(find_slots(vm, vm->ledger).records, vm->n_slots);
	held_end(&held);
}

/* Of a full record it was thought that it has room, as a successor does of the last; or of what is
 * none, or one of another kind by now. */
static void test_full(void)
{
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	CU_ASSERT_EQUAL_FATAL(vm_ledger_new(vm), 0);
	for (uint32_t number = 0; number < SLOTS_TOGETHER; number++)
		bind_one(vm, number);
	CU_ASSERT_EQUAL(vm->slots_with_room, 0);
	vm->slots_with_room = vm_slot(vm, 0)->record;
	for (uint32_t number = SLOTS_TOGETHER; number < 2 * SLOTS_TOGETHER; number++)
		bind_one(vm, number);
	vm->minimum = P;
	vm_ledger_note_minimum(vm);
	vm->slots_with_room = vm->minimum_record;
	bind_one(vm, 2 * SLOTS_TOGETHER + 1);
	vm->slots_with_room = 1000;
	bind_one(vm, 2 * SLOTS_TOGETHER + 2);
	vm_ledger_commit(vm);
	CU_ASSERT_EQUAL(find_slots(vm, vm->ledger).records, 4);
	vm->minimum = 0;
	vm_ledger_read_minimum(vm, vm->ledger);
	CU_ASSERT_EQUAL(vm->minimum, P);
	held_end(&held);
}

static void test_page(void)
{
	struct stat status;
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	CU_ASSERT_EQUAL_FATAL(vm_ledger_new(vm), 0);
	for (uint32_t number = 0; number < SLOTS; number++) {
		const struct slot_request request = {
			.number = number, .guest_phys_addr = number * P, .memory_size = P};
		struct slot *slot;

		CU_ASSERT_EQUAL(slot_recover(vm, &request, &slot), 0);
		vm_ledger_commit(vm);
	}
	CU_ASSERT_EQUAL(fstat(ledger_fd(vm->ledger), &status), 0);
	UNIT_ASSERT_ROW(
		status.st_blocks * 512 <= 4096, "%lld bytes", (long long)status.st_blocks * 512);
	CU_ASSERT_EQUAL(slots_alone(vm->ledger), 0);
	CU_ASSERT_EQUAL(find_slots(vm, vm->ledger).records, SLOTS);
	held_end(&held);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"the largest and the smallest that is one of several", test_pack},
		{"what takes a record of its own", test_too_large},
		{"random slots, bound, changed and unbound", test_random},
		{"the same in an older gmemd's ledger", test_older_ledger},
		{"a record that may have room is full", test_full},
		{"64 slots in one page", test_page},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "records of slots", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
