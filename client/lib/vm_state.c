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

void slot_describe(struct json_object *object, const struct gmem_slot *slot)
{
	json_add_uint(object, "slot", slot->slot);
	json_add_uint(object, "guest_phys_addr", slot->guest_phys_addr);
	json_add_uint(object, "memory_size", slot->memory_size);
	json_add_uint(object, "userspace_addr", slot->userspace_addr);
	if (slot->memory) {
		json_add_uint(object, "memory", slot->memory->id);
		json_add_uint(object, "guest_memfd_offset", slot->guest_memfd_offset);
	} else {
		json_add_null(object, "memory");
	}
	if (slot->shared_memory) {
		json_add_uint(object, "shared_memory", slot->shared_memory->id);
		json_add_uint(object, "shared_offset", slot->shared_offset);
	}
	if (slot->flags & ~GMEM_SLOT_THROUGH_MAPPING)
		json_add_flags(
			object, "flags", slot->flags & ~GMEM_SLOT_THROUGH_MAPPING, slot_flag_names);
	if (slot->flags & GMEM_SLOT_THROUGH_MAPPING)
		json_add_string(object, "through", slot_through_names[THROUGH_MAPPING]);
}

/* Without memory for it a gmemd that loses the VM takes them for shared. */
void vm_note_converted(
	struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges, size_t count)
{
	connection_take_turn_anyway(vm->gmem);
	for (size_t i = 0; i < count; i++) {
		if (to == GMEM_PRIVATE)
			ranges_add(&vm->private_ranges, ranges[i].guest_phys_addr, ranges[i].size);
		else
			ranges_remove(
				&vm->private_ranges, ranges[i].guest_phys_addr, ranges[i].size);
	}
	connection_leave_turn(vm->gmem);
}

int vm_check_range_count(size_t count)
{
	if (count == 0)
		return last_error_own(-EINVAL, "count must be at least 1");
	if (count > GMEM_RANGES_MAX)
		return last_error_own(-E2BIG, "count must be at most %d", GMEM_RANGES_MAX);
	return 0;
}
