/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closed memories: charged for what is there and for no more, bounded, and gone with their VM in
 * whatever order.
 */
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/vm_end.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/unit.h"
#include "tests/unit/vm/held.h"

#define SIZE    (10 * HELD_PAGE)
#define PER_VM  3
#define OF_USER 4

static void init(struct held *held)
{
	struct config config = held_config;

	config.memories_per_vm = 100;
	config.memories_per_user = 100;
	config.closed_memories_per_vm = PER_VM;
	config.closed_memories_per_user = OF_USER;
	held_init_with(held, &config);
}

/* With a file. */
static struct memory *ready(struct vm *vm)
{
	struct memory *memory = held_memory(vm, SIZE, NULL);

	CU_ASSERT_EQUAL(memory_make_memfd(memory), 0);
	return memory;
}

/* Its id; left: bytes of its pages. */
static uint64_t closed(struct vm *vm, uint64_t left)
{
	struct memory *memory = ready(vm);
	uint64_t id = memory->id;

	memory->resident = left;
	memory_close(memory);
	return id;
}

static struct memory *found(struct held *held, uint64_t id)
{
	return registry_closed_memory(&held->registry, id);
}

static void test_charged_for_what_is_there(void)
{
	struct memory *memory, *other;
	struct held held;
	struct vm *vm;
	uint64_t id;

	init(&held);
	vm = held_vm(&held, 1, 2 * SIZE);
	id = closed(vm, 0);
	memory = found(&held, id);
	CU_ASSERT_PTR_NULL(registry_memory(&held.registry, id));
	CU_ASSERT_EQUAL(vm->n_memories, 0);
	CU_ASSERT_EQUAL(vm->budget.committed, 0);
	CU_ASSERT_PTR_NULL(vm_filled_memory_from(vm, 0));
	held_memory(vm, SIZE, NULL);
	other = found(&held, closed(vm, SIZE));
	CU_ASSERT_EQUAL(vm->budget.committed, 2 * SIZE);
	CU_ASSERT_PTR_EQUAL(vm_filled_memory_from(vm, 0), other);
	/* Whatever the limit, and beyond the promise the host has more of it. */
	CU_ASSERT_TRUE(closed_memory_count(memory, HELD_PAGE, false));
	CU_ASSERT_FALSE(closed_memory_count(memory, SIZE, false));
	CU_ASSERT_EQUAL(vm->closed_resident, 2 * SIZE);
	CU_ASSERT_PTR_EQUAL(vm_filled_memory_from(vm, 0), memory);
	CU_ASSERT_PTR_EQUAL(vm_filled_memory_from(vm, id + 1), other);
	CU_ASSERT_EQUAL(vm->budget.committed, 3 * SIZE);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 3 * SIZE);
	CU_ASSERT_PTR_NOT_NULL(budget_refuses(&vm->budget, 1));
	CU_ASSERT_TRUE(closed_memory_count(memory, 0, false));
	CU_ASSERT_EQUAL(vm->budget.committed, 2 * SIZE);
	held_end(&held);
}

/* Its file is no other memory's, whoever reports it as one. */
static void test_file_stays_known(void)
{
	struct memory *again;
	struct held held;
	struct vm *vm;
	int fd;

	init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	fd = dup(found(&held, closed(vm, 0))->fd);
	again = held_memory(vm, SIZE, NULL);
	CU_ASSERT_TRUE(memory_adopt(again, fd) < 0);
	CU_ASSERT_EQUAL(again->state, OBJECT_PENDING);
	close(fd);
	held_end(&held);
}

/* The one that has been empty for longest goes, and none that has pages. */
static void test_bound_of_a_vm(void)
{
	uint64_t ids[PER_VM + 1];
	struct held held;
	struct vm *vm;

	init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	for (int i = 0; i < PER_VM; i++)
		ids[i] = closed(vm, 0);
	closed_memory_count(found(&held, ids[0]), HELD_PAGE, false);
	closed_memory_count(found(&held, ids[1]), 0, false);
	ids[PER_VM] = closed(vm, 0);
	CU_ASSERT_PTR_NOT_NULL(found(&held, ids[0]));
	CU_ASSERT_PTR_NULL(found(&held, ids[1]));
	CU_ASSERT_PTR_NOT_NULL(found(&held, ids[2]));
	CU_ASSERT_EQUAL(vm->closed_counts.all, PER_VM);
	CU_ASSERT_EQUAL(vm->closed_size, PER_VM * SIZE);
	CU_ASSERT_EQUAL(closed_memories_limit(vm), LIMITS);
	closed_memory_count(found(&held, ids[2]), HELD_PAGE, false);
	closed_memory_count(found(&held, ids[PER_VM]), HELD_PAGE, false);
	CU_ASSERT_EQUAL(closed_memories_limit(vm), LIMIT_CLOSED_MEMORIES_PER_VM);
	/* There is no room: the next is not kept. */
	CU_ASSERT_PTR_NULL(found(&held, closed(vm, 0)));
	CU_ASSERT_EQUAL(vm->closed_counts.all, PER_VM);
	held_end(&held);
}

/* The user's other VM gives way, and goes itself where it has remained for that alone. */
static void test_bound_of_a_user(void)
{
	uint64_t first, second, number;
	struct vm *vm, *other;
	struct held held;

	init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	other = held_vm(&held, 2, BUDGET_UNLIMITED);
	number = other->number;
	first = closed(other, 0);
	second = closed(other, 0);
	vm_end(other);
	CU_ASSERT_EQUAL(other->state, VM_REMAINING);
	for (int i = 0; i < OF_USER - 1; i++)
		closed(vm, 0);
	CU_ASSERT_PTR_NULL(found(&held, first));
	CU_ASSERT_PTR_NOT_NULL(found(&held, second));
	CU_ASSERT_PTR_EQUAL(registry_vm_by_number(&held.registry, number), other);
	held.config.closed_memories_per_user = OF_USER - 1;
	closed(vm, 0);
	CU_ASSERT_PTR_NULL(registry_vm_by_number(&held.registry, number));
	CU_ASSERT_EQUAL(vm->closed_counts.all, OF_USER - 1);
	held_end(&held);
}

static void test_none_is_kept(void)
{
	struct held held;
	struct vm *vm;

	init(&held);
	held.config.closed_memories_per_vm = 0;
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	CU_ASSERT_PTR_NULL(found(&held, closed(vm, SIZE)));
	CU_ASSERT_EQUAL(closed_memories_limit(vm), LIMITS);
	CU_ASSERT_EQUAL(vm->budget.committed, 0);
	vm_end(vm);
	CU_ASSERT_TRUE(RB_EMPTY(&held.registry.vms));
	held_end(&held);
}

/* A VM that is gone makes room for its user's and its process's next, and is seen while it has
 * pages. */
static void test_remains(void)
{
	struct held held;
	struct vm *vm, *next = NULL;
	uint64_t id;

	init(&held);
	held.config.vms_per_user = 1;
	vm = held_vm(&held, 1, 2 * SIZE);
	held_memory(vm, SIZE, "pending");
	id = closed(vm, 0);
	ready(vm);
	vm_end(vm);
	CU_ASSERT_EQUAL(vm->state, VM_REMAINING);
	CU_ASSERT_FALSE(vm_is_seen(vm));
	CU_ASSERT_EQUAL(vm->closed_counts.all, 2);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 0);
	CU_ASSERT_EQUAL(held.capacity.host.promised, 0);
	CU_ASSERT_EQUAL(held_vm_new(&held, 1, BUDGET_UNLIMITED, &next), 0);
	closed_memory_count(found(&held, id), HELD_PAGE, false);
	CU_ASSERT_TRUE(vm_is_seen(vm));
	CU_ASSERT_EQUAL(held.capacity.host.committed, HELD_PAGE);
	vms_free_unseen(&held.registry);
	CU_ASSERT_PTR_EQUAL(registry_vm_by_number(&held.registry, vm->number), vm);
	closed_memory_count(found(&held, id), 0, false);
	vms_free_unseen(&held.registry);
	CU_ASSERT_PTR_EQUAL(RB_MIN(vm_tree, &held.registry.vms), next);
	CU_ASSERT_PTR_NULL(found(&held, id));
	held_end(&held);
}

/* At random, beside plain sums. */

static void check_sums(struct held *held)
{
	uint64_t all = 0, committed = 0;
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &held->registry.vms) {
		uint64_t resident = 0, size = 0, filled = 0, count = 0;
		struct memory *memory;

		RB_FOREACH (memory, memory_tree, &vm->closed) {
			resident += memory->resident;
			size += memory->size;
			filled += memory->resident > 0;
			count++;
		}
		CU_ASSERT_EQUAL(vm->closed_resident, resident);
		CU_ASSERT_EQUAL(vm->closed_size, size);
		CU_ASSERT_EQUAL(vm->closed_counts.filled, filled);
		CU_ASSERT_EQUAL(vm->closed_counts.all, count);
		CU_ASSERT_EQUAL(vm->budget.committed, resident + vm->n_memories * SIZE);
		CU_ASSERT_TRUE(vm->state != VM_REMAINING || count > 0);
		all += count;
		committed += vm->budget.committed;
	}
	CU_ASSERT_EQUAL(held->registry.recounts.count, all);
	CU_ASSERT_EQUAL(held->capacity.host.committed, committed);
}

static struct vm *random_vm(struct held *held)
{
	struct vm *vm = RB_MIN(vm_tree, &held->registry.vms);

	for (long i = random() % 4; vm && i > 0; i--) {
		struct vm *next = RB_NEXT(vm_tree, _, vm);

		vm = next ? next : vm;
	}
	return vm;
}

static void random_step(struct held *held, pid_t pid)
{
	struct vm *vm = random_vm(held), *new = NULL;
	struct memory *memory = vm ? RB_MIN(memory_tree, &vm->closed) : NULL;
	long what = random() % 10;

	if (!vm || what == 0)
		held_vm_new(held, pid, BUDGET_UNLIMITED, &new);
	else if (what == 1 && vm->state != VM_REMAINING)
		vm_end(vm);
	else if (what == 2 && memory)
		closed_memory_let_go(memory);
	else if (what < 6 && memory)
		closed_memory_count(memory, (uint64_t)random() % 3 * HELD_PAGE, random() % 2);
	else if (vm->state != VM_REMAINING)
		closed(vm, (uint64_t)random() % 2 * HELD_PAGE);
}

static void test_random(void)
{
	for (unsigned seed = 1; seed <= 20; seed++) {
		struct held held;

		srandom(seed);
		init(&held);
		held.config.vms_per_user = 10;
		for (int i = 0; i < 200; i++) {
			random_step(&held, 1 + i);
			check_sums(&held);
		}
		held_end(&held);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"charged for what is there", test_charged_for_what_is_there},
		{"a file that was closed is no other memory's", test_file_stays_known},
		{"as many as of a VM are kept", test_bound_of_a_vm},
		{"as many as of a user are kept", test_bound_of_a_user},
		{"none is kept", test_none_is_kept},
		{"a VM that remains", test_remains},
		{"at random", test_random},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "closed memories", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
