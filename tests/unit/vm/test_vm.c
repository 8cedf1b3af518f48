/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMs: their names and ids, their limits, and that all is given back in whatever order they end.
 */
#include "daemon/vm/registry.h"
#include "daemon/vm/vm_end.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "tests/lib/unit.h"
#include "tests/unit/vm/held.h"

static void check_no_vm(
	struct registry *registry, const char *before, uint64_t number, const char *behind)
{
	char id[64];

	snprintf(id, sizeof id, "%s%llu%s", before, (unsigned long long)number, behind);
	UNIT_ASSERT_ROW(registry_vm_by_id(registry, id) == NULL, "\"%s\"", id);
}

static void test_ids(void)
{
	struct held held;
	struct vm *first, *second;

	held_init(&held);
	first = held_vm(&held, 1, BUDGET_UNLIMITED);
	second = held_vm(&held, 2, BUDGET_UNLIMITED);
	CU_ASSERT_TRUE(first->number < second->number);
	CU_ASSERT_PTR_EQUAL(registry_vm_by_id(&held.registry, first->id), first);
	CU_ASSERT_PTR_EQUAL(registry_vm_by_id(&held.registry, second->id), second);
	check_no_vm(&held.registry, "", first->number, "");
	check_no_vm(&held.registry, "vm-0", first->number, "");
	check_no_vm(&held.registry, "vm-+", first->number, "");
	check_no_vm(&held.registry, "vm- ", first->number, "");
	check_no_vm(&held.registry, " vm-", first->number, "");
	check_no_vm(&held.registry, "vm-", first->number, " ");
	check_no_vm(&held.registry, "vm-", first->number, "x");
	check_no_vm(&held.registry, "VM-", first->number, "");
	CU_ASSERT_PTR_NULL(registry_vm_by_id(&held.registry, ""));
	CU_ASSERT_PTR_NULL(registry_vm_by_id(&held.registry, "vm-"));
	vm_free(first);
	CU_ASSERT_PTR_EQUAL(registry_vm_by_id(&held.registry, second->id), second);
	held_end(&held);
}

static void test_uuids(void)
{
	struct held held;
	struct vm *first, *second;

	held_init(&held);
	first = held_vm(&held, 1, BUDGET_UNLIMITED);
	second = held_vm(&held, 2, BUDGET_UNLIMITED);
	CU_ASSERT_EQUAL(strlen(first->uuid), 36);
	CU_ASSERT_STRING_NOT_EQUAL(first->uuid, second->uuid);
	held_end(&held);
}

/* A process is not its pid: another can have it while the last one's VM is not done with. */
static void test_process(void)
{
	struct process process = {.identity = 1, .pid = 77, .pidfd = pidfd_open(getpid(), 0)};
	struct held held;
	struct vm *vm, *second = NULL;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	CU_ASSERT_PTR_EQUAL(registry_vm_of_process(&held.registry, &process), vm);
	CU_ASSERT_EQUAL(held_vm_new(&held, 1, BUDGET_UNLIMITED, &second), -EEXIST);
	CU_ASSERT_PTR_NULL(second);
	process.identity = 2;
	process.pid = 1;
	CU_ASSERT_PTR_NULL(registry_vm_of_process(&held.registry, &process));
	vm_free(vm);
	held_vm(&held, 1, BUDGET_UNLIMITED);
	process_release(&process);
	held.fds--; /* that one was open before */
	held_end(&held);
}

static void test_vms_of_a_user(void)
{
	struct vm *vms[HELD_VMS], *more = NULL;
	struct held held;

	held_init(&held);
	for (int i = 0; i < HELD_VMS; i++)
		vms[i] = held_vm(&held, 1 + i, BUDGET_UNLIMITED);
	CU_ASSERT_EQUAL(held_vm_new(&held, 99, BUDGET_UNLIMITED, &more), -EDQUOT);
	CU_ASSERT_PTR_NULL(more);
	vm_free(vms[0]);
	held_vm(&held, 99, BUDGET_UNLIMITED);
	held_end(&held);
}

/* Two memories, one of them ready; slots and calls of every kind. */
static struct vm *busy_vm(struct held *held, struct memory *ret_memories[2],
	struct slot *ret_slots[2], struct call *ret_calls[3])
{
	struct vm *vm = held_vm(held, 1, BUDGET_UNLIMITED);

	ret_memories[0] = held_memory(vm, 10 * HELD_PAGE, "pending");
	ret_memories[1] = held_memory(vm, 20 * HELD_PAGE, "ready");
	CU_ASSERT_EQUAL(memory_make_memfd(ret_memories[1]), 0);
	ret_slots[0] = held_slot(vm, 0, 0, HELD_PAGE, ret_memories[1], 0);
	ret_slots[1] = held_slot(vm, 1, HELD_PAGE, HELD_PAGE, NULL, 0);
	CU_ASSERT_EQUAL(call_new_create(ret_memories[0], &ret_calls[0]), 0);
	CU_ASSERT_EQUAL(call_new_bind(ret_slots[0], 7, &ret_calls[1]), 0);
	CU_ASSERT_EQUAL(call_new_unbind(ret_slots[1], &ret_calls[2]), 0);
	CU_ASSERT_EQUAL(vm->budget.committed, 30 * HELD_PAGE);
	CU_ASSERT_EQUAL(held->capacity.host.committed, 30 * HELD_PAGE);
	CU_ASSERT_EQUAL(vm->own_memory, HELD_PAGE);
	return vm;
}

/* Bit 0: the first call first; bits 1 and 2: the same for slots and memories; then how the VM
 * ends. */
static void end_in_order(unsigned order)
{
	struct memory *memories[2];
	struct slot *slots[2];
	struct call *calls[3];
	struct held held;
	struct vm *vm;

	held_init(&held);
	vm = busy_vm(&held, memories, slots, calls);
	for (int i = 0; i < 3; i++)
		call_free(calls[order & 1 ? i : 2 - i]);
	slot_free(slots[order & 2 ? 0 : 1]);
	slot_free(slots[order & 2 ? 1 : 0]);
	CU_ASSERT_EQUAL(vm->own_memory, 0);
	memory_free(memories[order & 4 ? 0 : 1]);
	memory_free(memories[order & 4 ? 1 : 0]);
	CU_ASSERT_EQUAL(vm->budget.committed, 0);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 0);
	if (order & 8)
		vm_stop(vm);
	if (order & 16)
		vm_free(vm);
	held_end(&held);
}

static void test_every_order(void)
{
	for (unsigned order = 0; order < 32; order++)
		end_in_order(order);
}

/* With all that it has, at once. */
static void test_end_at_once(void)
{
	for (unsigned way = 0; way < 4; way++) {
		struct memory *memories[2];
		struct slot *slots[2];
		struct call *calls[3];
		struct held held;
		struct vm *vm;

		held_init(&held);
		vm = busy_vm(&held, memories, slots, calls);
		if (way & 1) {
			uint64_t committed = vm->budget.committed;

			vm_stop(vm);
			CU_ASSERT_EQUAL(vm->state, VM_RELEASED);
			CU_ASSERT_EQUAL(vm->n_slots, 0);
			CU_ASSERT_TRUE(TAILQ_EMPTY(&vm->calls));
			CU_ASSERT_EQUAL(held.capacity.host.committed, committed);
			vm_drop(vm);
			CU_ASSERT_EQUAL(vm->n_memories, 0);
			CU_ASSERT_EQUAL(held.capacity.host.committed, 0);
			vm_stop(vm);
			vm_drop(vm);
		}
		if (way & 2)
			CU_ASSERT_PTR_NULL(vm_free(vm));
		held_end(&held);
	}
	CU_ASSERT_PTR_NULL(vm_free(NULL));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"ids", test_ids},
		{"UUIDs", test_uuids},
		{"one for a process", test_process},
		{"as many as a user may have", test_vms_of_a_user},
		{"every order of the end", test_every_order},
		{"all at once", test_end_at_once},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "VMs", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
