/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must be so of a VM. See check_vm.h.
 */
#include "tests/fuzz/check_vm.h"

#include <event2/event.h>

#include "daemon/vm/call.h"
#include "daemon/vm/memory.h"
#include "daemon/vm/slot.h"
#include "tests/fuzz/fuzz.h"

static void say_nothing(int severity, const char *message)
{
	(void)severity;
	(void)message;
}

/* What is watched has no loop here, of which libevent warns each time. */
__attribute__((constructor)) static void silence_libevent(void)
{
	event_set_log_callback(say_nothing);
}

static void check_memories(struct vm *vm)
{
	struct memory *memory;
	uint64_t sizes = 0;
	unsigned count = 0;

	RB_FOREACH (memory, memory_tree, &vm->memories) {
		FUZZ_CHECK((memory->fd >= 0) == (memory->state != OBJECT_PENDING));
		FUZZ_CHECK(registry_memory(vm->registry, memory->id) == memory);
		sizes += memory->size;
		count++;
	}
	FUZZ_CHECK(count == vm->n_memories);
	RB_FOREACH (memory, memory_tree, &vm->closed) {
		FUZZ_CHECK(memory->fd >= 0 && memory->state == OBJECT_CLOSED);
		FUZZ_CHECK(!registry_memory(vm->registry, memory->id));
		sizes += memory->size;
	}
	FUZZ_CHECK(vm->budget.committed <= sizes);
}

/* All are in one address space. */
static void check_slot(struct vm *vm, const struct slot *slot)
{
	uint64_t end = slot->guest_phys_addr + slot->memory_size;
	const struct memory *memory = slot->named;
	const struct slot *next = vm_slot_at_or_after(vm, end);

	FUZZ_CHECK(slot->memory_size > 0 && end > slot->guest_phys_addr);
	FUZZ_CHECK(!slot->leaving && (slot->named || !slot->showing) && slot_vm(slot) == vm);
	FUZZ_CHECK(vm_slot_at_or_after(vm, slot->guest_phys_addr) == slot);
	FUZZ_CHECK(!next || next->guest_phys_addr >= end);
	FUZZ_CHECK(
		!memory || (memory->vm == vm && memory->n_slots > 0 &&
				   slot->guest_memfd_offset + slot->memory_size <= memory->size));
}

void check_vm(struct vm *vm)
{
	struct call *call;
	uint64_t own = 0;
	unsigned count = 0;

	check_memories(vm);
	EACH_SLOT (slot, vm) {
		check_slot(vm, slot);
		own += slot_is_own(slot) ? slot->memory_size : 0;
		count++;
	}
	FUZZ_CHECK(count == vm->n_slots && own == vm->own_memory);
	EACH_LEAVING_SLOT (slot, vm)
		FUZZ_CHECK(slot->leaving && slot->change && slot->state == OBJECT_CLOSING);
	TAILQ_FOREACH (call, &vm->calls, link)
		FUZZ_CHECK(call->count > 0 && call->vm == vm);
}
