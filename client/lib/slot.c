/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's slots. See gmem.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "client/lib/trigger.h"
#include "protocol/json.h"
#include "protocol/methods.h"

_Static_assert(GMEM_SLOT_READONLY == (unsigned)SLOT_READONLY, "flag");
_Static_assert(GMEM_SLOT_LOG_DIRTY_PAGES == (unsigned)SLOT_LOG_DIRTY_PAGES, "flag");

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
	connection_take_turn_anyway(vm->gmem);
	LIST_INSERT_HEAD(&vm->slots, bound, link);
	connection_leave_turn(vm->gmem);
}

static void note_unbound(struct gmem_vm *vm, uint32_t slot)
{
	struct bound_slot *bound;

	connection_take_turn_anyway(vm->gmem);
	LIST_FOREACH (bound, &vm->slots, link) {
		if (bound->slot.slot == slot)
			break;
	}
	if (bound)
		LIST_REMOVE(bound, link);
	connection_leave_turn(vm->gmem);
	free(bound);
}

/* What a slot.bind or slot.unbind is about. */
struct change {
	struct gmem_vm *vm;
	const struct gmem_slot *bound; /* NULL: unbound */
	uint32_t number;
};

static void note_change(const struct change *change)
{
	conversions_note_change(&change->vm->conversions);
	if (change->bound)
		note_bound(change->vm, change->bound);
	else
		note_unbound(change->vm, change->number);
}

static void note_private(const struct change *change)
{
	const struct gmem_range range = {
		change->bound->guest_phys_addr, change->bound->memory_size};

	conversions_note(&change->vm->conversions, GMEM_PRIVATE, &range, 1);
}

/* call may be NULL: then there is nothing to trigger. It is noted before it is reported: a gmemd
 * that loses the VM then is told of what there is. */
static int carry_out(const struct change *change, struct json_object *call,
	void (*note)(const struct change *change))
{
	uint64_t id;
	int r = call ? vm_trigger(change->vm, call, &id) : 0;

	if (r < 0)
		return r;
	note(change);
	return call ? vm_report(change->vm, call, NULL) : 0;
}

/* In a VM that is private from the start a slot's conversion follows its binding. */
static int change_slot(
	const struct change *change, const char *method, struct json_object *take_params)
{
	struct json_object *result, *convert;
	int r;

	r = connection_request(change->vm->gmem, method, take_params, NULL, &result);
	if (r < 0)
		return r;
	convert = json_get(result, "convert");
	r = carry_out(change, json_get(result, "call"), note_change);
	if (r == 0 && json_has(result, "convert"))
		r = carry_out(change, convert, note_private);
	else if (convert)
		vm_report_untouched(change->vm, convert);
	json_unref(result);
	return r;
}

/* A gmemd that was told of the VM between what is written for this thread and what comes of it
 * would take the slot for what it was, and the entry for another's. */
static int change_in_turn(
	const struct change *change, const char *method, struct json_object *take_params)
{
	struct gmem *gmem = change->vm->gmem;
	int r = connection_take_turn(gmem);

	if (r < 0) {
		json_unref(take_params);
		return r;
	}
	r = change_slot(change, method, take_params);
	connection_leave_turn(gmem);
	return r;
}

static int check_flags(const struct gmem_slot *slot)
{
	if (slot->flags & ~(GMEM_SLOT_READONLY | GMEM_SLOT_LOG_DIRTY_PAGES))
		return last_error_own(-EINVAL,
			"flags must be of GMEM_SLOT_READONLY and GMEM_SLOT_LOG_DIRTY_PAGES");
	return 0;
}

int gmem_slot_bind(struct gmem_vm *vm, const struct gmem_slot *slot)
{
	const struct change change = {.vm = vm, .bound = slot};
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = check_flags(slot);
	if (r == 0)
		r = change_in_turn(&change, "slot.bind", bind_params(vm, slot));
	return last_error_complete(r, "binding a slot");
}

int gmem_slot_unbind(struct gmem_vm *vm, uint32_t slot)
{
	const struct change change = {.vm = vm, .number = slot};
	struct json_object *params;
	int r = connection_enter(vm->gmem);

	if (r < 0)
		return r;
	params = vm_params(vm);
	json_add_uint(params, "slot", slot);
	r = change_in_turn(&change, "slot.unbind", params);
	return last_error_complete(r, "unbinding a slot");
}
