/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commitment: what a VM's two halves cost together, with private memory and without.
 */
#include "daemon/vm/commitment.h"

#include "kernel/base/uapi.h"
#include "tests/lib/unit.h"
#include "tests/unit/vm/held.h"

#define P HELD_PAGE

static struct held held;

static struct vm *start(uint64_t attributes, uint64_t limit)
{
	held_init(&held);
	held.host.vm_types[0].memory_attributes = attributes;
	return held_vm(&held, 1, limit);
}

/* Commitments are no memories here: given back by hand. */
static void end(struct vm *vm)
{
	commitment_shrink(vm, BACKING_GUEST_MEMFD, vm->commitment.backed_by[BACKING_GUEST_MEMFD]);
	commitment_shrink(vm, BACKING_MEMFD, vm->commitment.backed_by[BACKING_MEMFD]);
	CU_ASSERT_EQUAL(vm->budget.committed, 0);
	held_end(&held);
}

/* NULL where it was taken. */
static const struct budget *grow(struct vm *vm, enum memory_backing backing, uint64_t size)
{
	uint64_t bytes;

	return commitment_grow(vm, backing, size, &bytes);
}

/* Pages: of the one half, the other, in both; charged without and with private memory. */
static void test_totals(void)
{
	static const struct {
		uint64_t guest_memfds, memfds, in_both, plain, private;
	} rows[] = {{0, 0, 0, 0, 0}, {7, 0, 0, 7, 7}, {0, 7, 0, 7, 7}, {7, 7, 0, 14, 7},
		{7, 5, 0, 12, 7}, {5, 7, 0, 12, 7}, {7, 7, 3, 14, 10}, {7, 7, 7, 14, 14},
		{7, 5, 5, 12, 12}, {7, 5, 6, 12, 12}, {7, 0, 3, 7, 7}};
	uint64_t bytes;

	for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
		bool private = i % 2;
		struct vm *vm = start(private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, BUDGET_UNLIMITED);

		CU_ASSERT_PTR_NULL(grow(vm, BACKING_GUEST_MEMFD, rows[i / 2].guest_memfds * P));
		CU_ASSERT_PTR_NULL(commitment_keep(vm, rows[i / 2].in_both * P, &bytes));
		CU_ASSERT_PTR_NULL(grow(vm, BACKING_MEMFD, rows[i / 2].memfds * P));
		UNIT_ASSERT_ROW(vm->budget.committed ==
					(private ? rows[i / 2].private : rows[i / 2].plain) * P,
			"row %zu, private %d: %llu pages", i / 2, private,
			(unsigned long long)(vm->budget.committed / P));
		end(vm);
	}
}

/* The second half is free up to the first's size; what is refused changes nothing. */
static void test_limit(void)
{
	struct vm *vm = start(KVM_MEMORY_ATTRIBUTE_PRIVATE, 10 * P);
	uint64_t bytes = 0;

	CU_ASSERT_PTR_NULL(grow(vm, BACKING_GUEST_MEMFD, 10 * P));
	CU_ASSERT_PTR_NULL(grow(vm, BACKING_MEMFD, 8 * P));
	CU_ASSERT_PTR_EQUAL(commitment_grow(vm, BACKING_MEMFD, 3 * P, &bytes), &vm->budget);
	CU_ASSERT_EQUAL(bytes, P);
	CU_ASSERT_PTR_EQUAL(commitment_keep(vm, P, &bytes), &vm->budget);
	CU_ASSERT_EQUAL(bytes, P);
	CU_ASSERT_EQUAL(vm->commitment.in_both, 0);
	CU_ASSERT_EQUAL(vm->commitment.backed_by[BACKING_MEMFD], 8 * P);
	CU_ASSERT_PTR_NULL(grow(vm, BACKING_MEMFD, 2 * P));
	CU_ASSERT_EQUAL(vm->budget.committed, 10 * P);
	end(vm);
}

static void test_keep_and_discard(void)
{
	struct vm *vm = start(KVM_MEMORY_ATTRIBUTE_PRIVATE, BUDGET_UNLIMITED);
	uint64_t bytes;

	grow(vm, BACKING_GUEST_MEMFD, 10 * P);
	grow(vm, BACKING_MEMFD, 10 * P);
	CU_ASSERT_PTR_NULL(commitment_keep(vm, 4 * P, &bytes));
	CU_ASSERT_EQUAL(vm->budget.committed, 14 * P);
	commitment_discard(vm, P);
	CU_ASSERT_EQUAL(vm->budget.committed, 13 * P);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 13 * P);
	commitment_shrink(vm, BACKING_MEMFD, 8 * P); /* fewer are left than were in both */
	CU_ASSERT_EQUAL(vm->budget.committed, 12 * P);
	commitment_discard(vm, 3 * P);
	CU_ASSERT_EQUAL(vm->budget.committed, 10 * P);
	end(vm);
}

/* More than can be added up is refused and is not added up. */
static void test_huge(void)
{
	static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX / 2, UINT64_MAX - P, 1ull << 63};
	struct vm *vm = start(KVM_MEMORY_ATTRIBUTE_PRIVATE, BUDGET_UNLIMITED);
	uint64_t bytes;

	CU_ASSERT_PTR_NULL(grow(vm, BACKING_MEMFD, 2 * P));
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		for (unsigned backing = 0; backing < 2; backing++) {
			bytes = 0;
			UNIT_ASSERT_ROW(commitment_grow(vm, backing, sizes[i], &bytes) != NULL,
				"size %zu", i);
			UNIT_ASSERT_ROW(bytes > 0, "size %zu", i);
		}
	}
	CU_ASSERT_EQUAL(vm->budget.committed, 2 * P);
	end(vm);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"two halves together", test_totals},
		{"up to the limit", test_limit},
		{"kept and discarded", test_keep_and_discard},
		{"more than can be added up", test_huge},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "commitment", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
