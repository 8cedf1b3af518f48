/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots: what collides, at each edge, in each address space, in each memory.
 */
#include "daemon/vm/slot_change.h"

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

/* What is shown overlaps with what is bound, and with itself; it is the VMM's own once astray. */
static void test_shown(void)
{
	struct slot_request request = {
		.number = 1, .guest_phys_addr = 1000 * P, .memory_size = 4 * P};
	struct slot *bound, *shown = NULL, *again = NULL, *other;
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	request.shown = held_memory(vm, 100 * P, NULL);
	bound = held_slot(vm, 0, 0, 100 * P, request.shown, 0);
	CU_ASSERT_EQUAL(slot_check(vm, &request, &other), SLOT_FITS);
	CU_ASSERT_EQUAL(slot_new(vm, &request, &shown), 0);
	request.number = 2;
	CU_ASSERT_EQUAL(slot_check(vm, &request, &other), SLOT_ADDRESS_TAKEN);
	request.guest_phys_addr = 2000 * P;
	CU_ASSERT_EQUAL(slot_new(vm, &request, &again), 0);
	CU_ASSERT_EQUAL(request.shown->n_slots, 3);
	CU_ASSERT_EQUAL(vm->n_showing, 2);
	CU_ASSERT_EQUAL(vm->own_memory, 0);
	slot_go_astray(shown);
	slot_go_astray(shown);
	slot_go_astray(bound);
	CU_ASSERT_EQUAL(vm->own_memory, 4 * P);
	CU_ASSERT_TRUE(slot_is_own(shown));
	slot_free(bound);
	slot_free(shown);
	CU_ASSERT_EQUAL(vm->own_memory, 0);
	CU_ASSERT_PTR_EQUAL(memory_first_slot(request.shown), again);
	held_end(&held);
}

static struct slot_request request_for(uint32_t number, uint64_t address, struct memory *memory)
{
	return (struct slot_request){
		.number = number, .guest_phys_addr = address, .memory_size = P, .memory = memory};
}

/* A leaving slot is in no tree, in the way of all but its own change, and can come back. */
static void test_leaving(void)
{
	struct slot_request number, address, offset, apart;
	struct slot *slot, *in_place;
	struct slot_change *change;
	struct memory *memory;
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	memory = held_memory(vm, 100 * P, NULL);
	slot = held_slot(vm, 5, 10 * P, 4 * P, memory, 0);
	slot->state = OBJECT_READY;
	change = slot_change_new(vm);
	slot_change_unbind(change, slot);
	CU_ASSERT_PTR_NULL(vm_slot(vm, 5));
	CU_ASSERT_EQUAL(memory->n_slots, 1);
	CU_ASSERT_EQUAL(vm->n_slots, 0);
	CU_ASSERT_PTR_EQUAL(memory_first_slot(memory), slot);
	number = request_for(5, 500 * P, NULL);
	address = request_for(6, 13 * P, NULL);
	offset = request_for(6, 500 * P, memory);
	apart = request_for(6, 14 * P, NULL);
	CU_ASSERT_PTR_EQUAL(slot_leaving_in_way(vm, &number, NULL), slot);
	CU_ASSERT_PTR_EQUAL(slot_leaving_in_way(vm, &address, NULL), slot);
	CU_ASSERT_PTR_EQUAL(slot_leaving_in_way(vm, &offset, NULL), slot);
	CU_ASSERT_PTR_NULL(slot_leaving_in_way(vm, &offset, change));
	CU_ASSERT_PTR_NULL(slot_leaving_in_way(vm, &apart, NULL));
	CU_ASSERT_EQUAL(slot_change_bind(change, &address, 0), 0);
	in_place = vm_slot(vm, 6);
	CU_ASSERT_FALSE(slot_return(slot));
	CU_ASSERT_PTR_NULL(slot_change_undo(change));
	CU_ASSERT_PTR_NOT_NULL(in_place);
	CU_ASSERT_PTR_NULL(vm_slot(vm, 6));
	CU_ASSERT_PTR_EQUAL(vm_slot(vm, 5), slot);
	CU_ASSERT_EQUAL(slot->state, OBJECT_READY);
	CU_ASSERT_PTR_NULL(slot->change);
	CU_ASSERT_PTR_NULL(vm_leaving_slot(vm));
	held_end(&held);
}

/* What a successor finds in the mailbox is one of the steps, or none. */
static void test_recovered_steps(void)
{
	struct slot_step step = {.kind = SLOT_STEP_FLAGS, .flags = SLOT_LOG_DIRTY_PAGES};
	struct kvm_userspace_memory_region2 arguments;
	struct slot_change *change;
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	step.slot = held_slot(vm, 5, 10 * P, 4 * P, NULL, 0);
	step.slot->state = OBJECT_READY;
	change = slot_change_new(vm);
	slot_step_arguments(&step, &arguments);
	CU_ASSERT_EQUAL(arguments.flags, KVM_MEM_LOG_DIRTY_PAGES);
	arguments.memory_size += P;
	CU_ASSERT_EQUAL(slot_change_recover(change, &arguments), -EBADMSG);
	arguments.memory_size -= P;
	arguments.slot = 6;
	CU_ASSERT_EQUAL(slot_change_recover(change, &arguments), -EBADMSG);
	arguments.slot = 5;
	CU_ASSERT_EQUAL(slot_change_recover(change, &arguments), 0);
	CU_ASSERT_EQUAL(slot_change_recover(change, &arguments), -EBADMSG);
	CU_ASSERT_EQUAL(change->steps[0].kind, SLOT_STEP_FLAGS);
	slot_step_finish(&change->steps[0]);
	CU_ASSERT_EQUAL(step.slot->flags, SLOT_LOG_DIRTY_PAGES);
	arguments = (struct kvm_userspace_memory_region2){.slot = 5};
	CU_ASSERT_EQUAL(slot_change_recover(change, &arguments), -EBADMSG); /* it isn't leaving */
	slot_change_free(change);
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
		{"shown", test_shown},
		{"leaving", test_leaving},
		{"steps of a change, recovered", test_recovered_steps},
		{"found", test_found},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "slots", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
