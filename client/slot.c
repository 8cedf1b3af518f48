/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's slots. See gmem.h.
 */
#include <stdlib.h>

#include "client/memory.h"
#include "protocol/json.h"
#include "protocol/methods.h"

_Static_assert(GMEM_SLOT_READONLY == (unsigned)SLOT_READONLY, "flag");
_Static_assert(GMEM_SLOT_LOG_DIRTY_PAGES == (unsigned)SLOT_LOG_DIRTY_PAGES, "flag");

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
	if (slot->flags != 0)
		json_add_flags(object, "flags", slot->flags, slot_flag_names);
}

static struct json_object *bind_params(const struct gmem_vm *vm, const struct gmem_slot *slot)
{
	struct json_object *params = vm_params(vm);

	slot_describe(params, slot);
	if (slot->memory)
		json_add_uint(params, "guest_memfd", (uint64_t)slot->memory->fd);
	return params;
}

/* Without memory for it a gmemd that loses the VM is not told of the slot. */
static void note_bound(struct gmem_vm *vm, const struct gmem_slot *slot)
{
	struct bound_slot *bound = malloc(sizeof *bound);

	if (!bound)
		return;
	bound->slot = *slot;
	pthread_mutex_lock(&vm->gmem->turn);
	LIST_INSERT_HEAD(&vm->slots, bound, link);
	pthread_mutex_unlock(&vm->gmem->turn);
}

static void note_unbound(struct gmem_vm *vm, uint32_t slot)
{
	struct bound_slot *bound;

	pthread_mutex_lock(&vm->gmem->turn);
	LIST_FOREACH (bound, &vm->slots, link) {
		if (bound->slot.slot == slot)
			break;
	}
	if (bound)
		LIST_REMOVE(bound, link);
	pthread_mutex_unlock(&vm->gmem->turn);
	free(bound);
}

/* In a VM that is private from the start a slot's conversion follows its binding. */
static int slot_change(struct gmem_vm *vm, const char *method, struct json_object *take_params,
	bool *ret_converted)
{
	struct json_object *result, *convert;
	int r;

	r = connection_request(vm->gmem, method, take_params, NULL, &result);
	if (r < 0)
		return r;
	convert = json_get(result, "convert");
	*ret_converted = json_has(result, "convert");
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
	const struct gmem_range range = {slot->guest_phys_addr, slot->memory_size};
	bool converted = false;
	int r;

	r = slot_change(vm, "slot.bind", bind_params(vm, slot), &converted);
	if (r < 0)
		return r;
	note_bound(vm, slot);
	if (converted)
		vm_note_converted(vm, GMEM_PRIVATE, &range, 1);
	return 0;
}

int gmem_slot_unbind(struct gmem_vm *vm, uint32_t slot)
{
	struct json_object *params = vm_params(vm);
	bool converted = false;
	int r;

	json_add_uint(params, "slot", slot);
	r = slot_change(vm, "slot.unbind", params, &converted);
	if (r == 0)
		note_unbound(vm, slot);
	return r;
}
