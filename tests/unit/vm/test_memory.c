/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memories: charged whole, to the byte; ready only with the very file that was asked for.
 */
#include "daemon/vm/memory.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_new.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"
#include "tests/unit/vm/held.h"

static int new_memory(struct vm *vm, uint64_t size, const char **ret_scope)
{
	struct memory_request request = {.size = size, .backing = BACKING_GUEST_MEMFD, NODE_ANY};
	const struct budget *refused = NULL;
	struct memory *memory = NULL;
	uint64_t requested;
	int r = memory_new(vm, &request, &memory, &refused, &requested);

	CU_ASSERT_TRUE((r == 0) == (memory != NULL));
	*ret_scope = refused ? refused->scope : "";
	return r;
}

static void test_budgets(void)
{
	const char *scope;
	struct held held;
	struct vm *small, *large;

	held_init(&held);
	small = held_vm(&held, 1, 10 * HELD_PAGE);
	large = held_vm(&held, 2, BUDGET_UNLIMITED);
	CU_ASSERT_EQUAL(new_memory(small, 11 * HELD_PAGE, &scope), -ENOSPC);
	CU_ASSERT_STRING_EQUAL(scope, "vm");
	CU_ASSERT_EQUAL(new_memory(small, 10 * HELD_PAGE, &scope), 0);
	CU_ASSERT_EQUAL(new_memory(small, HELD_PAGE, &scope), -ENOSPC);
	CU_ASSERT_STRING_EQUAL(scope, "vm");
	CU_ASSERT_EQUAL(new_memory(large, HELD_HOST - 9 * HELD_PAGE, &scope), -ENOSPC);
	CU_ASSERT_STRING_EQUAL(scope, "host");
	CU_ASSERT_EQUAL(new_memory(large, UINT64_MAX - HELD_PAGE, &scope), -ENOSPC);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 10 * HELD_PAGE);
	CU_ASSERT_EQUAL(new_memory(large, HELD_HOST - 10 * HELD_PAGE, &scope), 0);
	CU_ASSERT_EQUAL(held.capacity.host.committed, HELD_HOST);
	CU_ASSERT_EQUAL(large->n_memories, 1);
	held_end(&held);
}

/* Two on a node that has room for one and a half, in a VM that was promised room for both. */
static void test_node(void)
{
	const struct capacity_request capacity = {.total = HELD_HOST};
	const struct capacity_node nodes[] = {{.number = 3, .total = 15 * HELD_PAGE}};
	struct memory_request request = {
		.size = 10 * HELD_PAGE, .backing = BACKING_GUEST_MEMFD, .node = 3};
	const struct budget *refused = NULL;
	struct memory *memory = NULL;
	uint64_t requested = 0;
	struct budget *node;
	struct held held;
	struct vm *vm;

	held_init(&held);
	capacity_clear(&held.capacity);
	CU_ASSERT_EQUAL_FATAL(capacity_init(&held.capacity, &capacity, nodes, 1), 0);
	node = capacity_of_node(&held.capacity, 3);
	vm = held_vm(&held, 1, 20 * HELD_PAGE);
	CU_ASSERT_EQUAL(memory_new(vm, &request, &memory, &refused, &requested), 0);
	CU_ASSERT_EQUAL(node->committed, 10 * HELD_PAGE);
	CU_ASSERT_EQUAL(memory_new(vm, &request, &memory, &refused, &requested), -ENOSPC);
	CU_ASSERT_PTR_EQUAL(refused, node);
	CU_ASSERT_EQUAL(requested, 10 * HELD_PAGE);
	CU_ASSERT_EQUAL(vm->budget.committed, 10 * HELD_PAGE);
	memory_free(memory);
	CU_ASSERT_EQUAL(node->committed, 0);
	CU_ASSERT_EQUAL(memory_new(vm, &request, &memory, &refused, &requested), 0);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 20 * HELD_PAGE);
	vm_free(vm);
	CU_ASSERT_EQUAL(node->committed, 0);
	held_end(&held);
}

/* A limit is promised: who can't be promised it isn't there. */
static void test_promise(void)
{
	struct held held;
	struct vm *vm, *other;

	held_init(&held);
	vm = held_vm(&held, 1, HELD_HOST - HELD_PAGE);
	CU_ASSERT_EQUAL(held.capacity.host.promised, HELD_HOST - HELD_PAGE);
	CU_ASSERT_PTR_EQUAL(vm_promise_refused(vm->tenant, 2 * HELD_PAGE), &held.capacity.host);
	CU_ASSERT_EQUAL(held_vm_new(&held, 2, 2 * HELD_PAGE, &other), -ENOSPC);
	CU_ASSERT_PTR_NULL(vm_promise_refused(vm->tenant, HELD_PAGE));
	CU_ASSERT_PTR_NULL(vm_promise_refused(vm->tenant, BUDGET_UNLIMITED));
	CU_ASSERT_EQUAL(held.capacity.host.committed, HELD_HOST - HELD_PAGE);
	held_memory(vm, 10 * HELD_PAGE, NULL);
	vm_stop(vm);
	CU_ASSERT_EQUAL(held.capacity.host.promised, HELD_HOST - HELD_PAGE);
	vm_drop(vm);
	CU_ASSERT_EQUAL(held.capacity.host.promised, 0);
	CU_ASSERT_EQUAL(held_vm_new(&held, 2, HELD_HOST, &other), 0);
	held_end(&held);
}

static void test_counts(void)
{
	const char *scope;
	struct held held;
	struct vm *vm, *other;

	held_init(&held);
	held.config.memories_per_vm = HELD_MEMORIES;
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	for (int i = 0; i < HELD_MEMORIES; i++)
		CU_ASSERT_EQUAL(new_memory(vm, HELD_PAGE, &scope), 0);
	CU_ASSERT_EQUAL(new_memory(vm, HELD_PAGE, &scope), -E2BIG);
	CU_ASSERT_STRING_EQUAL(scope, "");
	other = held_vm(&held, 2, BUDGET_UNLIMITED);
	held.config.memories_per_vm = 100;
	for (int i = 0; i < HELD_MEMORIES; i++)
		CU_ASSERT_EQUAL(new_memory(other, HELD_PAGE, &scope), 0);
	CU_ASSERT_EQUAL(new_memory(other, HELD_PAGE, &scope), -EDQUOT);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 2 * HELD_MEMORIES * HELD_PAGE);
	vm_stop(vm);
	vm_drop(vm);
	CU_ASSERT_EQUAL(new_memory(other, HELD_PAGE, &scope), 0);
	held_end(&held);
}

static void test_found(void)
{
	struct held held;
	struct memory *first, *second;
	struct vm *vm, *other;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	other = held_vm(&held, 2, BUDGET_UNLIMITED);
	first = held_memory(vm, HELD_PAGE, "a");
	second = held_memory(vm, HELD_PAGE, NULL);
	CU_ASSERT_PTR_EQUAL(registry_memory(&held.registry, first->id), first);
	CU_ASSERT_PTR_NULL(registry_memory(&held.registry, second->id + 1));
	CU_ASSERT_PTR_EQUAL(vm_memory_by_name(vm, "a"), first);
	CU_ASSERT_PTR_NULL(vm_memory_by_name(vm, "A"));
	CU_ASSERT_PTR_NULL(vm_memory_by_name(other, "a"));
	CU_ASSERT_PTR_EQUAL(vm_memory_from(vm, 0), first);
	CU_ASSERT_PTR_EQUAL(vm_memory_from(vm, first->id + 1), second);
	CU_ASSERT_PTR_NULL(vm_memory_from(vm, second->id + 1));
	CU_ASSERT_PTR_NULL(vm_memory_from(other, 0));
	memory_free(first);
	CU_ASSERT_PTR_NULL(registry_memory(&held.registry, second->id - 1));
	CU_ASSERT_PTR_NULL(vm_memory_by_name(vm, "a"));
	CU_ASSERT_PTR_NULL(memory_free(NULL));
	held_end(&held);
}

/* What is refused stays the caller's, and the memory pending. */
static void check_refused(struct memory *memory, int fd, int expected)
{
	CU_ASSERT_EQUAL(memory_adopt(memory, fd), expected);
	CU_ASSERT_EQUAL(memory->state, OBJECT_PENDING);
	CU_ASSERT_EQUAL(memory->fd, -1);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) >= 0);
}

static void test_adopted(void)
{
	cleanup_fd int vm_fd = -1, memfd = -1, small = -1, copy = -1;
	struct memory *memory, *second;
	struct held held;
	struct vm *vm;
	int fd;

	if (!vm_or_skip(0, &vm_fd))
		return;
	memfd = memfd_create("memfd", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(memfd, 2 * HELD_PAGE), 0);
	small = vm_guest_memfd(vm_fd, HELD_PAGE, 0);
	held_init(&held);
	fd = vm_guest_memfd(vm_fd, 2 * HELD_PAGE, 0);
	CU_ASSERT_TRUE_FATAL(fd >= 0 && small >= 0);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	memory = held_memory(vm, 2 * HELD_PAGE, NULL);
	second = held_memory(vm, 2 * HELD_PAGE, NULL);
	check_refused(memory, memfd, -EINVAL);
	check_refused(memory, small, -EINVAL);
	check_refused(memory, vm_fd, -EINVAL);
	CU_ASSERT_EQUAL(memory_adopt(memory, fd), 0);
	CU_ASSERT_EQUAL(memory->state, OBJECT_READY);
	copy = dup(fd);
	check_refused(second, copy, -EEXIST);
	memory_free(memory);
	CU_ASSERT_EQUAL(memory_adopt(second, copy), 0);
	copy = -1; /* consumed */
	held_end(&held);
}

/* Whoever touches it first: the policy is the file's. */
static void test_bound_to_a_node(void)
{
	cleanup_fd int fd = -1;
	struct bitmask *nodes;
	int mode = -1;
	void *bytes;

	if (numa_available() < 0) {
		unit_skip("no NUMA policies");
		return;
	}
	nodes = numa_allocate_nodemask();
	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("bound", 4 * HELD_PAGE, &fd), 0);
	CU_ASSERT_EQUAL(node_bind_file(fd, 4 * HELD_PAGE, 1000), -EINVAL);
	CU_ASSERT_EQUAL(node_bind_file(fd, 4 * HELD_PAGE, NODE_ANY), 0);
	CU_ASSERT_EQUAL(node_bind_file(fd, 4 * HELD_PAGE, 0), 0);
	bytes = mmap(NULL, 4 * HELD_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CU_ASSERT_EQUAL(get_mempolicy(&mode, nodes->maskp, nodes->size + 1, bytes, MPOL_F_ADDR), 0);
	CU_ASSERT_EQUAL(mode & 0xff, MPOL_BIND);
	CU_ASSERT_TRUE(numa_bitmask_isbitset(nodes, 0));
	munmap(bytes, 4 * HELD_PAGE);
	numa_free_nodemask(nodes);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a file bound to a node", test_bound_to_a_node},
		{"budgets", test_budgets},
		{"bound to a node", test_node},
		{"promises", test_promise},
		{"as many as there may be", test_counts},
		{"found", test_found},
		{"adopted", test_adopted},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "memories", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
