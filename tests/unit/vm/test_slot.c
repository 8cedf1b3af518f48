/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots: what collides, at each edge, in each address space, in each memory.
 */
#include "daemon/vm/slot.h"

#include <errno.h>

#include "tests/lib/unit.h"
#include "tests/unit/vm/held.h"

#define P        HELD_PAGE
#define SPACE(n) ((uint32_t)(n) << 16)

/* Pages from the start of a range [10, 14) that is taken. */
static const struct {
	uint64_t start, size;
	bool overlaps;
} edges[] = {{10, 4, true}, {10, 1, true}, {13, 1, true}, {11, 2, true}, {9, 2, true},
	{13, 2, true}, {9, 6, true}, {0, 100, true}, {10, 5, true}, {9, 5, true}, {8, 2, false},
	{14, 1, false}, {9, 1, false}, {0, 10, false}, {14, 1000, false}, {0, 11, true}};

static enum slot_conflict check(struct vm *vm, uint32_t number, uint64_t address, uint64_t size,
	struct memory *memory, uint64_t offset)
{
	struct slot_request request = {
		.number = number,
		.guest_phys_addr = address,
		.memory_size = size,
		.memory = memory,
		.guest_memfd_offset = offset,
	};
	struct slot *other = NULL;
	enum slot_conflict conflict = slot_check(vm, &request, &other);

	CU_ASSERT_TRUE((conflict == SLOT_FITS) == (other == NULL));
	return conflict;
}

static void test_addresses(void)
{
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	held_slot(vm, 1, 10 * P, 4 * P, NULL, 0);
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
		uint64_t start = edges[i].start * P, size = edges[i].size * P;

		UNIT_ASSERT_ROW((check(vm, 2, start, size, NULL, 0) == SLOT_ADDRESS_TAKEN) ==
					edges[i].overlaps,
			"edge %zu", i);
		UNIT_ASSERT_ROW(check(vm, SPACE(1) | 2, start, size, NULL, 0) == SLOT_FITS,
			"edge %zu in another space", i);
	}
	CU_ASSERT_EQUAL(check(vm, 1, 100 * P, P, NULL, 0), SLOT_NUMBER_TAKEN);
	CU_ASSERT_EQUAL(check(vm, SPACE(1) | 1, 10 * P, 4 * P, NULL, 0), SLOT_FITS);
	held_end(&held);
}

/* The highest that the wire lets through: the sum has room. */
static void test_highest_address(void)
{
	const uint64_t highest = (uint64_t)INT64_MAX & ~(P - 1), size = 0x7fffffffull << 12;
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	held_slot(vm, 1, highest, size, NULL, 0);
	CU_ASSERT_EQUAL(check(vm, 2, highest + size - P, P, NULL, 0), SLOT_ADDRESS_TAKEN);
	CU_ASSERT_EQUAL(check(vm, 2, highest + size, P, NULL, 0), SLOT_FITS);
	CU_ASSERT_EQUAL(check(vm, 2, highest - P, P, NULL, 0), SLOT_FITS);
	CU_ASSERT_EQUAL(check(vm, 2, 0, P, NULL, 0), SLOT_FITS);
	held_end(&held);
}

/* Ranges of a memory are its own in all address spaces together, as in the kernel. */
static void test_offsets(void)
{
	struct memory *memory, *other;
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	memory = held_memory(vm, 200 * P, NULL);
	other = held_memory(vm, 200 * P, NULL);
	held_slot(vm, 1, 1000 * P, 4 * P, memory, 10 * P);
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
		uint64_t start = edges[i].start * P, size = edges[i].size * P;
		enum slot_conflict expected = edges[i].overlaps ? SLOT_OFFSET_TAKEN : SLOT_FITS;

		UNIT_ASSERT_ROW(
			check(vm, 2, 5000 * P, size, memory, start) == expected, "edge %zu", i);
		UNIT_ASSERT_ROW(check(vm, SPACE(1) | 2, 5000 * P, size, memory, start) == expected,
			"edge %zu in another space", i);
		UNIT_ASSERT_ROW(check(vm, 2, 5000 * P, size, other, start) == SLOT_FITS,
			"edge %zu of another memory", i);
	}
	held_end(&held);
}

/* Among many, the one that is overlapped is found, whichever it is. */
static void test_among_many(void)
{
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	for (uint32_t i = 0; i < HELD_SLOTS; i++)
		held_slot(
			vm, (i * 5) % HELD_SLOTS, ((i * 5) % HELD_SLOTS) * 10 * P, 5 * P, NULL, 0);
	for (uint32_t i = 0; i < HELD_SLOTS; i++) {
		CU_ASSERT_EQUAL(check(vm, 99, i * 10 * P + 4 * P, P, NULL, 0), SLOT_ADDRESS_TAKEN);
		CU_ASSERT_EQUAL(check(vm, 99, i * 10 * P + 5 * P, 5 * P, NULL, 0), SLOT_FITS);
		CU_ASSERT_EQUAL(check(vm, i, 1000 * P, P, NULL, 0), SLOT_NUMBER_TAKEN);
	}
	held_end(&held);
}

static void test_counts(void)
{
	struct slot_request request = {.number = 1000, .memory_size = P};
	struct memory *memory;
	struct slot *slot = NULL, *first;
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	memory = held_memory(vm, 100 * P, NULL);
	first = held_slot(vm, 0, 0, P, memory, 0);
	for (uint32_t i = 1; i < HELD_SLOTS; i++)
		held_slot(vm, i, i * P, P, i % 2 ? memory : NULL, i * P);
	CU_ASSERT_EQUAL(memory->n_slots, 1 + HELD_SLOTS / 2);
	CU_ASSERT_EQUAL(vm->own_memory, (HELD_SLOTS / 2 - 1) * P);
	request.guest_phys_addr = 1000 * P;
	CU_ASSERT_EQUAL(slot_new(vm, &request, &slot), -EDQUOT);
	CU_ASSERT_PTR_NULL(slot);
	CU_ASSERT_PTR_EQUAL(memory_first_slot(memory), first);
	CU_ASSERT_PTR_NULL(slot_free(first));
	CU_ASSERT_EQUAL(slot_new(vm, &request, &slot), 0);
	CU_ASSERT_EQUAL(vm->own_memory, HELD_SLOTS / 2 * P);
	CU_ASSERT_PTR_NULL(slot_free(NULL));
	held_end(&held);
}

static void test_found(void)
{
	struct held held;
	struct slot *low, *high;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	CU_ASSERT_PTR_NULL(vm_slot_from(vm, 0));
	high = held_slot(vm, UINT32_MAX, 0, P, NULL, 0);
	low = held_slot(vm, 3, 0, P, NULL, 0);
	CU_ASSERT_PTR_EQUAL(vm_slot(vm, 3), low);
	CU_ASSERT_PTR_NULL(vm_slot(vm, 4));
	CU_ASSERT_PTR_EQUAL(vm_slot_from(vm, 0), low);
	CU_ASSERT_PTR_EQUAL(vm_slot_from(vm, 3), low);
	CU_ASSERT_PTR_EQUAL(vm_slot_from(vm, 4), high);
	CU_ASSERT_PTR_EQUAL(vm_slot_from(vm, UINT32_MAX), high);
	CU_ASSERT_PTR_NULL(vm_slot_from(vm, (uint64_t)UINT32_MAX + 1));
	CU_ASSERT_PTR_NULL(vm_slot_from(vm, UINT64_MAX));
	held_end(&held);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"guest addresses", test_addresses},
		{"the highest address", test_highest_address},
		{"ranges of a memory", test_offsets},
		{"among many", test_among_many},
		{"counts", test_counts},
		{"found", test_found},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "slots", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
