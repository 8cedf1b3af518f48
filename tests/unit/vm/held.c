/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A registry of VMs for tests. See held.h.
 */
#include "tests/unit/vm/held.h"

#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_new.h"
#include "tests/lib/unit.h"

const struct config held_config = {.vms_per_user = HELD_VMS,
	.memories_per_user = HELD_VMS * HELD_MEMORIES,
	.memories_per_vm = HELD_MEMORIES,
	.slots_per_vm = HELD_SLOTS,
	.private_ranges_per_vm = HELD_PRIVATE_RANGES};

void held_init_with(struct held *held, const struct config *config)
{
	const struct capacity_request capacity = {.total = HELD_HOST};

	*held = (struct held){
		.config = *config,
		.host = {.page_size = HELD_PAGE},
		.fds = unit_open_fds(),
	};
	CU_ASSERT_EQUAL_FATAL(owners_new(&held->config, &held->owners), 0);
	CU_ASSERT_EQUAL_FATAL(capacity_init(&held->capacity, &capacity, NULL, 0), 0);
	registry_init(&held->registry, &backend_kvm, &held->config, &held->host, held->owners,
		&held->capacity);
}

void held_init(struct held *held)
{
	held_init_with(held, &held_config);
}

void held_end(struct held *held)
{
	vms_free(&held->registry);
	tenants_clear(&held->registry.tenants);
	CU_ASSERT_TRUE(RB_EMPTY(&held->registry.tenants.all));
	CU_ASSERT_EQUAL(held->capacity.host.committed, 0);
	CU_ASSERT_EQUAL(held->capacity.host.promised, 0);
	capacity_clear(&held->capacity);
	CU_ASSERT_TRUE(RB_EMPTY(&held->registry.memories));
	CU_ASSERT_TRUE(RB_EMPTY(&held->registry.memory_files));
	CU_ASSERT_TRUE(RB_EMPTY(&held->registry.vms_by_process));
	CU_ASSERT_FALSE(owners_any(held->owners));
	CU_ASSERT_PTR_NULL(owners_free(held->owners));
	CU_ASSERT_EQUAL(unit_open_fds(), held->fds);
}

int held_vm_new(struct held *held, pid_t pid, uint64_t commit_limit, struct vm **ret)
{
	struct process process = {.identity = (uint64_t)pid,
		.pid = pid,
		.uid = HELD_USER_UID,
		.pidfd = pidfd_open(getpid(), 0)};
	struct owner_name name = {.uid = HELD_USER_UID};
	struct vm_request request = {.name = "vm", .commit_limit = commit_limit};
	int r;

	CU_ASSERT_EQUAL_FATAL(owner_get(held->owners, &name, &request.opener), 0);
	r = vm_new(&held->registry, &process, &request, ret);
	owner_unref(request.opener);
	process_release(&process);
	return r;
}

struct vm *held_vm(struct held *held, pid_t pid, uint64_t commit_limit)
{
	struct vm *vm = NULL;

	CU_ASSERT_EQUAL_FATAL(held_vm_new(held, pid, commit_limit, &vm), 0);
	return vm;
}

struct memory *held_memory(struct vm *vm, uint64_t size, const char *name)
{
	struct memory_request request = {.name = name,
		.size = size,
		.backing = BACKING_GUEST_MEMFD,
		.flags = MEMORY_MMAP,
		.node = NODE_ANY};
	const struct budget *refused = NULL;
	struct memory *memory = NULL;
	uint64_t requested;

	CU_ASSERT_EQUAL(memory_new(vm, &request, &memory, &refused, &requested), 0);
	CU_ASSERT_PTR_NULL(refused);
	return memory;
}

struct slot *held_slot(struct vm *vm, uint32_t number, uint64_t address, uint64_t size,
	struct memory *memory, uint64_t offset)
{
	struct slot_request request = {
		.number = number,
		.guest_phys_addr = address,
		.memory_size = size,
		.memory = memory,
		.guest_memfd_offset = offset,
	};
	struct slot *slot = NULL;

	CU_ASSERT_EQUAL(slot_new(vm, &request, &slot), 0);
	return slot;
}
