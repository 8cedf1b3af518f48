/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMs' ledgers. See vm_ledger.h.
 */
#include "daemon/vm/vm_ledger.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "daemon/base/log.h"
#include "daemon/vm/vm_record.h"
#include "kernel/store/ledger.h"

static void mark_changed(struct vm *vm)
{
	if (vm->succession_unnoted)
		vm_ledger_note_vm(vm);
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
	struct name_record record;

	for (uint16_t part = 0; part < NAME_RECORDS; part++) {
		if (record_write_name(kind, owner, part, name, &record))
			put_record(vm, &indexes[part], &record, sizeof record);
	}
}

void vm_ledger_note_vm(struct vm *vm)
{
	struct vm_record record;

	if (!vm->ledger)
		return;
	vm->succession_unnoted = false;
	mark_changed(vm);
	record_write_vm(vm, &record);
	ledger_put(vm->ledger, 0, &record, sizeof record);
}

/* Of most VMs nothing else is to be written then. */
void vm_ledger_note_succession(struct vm *vm)
{
	struct vm_record record;
	union record noted;

	record_write_vm(vm, &record);
	if (!vm->noted && record_at(vm->ledger, 0, RECORD_VM, &noted)) {
		noted.vm.generation = record.generation;
		vm->succession_unnoted = memcmp(&noted.vm, &record, sizeof record) == 0;
	}
	if (!vm->succession_unnoted)
		vm_ledger_note_vm(vm);
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

/* It never changes. */
static void note_opened(struct vm *vm)
{
	const struct opened_record record = {.kind = RECORD_OPENED, .microseconds = vm->opened};
	uint32_t index = 0;

	if (vm->opened > 0)
		put_record(vm, &index, &record, sizeof record);
}

void vm_ledger_read_opened(struct vm *vm, const struct ledger *ledger)
{
	union record record;

	EACH_RECORD (ledger, index, RECORD_OPENED, &record)
		vm->opened = record.opened.microseconds;
}

void vm_ledger_note_reserved(struct vm *vm)
{
	struct vm_reserved *reserved = vm->reserved;
	struct reserved_record record = {.kind = RECORD_RESERVED};
	sd_id128_t id;

	if (!reserved || sd_id128_from_string(reserved->id, &id) < 0)
		return;
	record.node = reserved->node;
	record.of_node = reserved->of_node.limit;
	memcpy(record.id, &id, sizeof id);
	put_record(vm, &reserved->record, &record, sizeof record);
}

int vm_ledger_read_reserved(struct vm *vm, const struct ledger *ledger)
{
	union record record;
	sd_id128_t id;

	EACH_RECORD (ledger, index, RECORD_RESERVED, &record) {
		if (!vm->reserved)
			vm->reserved = calloc(1, sizeof *vm->reserved);
		if (!vm->reserved)
			return -ENOMEM;
		memcpy(&id, record.reserved.id, sizeof id);
		sd_id128_to_string(id, vm->reserved->id);
		vm->reserved->node = record.reserved.node;
		vm->reserved->of_node.limit = record.reserved.of_node;
		vm->reserved->record = index;
	}
	return 0;
}

/* That its user alone is one need not be said. */
void vm_ledger_note_tenant(struct vm *vm)
{
	char own[TENANT_NAME_SIZE];

	tenant_name_of_user(vm->process.uid, own);
	for (size_t part = 0; part < NAME_RECORDS; part++)
		delete_record(vm, &vm->tenant_records[part]);
	if (strcmp(own, vm->tenant->name) != 0)
		note_name(vm, RECORD_TENANT, 0, vm->tenant->name, vm->tenant_records);
}

/* An older gmemd may have left more than one of a part. */
void vm_ledger_find_tenant(struct vm *vm, struct ledger *ledger)
{
	union record record;

	EACH_RECORD (ledger, index, RECORD_TENANT, &record) {
		uint16_t part = record.name.part;

		if (part < NAME_RECORDS && vm->tenant_records[part] == 0)
			vm->tenant_records[part] = index;
		else
			ledger_delete(ledger, index);
	}
}

int vm_ledger_new(struct vm *vm)
{
	uint32_t names[NAME_RECORDS] = {0}, units[NAME_RECORDS] = {0};
	int r;

	r = ledger_new_of(LEDGER_VERSION_LAST, "gmemd-vm", RECORD_SIZE, RECORDS_MAX, &vm->ledger);
	if (r < 0)
		return r;
	vm_ledger_note_vm(vm);
	note_name(vm, RECORD_NAME, 0, vm->name, names);
	note_name(vm, RECORD_UNIT, 0, owner_name(vm->owner).unit, units);
	vm_ledger_note_tenant(vm);
	note_opened(vm);
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
	struct memory_record record;
	bool first = memory->record == 0;

	record_write_memory(memory, &record);
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

/* Slots. An older gmemd, which could read a ledger of the first version, knows them one by one. */

/* As it is to be. False where there is none: it is a new one then. */
static bool slots_at(const struct vm *vm, uint32_t index, struct slots_record *ret)
{
	const void *bytes;
	size_t length;

	*ret = (struct slots_record){.kind = 0};
	if (index > 0 && ledger_get_put(vm->ledger, index, &bytes, &length) == 0 &&
		length == sizeof *ret)
		memcpy(ret, bytes, length);
	if (ret->kind == RECORD_SLOTS)
		return true;
	*ret = (struct slots_record){.kind = RECORD_SLOTS};
	return false;
}

/* The first part that is free, or is not. */
static unsigned find_part(const struct slots_record *record, bool is_free)
{
	unsigned part = 0;

	while (part < SLOTS_TOGETHER && record_has_slot(record->slots[part]) == is_free)
		part++;
	return part;
}

static void put_slots(struct vm *vm, uint32_t *index, const struct slots_record *record)
{
	uint32_t before = *index;

	if (find_part(record, /* is_free= */ false) < SLOTS_TOGETHER)
		put_record(vm, index, record, sizeof *record);
	else
		delete_record(vm, index);
	if (*index > 0 && find_part(record, /* is_free= */ true) < SLOTS_TOGETHER)
		vm->slots_with_room = *index;
	else if (vm->slots_with_room == before)
		vm->slots_with_room = 0;
}

/* 0: a new one is to be made, which *ret is. */
static uint32_t slots_with_room(struct vm *vm, struct slots_record *ret)
{
	if (slots_at(vm, vm->slots_with_room, ret) &&
		find_part(ret, /* is_free= */ true) < SLOTS_TOGETHER)
		return vm->slots_with_room;
	slots_at(vm, 0, ret);
	return vm->slots_with_room = 0;
}

static void note_together(
	struct vm *vm, struct slot *slot, const uint8_t packed[static SLOT_TOGETHER_BYTES])
{
	uint32_t index = slot->record;
	struct slots_record record;

	slots_at(vm, index, &record);
	if (index == 0) {
		index = slots_with_room(vm, &record);
		slot->part = find_part(&record, /* is_free= */ true);
	}
	memcpy(record.slots[slot->part], packed, SLOT_TOGETHER_BYTES);
	put_slots(vm, &index, &record);
	slot->record = index;
}

static void note_alone(struct vm *vm, struct slot *slot, const struct slot_record *record)
{
	uint32_t index = slot->record;

	put_record(vm, &index, record, sizeof *record);
	slot->record = index;
	slot->part = SLOTS_TOGETHER;
}

void vm_ledger_note_slot(struct slot *slot)
{
	struct vm *vm = slot_vm(slot);
	uint8_t packed[SLOT_TOGETHER_BYTES];
	struct slot_record record;
	bool together;

	if (!vm->ledger)
		return;
	record_write_slot(slot, &record);
	together = slot->record > 0 ? slot->part < SLOTS_TOGETHER
				    : ledger_version(vm->ledger) > LEDGER_VERSION_FIRST;
	if (together && record_pack_slot(&record, packed))
		note_together(vm, slot, packed);
	else
		note_alone(vm, slot, &record);
}

void vm_ledger_forget_slot(struct slot *slot)
{
	struct vm *vm = slot_vm(slot);
	uint32_t index = slot->record;

	slot->record = 0;
	if (!vm->ledger || index == 0)
		return;
	if (slot->part < SLOTS_TOGETHER) {
		struct slots_record record;

		slots_at(vm, index, &record);
		memset(record.slots[slot->part], 0, SLOT_TOGETHER_BYTES);
		put_slots(vm, &index, &record);
	} else {
		delete_record(vm, &index);
	}
}

void vm_ledger_note_call(struct call *call)
{
	struct call_record record;

	record_write_call(call, &record);
	put_record(call->vm, &call->record, &record, sizeof record);
}

void vm_ledger_forget_call(struct call *call)
{
	delete_record(call->vm, &call->record);
}

void vm_ledger_note_grant(struct vm *vm, struct grant *grant)
{
	struct grant_record record;

	record_write_grant(grant, &record);
	put_record(vm, &grant->record, &record, sizeof record);
}

void vm_ledger_forget_grant(struct vm *vm, struct grant *grant)
{
	delete_record(vm, &grant->record);
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
