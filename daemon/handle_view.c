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

/* Bytes of an answer that its lists may take, and what an object of each takes at most. */
#define VIEW_BYTES_MAX 60000
#define MEMORY_BYTES   480
#define SLOT_BYTES     500
#define RANGE_BYTES    80
#define CALL_BYTES     180

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
	if (slot->shared_memory) {
		json_add_uint(object, "shared_memory", slot->shared_memory->id);
		json_add_uint(object, "shared_offset", slot->shared_offset);
	}
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

/* One answer's part of what there is to see of a VM: its lists one after the other. */
enum view_list { VIEW_MEMORIES, VIEW_SLOTS, VIEW_PRIVATE_RANGES, VIEW_CALLS, VIEW_LISTS };

struct view {
	struct vm *vm;
	enum view_list list; /* the one that it begins in */
	uint64_t from;       /* and the first number there */
	size_t room;         /* in bytes */
};

static bool fits(struct view *view, size_t bytes)
{
	if (bytes > view->room)
		return false;
	view->room -= bytes;
	return true;
}

/* Each adds what there is from a number on. False where there is no room; then *next is the first
 * that is missing. */
static bool view_memories(struct view *view, struct json_object *list, uint64_t *next)
{
	struct memory *memory;

	while ((memory = vm_memory_from(view->vm, *next))) {
		*next = memory->id;
		if (!fits(view, MEMORY_BYTES))
			return false;
		describe_memory(json_append_object(list), memory);
		*next = memory->id + 1;
	}
	return true;
}

static bool view_slots(struct view *view, struct json_object *list, uint64_t *next)
{
	struct slot *slot = vm_slot_from(view->vm, *next);

	for (; slot; slot = RB_NEXT(slot_tree, _, slot)) {
		*next = slot->number;
		if (!fits(view, SLOT_BYTES))
			return false;
		describe_slot(json_append_object(list), slot);
	}
	return true;
}

static bool view_private_ranges(struct view *view, struct json_object *list, uint64_t *next)
{
	const struct range *range = ranges_from(&view->vm->private_ranges, *next);

	for (; range; range = ranges_next(range)) {
		struct json_object *object;

		*next = range->start;
		if (!fits(view, RANGE_BYTES))
			return false;
		object = json_append_object(list);
		json_add_uint(object, "guest_phys_addr", range->start);
		json_add_uint(object, "size", range->end - range->start);
	}
	return true;
}

static bool view_calls(struct view *view, struct json_object *list, uint64_t *next)
{
	struct call *call = vm_call_from(view->vm, *next);

	for (; call; call = TAILQ_NEXT(call, link)) {
		*next = call->id;
		if (!fits(view, CALL_BYTES))
			return false;
		describe_call(json_append_object(list), call);
	}
	return true;
}

static const struct {
	const char *member;
	const char *word; /* in a cursor */
	bool (*view)(struct view *view, struct json_object *list, uint64_t *next);
} view_lists[VIEW_LISTS] = {
	[VIEW_MEMORIES] = {"memories", "memory", view_memories},
	[VIEW_SLOTS] = {"slots", "slot", view_slots},
	[VIEW_PRIVATE_RANGES] = {"private_ranges", "private", view_private_ranges},
	[VIEW_CALLS] = {"calls", "call", view_calls},
};

static bool view_read(const char *cursor, struct view *view)
{
	for (view->list = 0; cursor && view->list < VIEW_LISTS; view->list++) {
		if (cursor_read(cursor, view_lists[view->list].word, &view->from))
			return true;
	}
	return !cursor;
}

static void view_add(struct json_object *result, struct view *view)
{
	bool full = false;

	for (enum view_list list = 0; list < VIEW_LISTS; list++) {
		struct json_object *array = json_add_array(result, view_lists[list].member);
		uint64_t next = list == view->list ? view->from : 0;

		if (full || list < view->list || view_lists[list].view(view, array, &next))
			continue;
		cursor_add(result, view_lists[list].word, next);
		full = true;
	}
}

int handle_vm_get(struct request *request)
{
	const struct vm_get_parameters *parameters = &request->parameters.vm_get;
	struct view view = {.room = VIEW_BYTES_MAX};

	view.vm = registry_vm_by_id(&request->gmemd->registry, parameters->vm);
	if (!view.vm || !caller_sees_vm(request->caller, view.vm))
		return rpc_error_not_found(&request->error, "vm", parameters->vm);
	if (!view_read(parameters->cursor, &view))
		return cursor_error(request);
	describe_vm(request->result, view.vm);
	view_add(request->result, &view);
	return 0;
}
