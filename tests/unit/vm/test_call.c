/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls: what a VMM reads of them in its mailbox, and how many may wait.
 */
#include "daemon/vm/call.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/base/uapi.h"
#include "tests/lib/unit.h"
#include "tests/unit/vm/held.h"

/* The mailbox as the VMM maps it, elsewhere. */
static const char *map(const struct vm *vm)
{
	const char *bytes = mmap(NULL, mailbox_length(vm->mailbox), PROT_READ, MAP_SHARED,
		mailbox_fd(vm->mailbox), 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(bytes, MAP_FAILED);
	return bytes;
}

static const void *entry(const char *bytes, const struct call *call)
{
	const struct mailbox *mailbox = call->vm->mailbox;

	return bytes + mailbox_entry_address(mailbox, call_command(call), call->entry) -
	       mailbox_address(mailbox);
}

static void test_create(void)
{
	const struct kvm_create_guest_memfd *arguments;
	struct held held;
	struct call *call;
	const char *bytes;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	bytes = map(vm);
	CU_ASSERT_EQUAL_FATAL(call_new_create(held_memory(vm, 3 * HELD_PAGE, NULL), &call), 0);
	arguments = entry(bytes, call);
	CU_ASSERT_EQUAL(call_command(call), MAILBOX_CREATE);
	CU_ASSERT_EQUAL(arguments->size, 3 * HELD_PAGE);
	CU_ASSERT_EQUAL(arguments->flags, GUEST_MEMFD_FLAG_MMAP);
	CU_ASSERT_EQUAL(arguments->reserved[0] | arguments->reserved[5], 0);
	CU_ASSERT_PTR_EQUAL(vm_call(vm, call->id), call);
	CU_ASSERT_PTR_EQUAL(vm_call_of_create_entry(vm, call->entry), call);
	CU_ASSERT_PTR_NULL(vm_call_of_create_entry(vm, call->entry + 1));
	call_free(call);
	CU_ASSERT_TRUE((int64_t)arguments->size < 0); /* which the kernel refuses */
	munmap((void *)bytes, mailbox_length(vm->mailbox));
	held_end(&held);
}

static void test_bind(void)
{
	const struct kvm_userspace_memory_region2 *arguments;
	struct held held;
	struct call *call;
	const char *bytes;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	bytes = map(vm);
	CU_ASSERT_EQUAL_FATAL(
		call_new_bind(held_slot(vm, 0x10005, 7 * HELD_PAGE, 2 * HELD_PAGE,
				      held_memory(vm, 9 * HELD_PAGE, NULL), 4 * HELD_PAGE),
			31, &call),
		0);
	arguments = entry(bytes, call);
	CU_ASSERT_EQUAL(arguments->slot, 0x10005);
	CU_ASSERT_EQUAL(arguments->flags, KVM_MEM_GUEST_MEMFD);
	CU_ASSERT_EQUAL(arguments->guest_phys_addr, 7 * HELD_PAGE);
	CU_ASSERT_EQUAL(arguments->memory_size, 2 * HELD_PAGE);
	CU_ASSERT_EQUAL(arguments->guest_memfd, 31);
	CU_ASSERT_EQUAL(arguments->guest_memfd_offset, 4 * HELD_PAGE);
	CU_ASSERT_PTR_NULL(vm_call_of_create_entry(vm, call->entry));
	call_free(call);
	CU_ASSERT_EQUAL(arguments->flags, UINT32_MAX);
	munmap((void *)bytes, mailbox_length(vm->mailbox));
	held_end(&held);
}

static void test_own_memory_and_unbind(void)
{
	static const struct {
		uint64_t flags;
		uint32_t kernel;
	} rows[] = {{0, 0}, {SLOT_READONLY, KVM_MEM_READONLY},
		{SLOT_LOG_DIRTY_PAGES, KVM_MEM_LOG_DIRTY_PAGES},
		{SLOT_READONLY | SLOT_LOG_DIRTY_PAGES, KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES}};
	const struct kvm_userspace_memory_region2 *arguments;
	struct held held;
	struct slot *slot;
	struct call *call;
	const char *bytes;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	bytes = map(vm);
	slot = held_slot(vm, 3, 0, HELD_PAGE, NULL, 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slot->flags = rows[i].flags;
		CU_ASSERT_EQUAL_FATAL(call_new_bind(slot, 0, &call), 0);
		arguments = entry(bytes, call);
		UNIT_ASSERT_ROW(arguments->flags == rows[i].kernel, "row %zu", i);
		call_free(call);
	}
	CU_ASSERT_EQUAL_FATAL(call_new_unbind(slot, &call), 0);
	arguments = entry(bytes, call);
	CU_ASSERT_EQUAL(arguments->slot, 3);
	CU_ASSERT_EQUAL(arguments->memory_size, 0);
	CU_ASSERT_EQUAL(arguments->flags, 0);
	call_free(call);
	munmap((void *)bytes, mailbox_length(vm->mailbox));
	held_end(&held);
}

/* As many as there are entries; one more is refused, and there is room when one is done. */
static void test_room(void)
{
	struct held held;
	struct slot *slot;
	struct call *call, *first = NULL, *none = NULL;
	uint64_t last = 0;
	unsigned count = 0;
	struct vm *vm;

	held_init(&held);
	vm = held_vm(&held, 1, BUDGET_UNLIMITED);
	slot = held_slot(vm, 3, 0, HELD_PAGE, NULL, 0);
	while (count < 10000 && call_new_unbind(slot, &call) == 0) {
		CU_ASSERT_TRUE(call->id > last);
		last = call->id;
		first = first ? first : call;
		count++;
	}
	CU_ASSERT_EQUAL(
		count, mailbox_area(MAILBOX_SLOT).length / mailbox_area(MAILBOX_SLOT).stride);
	CU_ASSERT_EQUAL(call_new_bind(slot, 0, &none), -EBUSY);
	CU_ASSERT_PTR_NULL(none);
	/* Creations have entries of their own. */
	CU_ASSERT_EQUAL(call_new_create(held_memory(vm, HELD_PAGE, NULL), &call), 0);
	last = first->id;
	CU_ASSERT_PTR_NULL(call_free(first));
	CU_ASSERT_PTR_NULL(vm_call(vm, last));
	CU_ASSERT_EQUAL(call_new_bind(slot, 0, &call), 0);
	CU_ASSERT_TRUE(call->id > count);
	CU_ASSERT_PTR_NULL(call_free(NULL));
	held_end(&held);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"creations", test_create},
		{"bindings", test_bind},
		{"own memory and ends", test_own_memory_and_unbind},
		{"as many as may wait", test_room},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "calls", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
