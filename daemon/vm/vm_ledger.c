/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMs' ledgers. See vm_ledger.h.
 */
#include "daemon/vm/vm_ledger.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "daemon/base/log.h"
#include "daemon/vm/conversion.h"
#include "daemon/vm/vm_record.h"
#include "kernel/store/ledger.h"

static void mark_changed(struct vm *vm)
{
	if (!vm->noted)
		TAILQ_INSERT_TAIL(&vm->registry->noted, vm, noted_link);
	vm->noted = true;
}

/* A VM that has no room for another record goes on without it, and says so: there are more records
 * than a VM may have objects. */
static void put_record(struct vm *vm, uint32_t *index, const void *record, size_t length)
{
	int r = 0;

	if (!vm->ledger)
		return;
	mark_changed(vm);
	if (*index == 0)
		r = ledger_free_index(vm->ledger, index);
	if (r == 0)
		r = ledger_put(vm->ledger, *index, record, length);
	if (r < 0)
		log_vm_warning(vm->id, "its ledger has no room: %s", strerror(-r));
}

static void delete_record(struct vm *vm, uint32_t *index)
{
	if (vm->ledger && *index > 0) {
		mark_changed(vm);
		ledger_delete(vm->ledger, *index);
	}
	*index = 0;
}

static void note_name(
	struct vm *vm, uint16_t kind, uint64_t owner, const char *name, uint32_t *indexes)
{
	size_t length = name ? strlen(name) : 0;

	for (uint16_t part = 0; part < NAME_RECORDS && length > 0; part++) {
		struct name_record record = {.kind = kind, .owner = owner, .part = part};
		size_t size = length < sizeof record.bytes ? length : sizeof record.bytes;

		memcpy(record.bytes, name, size);
		record.length = (uint16_t)size;
		put_record(vm, &indexes[part], &record, sizeof record);
		name += size;
		length -= size;
	}
}

static uint32_t flags_of(const struct vm *vm)
{
	uint32_t flags = 0;

	if (vm->initially_private)
		flags |= RECORD_VM_INITIALLY_PRIVATE;
	if (vm->charge == CHARGE_BROKER)
		flags |= RECORD_VM_BROKER;
	if (vm->rebuilt)
		flags |= RECORD_VM_REBUILT;
	if (vm->remains)
		flags |= RECORD_VM_REMAINS;
	if (!vm->finished)
		flags |= RECORD_VM_UNFINISHED;
	if (vm->listener >= 0)
		flags |= RECORD_VM_LISTENER;
	return flags;
}

void vm_ledger_note_vm(struct vm *vm)
{
	struct vm_record record = {
		.kind = RECORD_VM,
		.state = (uint8_t)vm->state,
		.gate = (uint8_t)vm->gate,
		.type = vm->type,
		.flags = flags_of(vm),
		.uid = vm->process.uid,
		.pid = vm->process.pid,
		.generation = vm->generation,
		.number = vm->number,
		.commit_limit = vm->budget.limit,
		.trap = vm->trap.id,
		.verifying = vm->trap.verifying,
		.answer = vm->trap.answer,
		.settled_done = vm->settled.done,
		.settled_call = vm->settled.call,
		.request = vm->request,
	};
	sd_id128_t uuid;

	if (!vm->ledger)
		return;
	mark_changed(vm);
	if (sd_id128_from_string(vm->uuid, &uuid) == 0)
		memcpy(record.uuid, &uuid, sizeof record.uuid);
	ledger_put(vm->ledger, 0, &record, sizeof record);
}

void vm_ledger_note_minimum(struct vm *vm)
{
	const struct minimum_record record = {.kind = RECORD_MINIMUM, .bytes = vm->minimum};

	if (vm->minimum > 0)
		put_record(vm, &vm->minimum_record, &record, sizeof record);
	else
		delete_record(vm, &vm->minimum_record);
}

void vm_ledger_read_minimum(struct vm *vm, const struct ledger *ledger)
{
	union record record;

	EACH_RECORD (ledger, index, RECORD_MINIMUM, &record) {
		vm->minimum = record.minimum.bytes;
		vm->minimum_record = index;
	}
}

int vm_ledger_new(struct vm *vm)
{
	uint32_t names[NAME_RECORDS] = {0}, units[NAME_RECORDS] = {0};
	int r;

	r = ledger_new("gmemd-vm", RECORD_SIZE, RECORDS_MAX, &vm->ledger);
	if (r < 0)
		return r;
	vm_ledger_note_vm(vm);
	note_name(vm, RECORD_NAME, 0, vm->name, names);
	note_name(vm, RECORD_UNIT, 0, owner_name(vm->owner).unit, units);
	vm_ledger_commit(vm);
	return 0;
}

void vm_ledger_close(struct vm *vm)
{
	if (vm->noted)
		TAILQ_REMOVE(&vm->registry->noted, vm, noted_link);
	vm->noted = false;
	vm->ledger = ledger_free(vm->ledger);
}

void vm_ledger_note_memory(struct memory *memory)
{
	const struct memory_record record = {
		.kind = RECORD_MEMORY,
		.backing = (uint8_t)memory->backing,
		.state = (uint8_t)memory->state,
		.node = memory->node,
		.id = memory->id,
		.size = memory->size,
		.flags = memory->flags,
		.resident = memory->state == OBJECT_CLOSED ? memory->resident : 0,
	};
	bool first = memory->record == 0;

	put_record(memory->vm, &memory->record, &record, sizeof record);
	if (first)
		note_name(memory->vm, RECORD_NAME, memory->id, memory->name, memory->name_records);
}

void vm_ledger_forget_memory(struct memory *memory)
{
	delete_record(memory->vm, &memory->record);
	for (size_t part = 0; part < NAME_RECORDS; part++)
		delete_record(memory->vm, &memory->name_records[part]);
}

static const struct memory *memory_of_slot(const struct slot *slot)
{
	return slot->memory ? slot->memory : slot->shown;
}

static uint32_t how_of(const struct slot *slot)
{
	return (slot->shown ? RECORD_SLOT_SHOWING : 0u) | (slot->astray ? RECORD_SLOT_ASTRAY : 0u) |
	       (slot->leaving ? RECORD_SLOT_LEAVING : 0u);
}

void vm_ledger_note_slot(struct slot *slot)
{
	const struct slot_record record = {
		.kind = RECORD_SLOT,
		.state = (uint8_t)slot->state,
		.flags = (uint8_t)slot->flags,
		.number = slot->number,
		.guest_phys_addr = slot->guest_phys_addr,
		.memory_size = slot->memory_size,
		.userspace_addr = slot->userspace_addr,
		.memory = memory_of_slot(slot) ? memory_of_slot(slot)->id : 0,
		.guest_memfd_offset = slot->guest_memfd_offset,
		.shared_memory = slot->shared_memory ? slot->shared_memory->id : 0,
		.shared_offset = slot->shared_offset,
		.how = how_of(slot),
	};

	put_record(slot->vm, &slot->record, &record, sizeof record);
}

void vm_ledger_forget_slot(struct slot *slot)
{
	delete_record(slot->vm, &slot->record);
}

static uint8_t call_flags(const struct call *call)
{
	uint8_t flags = 0;

	if (call->continued)
		flags |= RECORD_CALL_CONTINUED;
	if (call->settling)
		flags |= RECORD_CALL_SETTLING;
	if (call->conversion && call->conversion->to == CONVERT_TO_PRIVATE)
		flags |= RECORD_CALL_PRIVATE;
	if (call->conversion && call->conversion->discard)
		flags |= RECORD_CALL_DISCARD;
	return flags;
}

/* The ranges of a conversion are in the mailbox. */
void vm_ledger_note_call(struct call *call)
{
	const struct call_record record = {
		.kind = RECORD_CALL,
		.call = (uint8_t)call->kind,
		.flags = call_flags(call),
		.entry = call->entry,
		.count = call->count,
		.done = call->done,
		.guest_memfd = call->guest_memfd,
		.slot = call->slot ? call->slot->number : 0,
		.id = call->id,
		.memory = call->memory ? call->memory->id : 0,
	};

	put_record(call->vm, &call->record, &record, sizeof record);
}

void vm_ledger_forget_call(struct call *call)
{
	delete_record(call->vm, &call->record);
}

void vm_ledger_commit(struct vm *vm)
{
	if (vm->noted)
		TAILQ_REMOVE(&vm->registry->noted, vm, noted_link);
	vm->noted = false;
	if (vm->ledger)
		ledger_commit(vm->ledger);
}

void vm_ledgers_commit_request(struct registry *registry, uint64_t request)
{
	struct vm *vm;

	TAILQ_FOREACH (vm, &registry->noted, noted_link) {
		vm->request = request;
		vm_ledger_note_vm(vm);
	}
	vm_ledgers_commit(registry);
}

void vm_ledgers_commit(struct registry *registry)
{
	while (!TAILQ_EMPTY(&registry->noted))
		vm_ledger_commit(TAILQ_FIRST(&registry->noted));
}
