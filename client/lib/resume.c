/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling gmemd of the VM. See resume.h.
 */
#include "client/lib/resume.h"

#include <errno.h>
#include <string.h>

#include "client/lib/exchange.h"
#include "client/lib/last_error.h"
#include "protocol/json.h"
#include "protocol/methods.h"

/* Of one packet. */
#define SLOTS_TOLD  128
#define RANGES_TOLD 512

/* Where it is in what there is to tell. */
struct telling {
	struct gmem_vm *vm;
	const struct gmem_memory *memory;
	const struct bound_slot *slot;
	uint64_t told_to[CONVERSIONS_SETS]; /* of each set's ranges */
	bool ranges_left;
};

static void tell_memories(struct telling *telling, struct json_object *params)
{
	struct json_object *list = json_add_array(params, "memories");

	for (size_t i = 0; telling->memory && i < RESUMED_MEMORIES_MAX; i++) {
		const struct gmem_memory *memory = telling->memory;
		struct json_object *object = json_append_object(list);

		json_add_uint(object, "memory", memory->id);
		json_add_uint(object, "fd", (uint64_t)memory->fd);
		if (memory->name)
			json_add_string(object, "name", memory->name);
		if (memory->flags != GMEM_MEMORY_DEFAULT_FLAGS)
			json_add_flags(object, "flags", memory->flags, memory_flag_names);
		telling->memory = LIST_NEXT(memory, link);
	}
}

static bool is_there(const struct gmem_vm *vm, uint64_t memory)
{
	return memory == 0 || vm_memory(vm, memory);
}

/* A gmemd that has lost the VM can't know what the slot is on otherwise. */
static void tell_slot(const struct telling *telling, struct json_object *list)
{
	const struct bound_slot *bound = telling->slot;

	if (is_there(telling->vm, bound->memories.memory) &&
		is_there(telling->vm, bound->memories.shared_memory))
		slot_describe(json_append_object(list), &bound->slot, &bound->memories);
}

/* Once all memories are told, which they are on. */
static void tell_slots(struct telling *telling, struct json_object *params)
{
	struct json_object *list = json_add_array(params, "slots");

	for (size_t i = 0; telling->slot && !telling->memory && i < SLOTS_TOLD; i++) {
		tell_slot(telling, list);
		telling->slot = LIST_NEXT(telling->slot, link);
	}
}

/* Nothing where there is none: an older gmemd does not know of all sets. */
static void tell_ranges(struct telling *telling, enum conversions_set set, const char *name,
	struct json_object *params)
{
	struct gmem_range ranges[RANGES_TOLD];
	size_t count = conversions_copy(
		&telling->vm->conversions, set, telling->told_to[set], ranges, RANGES_TOLD);
	struct json_object *list = count > 0 ? json_add_array(params, name) : NULL;

	for (size_t i = 0; i < count; i++) {
		struct json_object *object = json_append_object(list);

		json_add_uint(object, "guest_phys_addr", ranges[i].guest_phys_addr);
		json_add_uint(object, "size", ranges[i].size);
		telling->told_to[set] = ranges[i].guest_phys_addr + ranges[i].size;
	}
	telling->ranges_left |= count == RANGES_TOLD;
}

/* A gmemd that has lost the VM has made another. */
static void take_report_page(
	struct gmem_vm *vm, struct json_object *report, const struct fd_list *received)
{
	uint64_t fd;

	if (json_get_uint(report, "fd", &fd) && fd < received->count)
		vm_map_report_page(vm, received->fds[fd]);
}

static int tell_packet(struct telling *telling, bool *ret_rebuilt)
{
	struct json_object *params = vm_params(telling->vm), *result;
	struct exchange exchange = {.repeated = false};
	int r;

	if (telling->vm->opening.mailbox_fd >= 0)
		json_add_uint(params, "mailbox", (uint64_t)telling->vm->opening.mailbox_fd);
	tell_memories(telling, params);
	tell_slots(telling, params);
	telling->ranges_left = false;
	tell_ranges(telling, CONVERSIONS_PRIVATE, "private_ranges", params);
	tell_ranges(telling, CONVERSIONS_UNCERTAIN, "uncertain_ranges", params);
	r = connection_exchange(telling->vm->gmem, "vm.resume", params, &exchange, &result);
	if (r < 0)
		return r;
	take_report_page(telling->vm, json_get(result, "report"), &exchange.received);
	fd_list_close(&exchange.received);
	*ret_rebuilt = json_get_bool(result, "rebuilt");
	json_unref(result);
	return 0;
}

static int tell_all(struct gmem_vm *vm, bool *ret_rebuilt)
{
	struct telling telling = {
		.vm = vm, .memory = LIST_FIRST(&vm->memories), .slot = LIST_FIRST(&vm->slots)};
	int r;

	/* Before anything of it is: what is issued from then on is not what is told. */
	conversions_note_told(&vm->conversions);
	do
		r = tell_packet(&telling, ret_rebuilt);
	while (r == 0 && *ret_rebuilt && (telling.memory || telling.slot || telling.ranges_left));
	return r;
}

/* Closed by an operator, or before this process was answered that it is. */
static bool forget_closed(struct gmem_vm *vm)
{
	const struct last_error_details *details = last_error_details();
	struct gmem_memory *memory;

	if (strcmp(details->reason, "not_found") != 0 || strcmp(details->what, "memory") != 0)
		return false;
	LIST_FOREACH (memory, &vm->memories, link) {
		if (memory->id != details->id)
			continue;
		LIST_REMOVE(memory, link);
		memory->noted = false;
		return true;
	}
	return false;
}

int resume_tell(struct gmem_vm *vm, bool *ret_rebuilt)
{
	int r;

	do
		r = tell_all(vm, ret_rebuilt);
	while (r == -EREMOTEIO && forget_closed(vm));
	return r;
}
