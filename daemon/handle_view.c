/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.list and vm.get: what a peer may see, in pages that fit a packet.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/handler.h"
#include "protocol/json.h"

/* Memories and slots of one answer, at most: each takes up to 600 bytes, a VM's calls up to 15,000.
 */
#define VIEW_OBJECTS_MAX 64

static const char *vm_state_name(enum vm_state state)
{
	switch (state) {
	case VM_OPENING:
		return "opening";
	case VM_RUNNING:
		return "running";
	case VM_RELEASED:
		break;
	}
	return "released";
}

static const char *gate_state_name(enum vm_gate_state state)
{
	switch (state) {
	case VM_GATE_NONE:
		return "none";
	case VM_GATE_PENDING:
		return "pending";
	case VM_GATE_ACTIVE:
		break;
	}
	return "active";
}

/* ready: what an object of this kind is called that is there. */
static const char *object_state_name(enum object_state state, const char *ready)
{
	switch (state) {
	case OBJECT_PENDING:
		return "pending";
	case OBJECT_READY:
		return ready;
	case OBJECT_CLOSING:
		break;
	}
	return "closing";
}

static void describe_vm(struct json_object *object, const struct vm *vm)
{
	char tenant[32];

	snprintf(tenant, sizeof tenant, "uid:%u", vm->process.uid);
	json_add_string(object, "vm", vm->id);
	json_add_string(object, "name", vm->name);
	json_add_string(object, "uuid", vm->uuid);
	json_add_string(object, "tenant", tenant);
	json_add_uint(object, "pid", (uint64_t)vm->process.pid);
	json_add_string(object, "state", vm_state_name(vm->state));
	json_add_string(object, "gate", gate_state_name(vm->gate));
	json_add_uint(object, "committed", vm->budget.committed);
	json_add_uint(object, "resident", vm_resident(vm));
}

static void describe_memory(struct json_object *object, const struct memory *memory)
{
	json_add_uint(object, "memory", memory->id);
	json_add_string(object, "name", memory->name);
	json_add_uint(object, "size", memory->size);
	json_add_string(object, "backing", backing_names[memory->backing]);
	json_add_flags(object, "flags", memory->flags, memory_flag_names);
	json_add_null(object, "node");
	json_add_string(object, "state", object_state_name(memory->state, "ready"));
	json_add_uint(object, "resident", memory_resident(memory));
}

static void describe_slot(struct json_object *object, const struct slot *slot)
{
	json_add_uint(object, "slot", slot->number);
	json_add_uint(object, "guest_phys_addr", slot->guest_phys_addr);
	json_add_uint(object, "memory_size", slot->memory_size);
	json_add_uint(object, "userspace_addr", slot->userspace_addr);
	if (slot->memory)
		json_add_uint(object, "memory", slot->memory->id);
	else
		json_add_null(object, "memory");
	json_add_uint(object, "guest_memfd_offset", slot->guest_memfd_offset);
	json_add_flags(object, "flags", slot->flags, slot_flag_names);
	json_add_string(object, "state", object_state_name(slot->state, "bound"));
}

static int cursor_error(struct request *request)
{
	return rpc_error_invalid_param(
		&request->error, "cursor", "the cursor of an earlier answer");
}

/* A cursor is "WORD:NUMBER": the number that the next page begins behind or at. */
#define CURSOR_SIZE 64

static void cursor_write(char *ret, const char *word, uint64_t number)
{
	snprintf(ret, CURSOR_SIZE, "%s:%" PRIu64, word, number);
}

/* False where it is none that cursor_write() has written. */
static bool cursor_read(const char *cursor, const char *word, uint64_t *ret)
{
	size_t length = strlen(word);
	char again[CURSOR_SIZE];
	uint64_t number;

	if (strncmp(cursor, word, length) != 0 || cursor[length] != ':')
		return false;
	if (sscanf(cursor + length + 1, "%" SCNu64, &number) != 1)
		return false;
	cursor_write(again, word, number);
	if (strcmp(again, cursor) != 0)
		return false;
	*ret = number;
	return true;
}

static void cursor_add(struct json_object *result, const char *word, uint64_t number)
{
	char cursor[CURSOR_SIZE];

	cursor_write(cursor, word, number);
	json_add_string(result, "cursor", cursor);
}

int handle_vm_list(struct request *request)
{
	const struct vm_list_parameters *parameters = &request->parameters.vm_list;
	struct registry *registry = &request->gmemd->registry;
	struct json_object *list = json_add_array(request->result, "vms");
	struct vm key = {.number = 0};
	uint64_t listed = 0;
	struct vm *vm;

	if (parameters->cursor && !cursor_read(parameters->cursor, "vm", &key.number))
		return cursor_error(request);
	for (vm = RB_NFIND(vm_tree, &registry->vms, &key); vm; vm = RB_NEXT(vm_tree, _, vm)) {
		if (!caller_sees_vm(request->caller, vm))
			continue;
		if (listed == parameters->limit) {
			cursor_add(request->result, "vm", vm->number);
			break;
		}
		describe_vm(json_append_object(list), vm);
		listed++;
	}
	return 0;
}

struct view {
	uint64_t after_memory; /* FIELD_UNSET: all memories have been shown */
	uint64_t from_slot;
	unsigned room;
};

static bool view_read(const char *cursor, struct view *ret)
{
	*ret = (struct view){.room = VIEW_OBJECTS_MAX};
	if (!cursor || cursor_read(cursor, "memory", &ret->after_memory))
		return true;
	ret->after_memory = FIELD_UNSET;
	return cursor_read(cursor, "slot", &ret->from_slot);
}

/* False where the page is full; then the cursor is set. */
static bool view_memories(struct json_object *result, struct vm *vm, struct view *view)
{
	struct json_object *list = json_add_array(result, "memories");
	struct memory *memory;

	while (view->after_memory != FIELD_UNSET &&
		(memory = vm_memory_after(vm, view->after_memory))) {
		if (view->room-- == 0) {
			cursor_add(result, "memory", view->after_memory);
			return false;
		}
		describe_memory(json_append_object(list), memory);
		view->after_memory = memory->id;
	}
	return true;
}

static void view_slots(
	struct json_object *result, struct json_object *list, struct vm *vm, struct view *view)
{
	struct slot *slot;

	for (slot = vm_slot_from(vm, view->from_slot); slot;
		slot = RB_NEXT(slot_tree, &vm->slots, slot)) {
		if (view->room-- == 0) {
			cursor_add(result, "slot", slot->number);
			return;
		}
		describe_slot(json_append_object(list), slot);
	}
}

int handle_vm_get(struct request *request)
{
	const struct vm_get_parameters *parameters = &request->parameters.vm_get;
	struct vm *vm = registry_vm_by_id(&request->gmemd->registry, parameters->vm);
	struct json_object *slots, *calls;
	struct call *call;
	struct view view;

	if (!vm || !caller_sees_vm(request->caller, vm))
		return rpc_error_not_found(&request->error, "vm", parameters->vm);
	if (!view_read(parameters->cursor, &view))
		return cursor_error(request);
	describe_vm(request->result, vm);
	if (view_memories(request->result, vm, &view)) {
		slots = json_add_array(request->result, "slots");
		view_slots(request->result, slots, vm, &view);
	} else {
		json_add_array(request->result, "slots");
	}
	json_add_array(request->result, "private_ranges");
	calls = json_add_array(request->result, "calls");
	if (parameters->cursor)
		return 0;
	TAILQ_FOREACH (call, &vm->calls, link)
		describe_call(json_append_object(calls), call);
	return 0;
}
