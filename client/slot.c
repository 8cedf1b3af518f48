/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's slots. See gmem.h.
 */
#include "client/memory.h"
#include "protocol/json.h"
#include "protocol/methods.h"

_Static_assert(GMEM_SLOT_READONLY == (unsigned)SLOT_READONLY, "flag");
_Static_assert(GMEM_SLOT_LOG_DIRTY_PAGES == (unsigned)SLOT_LOG_DIRTY_PAGES, "flag");

static struct json_object *bind_params(const struct gmem_vm *vm, const struct gmem_slot *slot)
{
	struct json_object *params = vm_params(vm);

	json_add_uint(params, "slot", slot->slot);
	json_add_uint(params, "guest_phys_addr", slot->guest_phys_addr);
	json_add_uint(params, "memory_size", slot->memory_size);
	json_add_uint(params, "userspace_addr", slot->userspace_addr);
	if (slot->memory) {
		json_add_uint(params, "memory", slot->memory->id);
		json_add_uint(params, "guest_memfd_offset", slot->guest_memfd_offset);
		json_add_uint(params, "guest_memfd", (uint64_t)slot->memory->fd);
	} else {
		json_add_null(params, "memory");
	}
	if (slot->shared_memory) {
		json_add_uint(params, "shared_memory", slot->shared_memory->id);
		json_add_uint(params, "shared_offset", slot->shared_offset);
	}
	if (slot->flags != 0)
		json_add_flags(params, "flags", slot->flags, slot_flag_names);
	return params;
}

/* In a VM that is private from the start a slot's conversion follows its binding. */
static int slot_change(struct gmem_vm *vm, const char *method, struct json_object *take_params)
{
	struct json_object *result, *convert;
	int r;

	r = connection_request(vm->gmem, method, take_params, NULL, &result);
	if (r < 0)
		return r;
	convert = json_get(result, "convert");
	r = vm_carry_out(vm, json_get(result, "call"), NULL);
	if (r == 0)
		r = vm_carry_out(vm, convert, NULL);
	else if (convert)
		vm_report_untouched(vm, convert);
	json_unref(result);
	return r;
}

int gmem_slot_bind(struct gmem_vm *vm, const struct gmem_slot *slot)
{
	return slot_change(vm, "slot.bind", bind_params(vm, slot));
}

int gmem_slot_unbind(struct gmem_vm *vm, uint32_t slot)
{
	struct json_object *params = vm_params(vm);

	json_add_uint(params, "slot", slot);
	return slot_change(vm, "slot.unbind", params);
}
