/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM and what it has. See vm_state.h.
 */
#include "client/lib/vm_state.h"

#include <errno.h>

#include "client/lib/last_error.h"
#include "protocol/json.h"
#include "protocol/methods.h"

struct json_object *vm_params(const struct gmem_vm *vm)
{
	struct json_object *params = json_new_object();

	json_add_string(params, "vm", vm->opening.id);
	return params;
}

void vm_map_report_page(struct gmem_vm *vm, int fd)
{
	struct report_page *page = vm_report_page(vm);
	int r;

	if (fd < 0)
		return;
	if (page)
		r = report_page_map_again(page, fd);
	else
		r = report_page_map(fd, &page);
	/* What is mapped may be written amid this, and stays. */
	__atomic_store_n(&vm->report_page, r < 0 ? NULL : page, __ATOMIC_RELEASE);
}

struct report_page *vm_report_page(const struct gmem_vm *vm)
{
	return __atomic_load_n(&vm->report_page, __ATOMIC_ACQUIRE);
}

const struct gmem_memory *vm_memory(const struct gmem_vm *vm, uint64_t id)
{
	const struct gmem_memory *memory;

	LIST_FOREACH (memory, &vm->memories, link) {
		if (memory->id == id)
			break;
	}
	return memory;
}

struct slot_memories slot_memories(const struct gmem_slot *slot)
{
	return (struct slot_memories){
		.memory = slot->memory ? slot->memory->id : 0,
		.shared_memory = slot->shared_memory ? slot->shared_memory->id : 0,
	};
}

void slot_describe(struct json_object *object, const struct gmem_slot *slot,
	const struct slot_memories *memories)
{
	json_add_uint(object, "slot", slot->slot);
	json_add_uint(object, "guest_phys_addr", slot->guest_phys_addr);
	json_add_uint(object, "memory_size", slot->memory_size);
	json_add_uint(object, "userspace_addr", slot->userspace_addr);
	if (memories->memory > 0) {
		json_add_uint(object, "memory", memories->memory);
		json_add_uint(object, "guest_memfd_offset", slot->guest_memfd_offset);
	} else {
		json_add_null(object, "memory");
	}
	if (memories->shared_memory > 0) {
		json_add_uint(object, "shared_memory", memories->shared_memory);
		json_add_uint(object, "shared_offset", slot->shared_offset);
	}
	if (slot->flags & ~GMEM_SLOT_THROUGH_MAPPING)
		json_add_flags(
			object, "flags", slot->flags & ~GMEM_SLOT_THROUGH_MAPPING, slot_flag_names);
	if (slot->flags & GMEM_SLOT_THROUGH_MAPPING)
		json_add_string(object, "through", slot_through_names[THROUGH_MAPPING]);
}

int vm_check_range_count(size_t count)
{
	if (count == 0)
		return last_error_own(-EINVAL, "count must be at least 1");
	if (count > GMEM_RANGES_MAX)
		return last_error_own(-E2BIG, "count must be at most %d", GMEM_RANGES_MAX);
	return 0;
}
