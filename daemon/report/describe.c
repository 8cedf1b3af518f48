/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptions. See describe.h.
 */
#include "daemon/report/describe.h"

#include <stdio.h>
#include <sys/pidfd.h>

#include "daemon/base/clock.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/json_writer.h"

/* ready: what an object of this kind is called that is there. */
static const char *object_state_name(enum object_state state, const char *ready)
{
	switch (state) {
	case OBJECT_PENDING:
		return "pending";
	case OBJECT_READY:
		return ready;
	case OBJECT_CLOSING:
	case OBJECT_CLOSED:
		break;
	}
	return "closing";
}

void describe_vm(struct json_object *object, const struct vm *vm)
{
	const struct owner_name unit = owner_name(vm->owner);

	json_add_string(object, "vm", vm->id);
	json_add_string(object, "name", vm->name);
	json_add_string(object, "uuid", vm->uuid);
	json_add_string(object, "tenant", vm->tenant->name);
	json_add_string(object, "unit", unit.unit[0] ? unit.unit : NULL);
	json_add_uint(object, "pid", (uint64_t)vm->process.pid);
	json_add_string(
		object, "state", vm->lingers_until ? "lingering" : vm_state_name(vm->state));
	if (vm->lingers_until > 0)
		json_add_uint(object, "lingers_ms", clock_ms_until(vm->lingers_until));
	json_add_string(object, "gate", vm_gate_state_name(vm->gate));
	json_add_uint(object, "committed", vm->budget.committed);
	json_add_uint(object, "promised", vm->budget.is_promised ? vm->budget.limit : 0);
	json_add_uint(object, "resident", vm_resident(vm));
	json_add_uint(object, "closed_resident", vm->closed_resident);
	json_add_uint(object, "private", ranges_total(&vm->private_ranges));
	if (vm->opened > 0)
		json_add_uint(object, "opened", vm->opened);
	else
		json_add_null(object, "opened");
}

void describe_memory(struct json_object *object, const struct memory *memory)
{
	json_add_uint(object, "memory", memory->id);
	json_add_string(object, "name", memory->name);
	json_add_uint(object, "size", memory->size);
	json_add_string(object, "backing", backing_names[memory->backing]);
	json_add_flags(object, "flags", memory->flags, memory_flag_names);
	if (memory->node == NODE_ANY)
		json_add_null(object, "node");
	else
		json_add_uint(object, "node", (uint64_t)memory->node);
	json_add_uint(object, "page_size", memory_page_size(memory));
	json_add_string(object, "state", object_state_name(memory->state, "ready"));
	json_add_uint(object, "resident", memory->resident);
}

void describe_closed_memory(struct json_object *object, const struct memory *memory)
{
	json_add_uint(object, "memory", memory->id);
	json_add_string(object, "name", memory->name);
	json_add_uint(object, "size", memory->size);
	json_add_uint(object, "resident", memory->resident);
}

void describe_grant(struct json_object *object, const struct grant *grant)
{
	json_add_uint(object, "grant", grant->id);
	json_add_uint(object, "memory", grant->memory);
	if (grant->kind == GRANT_TO_USER)
		json_add_uint(object, "uid", grant->uid);
	else
		json_add_uint(object, "pid", (uint64_t)grant->pid);
	json_add_bool(object, "once", grant->once);
}

/* Of one that can't be seen nobody knows. */
static bool has_ended(const struct grant *holding)
{
	cleanup_fd int pidfd = holding->pid > 0 ? pidfd_open(holding->pid, 0) : -1;
	uint64_t identity;

	if (holding->pid == 0)
		return false;
	return pidfd < 0 || process_identity(pidfd, holding->pid, &identity) < 0 ||
	       identity != holding->identity || process_ended(pidfd);
}

void describe_holder(struct json_object *object, struct vm *vm, const struct grant *holding)
{
	const struct memory *memory = registry_memory(vm->registry, holding->memory);
	bool closed = !memory;

	if (closed)
		memory = registry_closed_memory(vm->registry, holding->memory);
	json_add_uint(object, "memory", holding->memory);
	json_add_uint(object, "grant", holding->id);
	json_add_uint(object, "pid", (uint64_t)holding->pid);
	json_add_uint(object, "uid", holding->uid);
	json_add_bool(object, "ended", has_ended(holding));
	json_add_bool(object, "closed", closed);
	json_add_uint(object, "resident", memory ? memory->resident : 0);
}

void describe_slot(struct json_object *object, const struct slot *slot)
{
	const struct memory *memory = slot->named;

	json_add_uint(object, "slot", slot->number);
	json_add_uint(object, "guest_phys_addr", slot->guest_phys_addr);
	json_add_uint(object, "memory_size", slot->memory_size);
	json_add_uint(object, "userspace_addr", slot->userspace_addr);
	if (memory)
		json_add_uint(object, "memory", memory->id);
	else
		json_add_null(object, "memory");
	json_add_uint(object, "guest_memfd_offset", slot->guest_memfd_offset);
	if (slot->shared) {
		json_add_uint(object, "shared_memory", slot->shared->memory->id);
		json_add_uint(object, "shared_offset", slot->shared->offset);
	}
	json_add_flags(object, "flags", slot->flags, slot_flag_names);
	if (memory)
		json_add_string(object, "through",
			slot_through_names[slot->showing ? THROUGH_MAPPING : THROUGH_GUEST_MEMFD]);
	if (slot->astray)
		json_add_bool(object, "astray", true);
	json_add_string(object, "state", object_state_name(slot->state, "bound"));
}

struct json_object *describe_call(const struct call *call)
{
	const struct mailbox *mailbox = call->vm->mailbox;
	enum mailbox_command command = call_command(call);
	const struct mailbox_area area = mailbox_area(command);
	struct report_place place;
	struct json_writer object;

	json_writer_begin(&object);
	json_writer_uint(&object, "id", call->id);
	json_writer_uint(&object, "request", area.request);
	json_writer_uint(&object, "address", mailbox_entry_address(mailbox, command, call->entry));
	json_writer_uint(&object, "stride", area.stride);
	json_writer_uint(&object, "count", call->count);
	if (call_report_place(call, &place))
		json_writer_uint(&object, "report", place.offset);
	else
		json_writer_null(&object, "report");
	return json_writer_end(&object);
}
