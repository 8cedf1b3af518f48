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
_Static_assert(GMEM_SLOT_CHANGES_MAX == SLOT_CHANGES_MAX, "limit");

/* As slot.bind has it, but for the VM. */
static void bind_describe(struct json_object *params, const struct gmem_slot *slot)
{
	const struct slot_memories memories = slot_memories(slot);

	slot_describe(params, slot, &memories);
	if (slot->memory && !(slot->flags & GMEM_SLOT_THROUGH_MAPPING))
		json_add_uint(params, "guest_memfd", (uint64_t)slot->memory->fd);
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

/* Without memory for it a gmemd that loses the VM is not told of the slot. One of that number there
 * is where its flags have been changed. */
static void note_bound(struct gmem_vm *vm, const struct gmem_slot *slot)
{
	struct bound_slot *bound = malloc(sizeof *bound);

	note_unbound(vm, slot->slot);
	if (!bound)
		return;
	bound->slot = *slot;
	bound->memories = slot_memories(slot);
	connection_take_turn_anyway(vm->gmem);
	LIST_INSERT_HEAD(&vm->slots, bound, link);
	connection_leave_turn(vm->gmem);
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

	if (r == 0)
		note(change);
	return r;
}

static int report(struct gmem_vm *vm, struct json_object *call)
{
	return call ? vm_report(vm, call) : 0;
}

/* Reported once all of it is done: a report may have to connect again, and then what is not carried
 * out yet is of a gmemd that is gone. */
static int bind_and_convert(
	const struct change *change, struct json_object *call, struct json_object *convert)
{
	int r = carry_out(change, call, note_change), converted, reported;

	if (r < 0) {
		if (convert)
			vm_report_untouched(change->vm, convert);
		return r;
	}
	converted = carry_out(change, convert, note_private);
	r = report(change->vm, call);
	reported = converted == 0 ? report(change->vm, convert) : converted;
	return r < 0 ? r : reported;
}

/* In a VM that is private from the start a slot's conversion follows its binding. */
static int change_slot(
	const struct change *change, const char *method, struct json_object *take_params)
{
	struct json_object *result, *call;
	int r;

	r = vm_request_call(change->vm, method, take_params, NULL, &result);
	if (r < 0)
		return r;
	call = json_get(result, "call");
	if (json_has(result, "convert"))
		r = bind_and_convert(change, call, json_get(result, "convert"));
	else if ((r = carry_out(change, call, note_change)) == 0)
		r = report(change->vm, call);
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
	if (slot->flags &
		~(GMEM_SLOT_READONLY | GMEM_SLOT_LOG_DIRTY_PAGES | GMEM_SLOT_THROUGH_MAPPING))
		return last_error_own(-EINVAL,
			"flags must be of GMEM_SLOT_READONLY, GMEM_SLOT_LOG_DIRTY_PAGES and "
			"GMEM_SLOT_THROUGH_MAPPING");
	return 0;
}

int gmem_slot_bind(struct gmem_vm *vm, const struct gmem_slot *slot)
{
	const struct change change = {.vm = vm, .bound = slot};
	struct json_object *params;
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = check_flags(slot);
	if (r < 0)
		return last_error_complete(r, "binding a slot");
	params = vm_params(vm);
	bind_describe(params, slot);
	r = change_in_turn(&change, "slot.bind", params);
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

/* Several at once */

struct changes {
	struct gmem_vm *vm;
	const struct gmem_slot_change *changes;
	size_t count;
	const struct gmem_slot_hold *hold; /* NULL: none */
	size_t done;
	size_t converted; /* of calls, behind the first */
};

static struct json_object *changes_params(const struct changes *changes)
{
	struct json_object *params = vm_params(changes->vm);
	struct json_object *list = json_add_array(params, "changes");

	for (size_t i = 0; i < changes->count; i++) {
		const struct gmem_slot_change *change = &changes->changes[i];
		struct json_object *item = json_append_object(list);

		if (change->bind)
			bind_describe(json_add_object(item, "bind"), change->bind);
		else
			json_add_uint(item, "unbind", change->unbind);
	}
	return params;
}

static void note_next(void *context)
{
	struct changes *changes = context;
	const struct gmem_slot_change *next = &changes->changes[changes->done++];
	const struct change change = {
		.vm = changes->vm, .bound = next->bind, .number = next->unbind};

	note_change(&change);
}

static int trigger_held(struct changes *changes, struct json_object *call)
{
	const struct trigger_notes notes = {note_next, changes};
	const struct gmem_slot_hold *hold = changes->hold;
	uint64_t id;
	int r;

	if (hold)
		hold->begin(hold->context);
	r = vm_trigger_each(changes->vm, call, &notes, &id);
	if (hold)
		hold->end(hold->context);
	return r;
}

/* What makes newly bound memory private, in their order; the steps whose memory that is come in the
 * same one. */
static int convert_bound(struct changes *changes, struct json_object *calls)
{
	size_t next = 1;
	int r = 0;

	for (size_t i = 0; i < changes->count && next < json_length(calls); i++) {
		const struct change change = {.vm = changes->vm, .bound = changes->changes[i].bind};
		struct json_object *call = json_at(calls, next);

		if (!change.bound || !change.bound->memory ||
			change.bound->flags & GMEM_SLOT_THROUGH_MAPPING)
			continue;
		next++;
		if (r == 0)
			r = carry_out(&change, call, note_private);
		if (r == 0)
			changes->converted++;
	}
	return r;
}

/* Those behind one that failed were not touched. */
static int report_changes(struct changes *changes, struct json_object *calls, bool all)
{
	size_t reached = 1 + changes->converted;
	int r = vm_report(changes->vm, json_at(calls, 0));

	for (size_t i = 1; i < reached; i++) {
		int one = vm_report(changes->vm, json_at(calls, i));

		r = r < 0 ? r : one;
	}
	for (size_t i = reached + !all; i < json_length(calls); i++)
		vm_report_untouched(changes->vm, json_at(calls, i));
	return r;
}

static void report_rest_untouched(struct changes *changes, struct json_object *calls)
{
	for (size_t i = 1; i < json_length(calls); i++)
		vm_report_untouched(changes->vm, json_at(calls, i));
}

static int carry_out_changes(struct changes *changes, struct json_object *calls)
{
	struct json_object *call = json_at(calls, 0);
	uint64_t count;
	int r, converted;

	if (!json_get_uint(call, "count", &count) || count != changes->count)
		return last_error_own(-EPROTO, "gmemd has not an entry for each change");
	r = trigger_held(changes, call);
	if (r < 0) {
		report_rest_untouched(changes, calls);
		return r;
	}
	converted = convert_bound(changes, calls);
	r = report_changes(changes, calls, converted == 0);
	return r < 0 ? r : converted;
}

static int change_slots(struct changes *changes)
{
	struct json_object *result, *calls;
	int r = vm_request_call(changes->vm, "slot.change", changes_params(changes), NULL, &result);

	if (r < 0)
		return r;
	calls = json_get(result, "calls");
	if (json_length(calls) > 0)
		r = carry_out_changes(changes, calls);
	while (json_length(calls) == 0 && changes->done < changes->count)
		note_next(changes);
	json_unref(result);
	return r;
}

static int check_changes(const struct changes *changes)
{
	int r = 0;

	if (changes->count == 0)
		return last_error_own(-EINVAL, "count must be at least 1");
	if (changes->count > GMEM_SLOT_CHANGES_MAX)
		return last_error_own(-E2BIG, "count must be at most %d", GMEM_SLOT_CHANGES_MAX);
	for (size_t i = 0; r == 0 && i < changes->count; i++)
		r = changes->changes[i].bind ? check_flags(changes->changes[i].bind) : 0;
	return r;
}

int gmem_slot_change(struct gmem_vm *vm, const struct gmem_slot_change *changes, size_t count,
	const struct gmem_slot_hold *hold, size_t *ret_done)
{
	struct changes all = {.vm = vm, .changes = changes, .count = count, .hold = hold};
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = check_changes(&all);
	if (r == 0)
		r = connection_take_turn(vm->gmem);
	if (r == 0) {
		r = change_slots(&all);
		connection_leave_turn(vm->gmem);
	}
	if (ret_done)
		*ret_done = all.done;
	return last_error_complete(r, "changing slots");
}
