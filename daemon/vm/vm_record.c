/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing and reading records. See vm_record.h.
 */
#include "daemon/vm/vm_record.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "daemon/vm/call.h"
#include "daemon/vm/conversion.h"

const void *record_at(
	const struct ledger *ledger, uint32_t index, enum record_kind kind, union record *ret)
{
	const void *bytes;
	size_t length;
	uint16_t found;

	/* Most are another: these are not looked at any further. */
	if (!ledger_may_begin_with(ledger, index, kind) ||
		ledger_get(ledger, index, &bytes, &length) < 0 || length < sizeof found)
		return NULL;
	memset(ret, 0, RECORD_SIZE);
	memcpy(ret, bytes, length < RECORD_SIZE ? length : RECORD_SIZE);
	memcpy(&found, ret, sizeof found);
	return found == kind ? ret : NULL;
}

/* A VM */

/* A successor begins again with what was being given back. */
static const struct {
	uint8_t state;
	uint32_t flags;
} vm_states[VM_STATES] = {
	[VM_MAKING] = {RECORD_VM_OPENING, RECORD_VM_UNFINISHED},
	[VM_OPENING] = {RECORD_VM_OPENING, 0},
	[VM_RUNNING] = {RECORD_VM_RUNNING, 0},
	[VM_RELEASED] = {RECORD_VM_RELEASED, 0},
	[VM_RELEASING] = {RECORD_VM_RELEASED, 0},
	[VM_REMAINING] = {RECORD_VM_RELEASED, RECORD_VM_REMAINS},
};

enum vm_state record_vm_state(const struct vm_record *record)
{
	uint32_t flags = record->flags & (RECORD_VM_UNFINISHED | RECORD_VM_REMAINS);
	enum vm_state state = 0;

	while (state < VM_STATES &&
		(vm_states[state].state != record->state || vm_states[state].flags != flags))
		state++;
	return state;
}

static uint32_t vm_flags(const struct vm *vm)
{
	uint32_t flags = vm_states[vm->state].flags;

	if (vm->initially_private)
		flags |= RECORD_VM_INITIALLY_PRIVATE;
	if (vm->charge == CHARGE_BROKER)
		flags |= RECORD_VM_BROKER;
	if (vm->rebuilt)
		flags |= RECORD_VM_REBUILT;
	if (vm->listener >= 0)
		flags |= RECORD_VM_LISTENER;
	if (vm->report_page)
		flags |= RECORD_VM_REPORTS;
	return flags;
}

static void write_uuid(const struct vm *vm, uint8_t ret[static sizeof(sd_id128_t)])
{
	sd_id128_t uuid;

	if (sd_id128_from_string(vm->uuid, &uuid) == 0)
		memcpy(ret, &uuid, sizeof uuid);
}

static void read_uuid(const uint8_t bytes[static sizeof(sd_id128_t)], struct vm *ret)
{
	sd_id128_t uuid;

	memcpy(&uuid, bytes, sizeof uuid);
	sd_id128_to_uuid_string(uuid, ret->uuid);
}

void record_write_vm(const struct vm *vm, struct vm_record *ret)
{
	*ret = (struct vm_record){
		.kind = RECORD_VM,
		.state = vm_states[vm->state].state,
		.gate = (uint8_t)vm->gate,
		.type = vm->type,
		.flags = vm_flags(vm),
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
	write_uuid(vm, ret->uuid);
}

void record_read_vm(const struct vm_record *record, struct vm *ret)
{
	ret->state = record_vm_state(record);
	ret->gate = record->gate;
	ret->type = record->type;
	ret->initially_private = record->flags & RECORD_VM_INITIALLY_PRIVATE;
	ret->charge = record->flags & RECORD_VM_BROKER ? CHARGE_BROKER : CHARGE_VM;
	ret->rebuilt = record->flags & RECORD_VM_REBUILT;
	ret->process.uid = record->uid;
	ret->process.pid = record->pid;
	ret->generation = record->generation;
	ret->number = record->number;
	ret->budget.limit = record->commit_limit;
	ret->trap.id = record->trap;
	ret->trap.verifying = record->verifying;
	ret->trap.answer = record->answer;
	ret->settled.done = record->settled_done;
	ret->settled.call = record->settled_call;
	ret->request = record->request;
	read_uuid(record->uuid, ret);
}

/* Names */

bool record_write_name(
	uint16_t kind, uint64_t owner, uint16_t part, const char *name, struct name_record *ret)
{
	size_t length = name ? strlen(name) : 0, at = part * sizeof ret->bytes, left;

	if (at >= length)
		return false;
	left = length - at;
	*ret = (struct name_record){.kind = kind, .owner = owner, .part = part};
	ret->length = (uint32_t)(left < sizeof ret->bytes ? left : sizeof ret->bytes);
	memcpy(ret->bytes, name + at, ret->length);
	return true;
}

bool record_is_name_part(const struct name_record *record)
{
	return record->part < NAME_RECORDS && record->length <= sizeof record->bytes &&
	       record->part * sizeof record->bytes + record->length <= NAME_BYTES_MAX;
}

void record_read_name_part(const struct name_record *record, char name[static NAME_BYTES_MAX + 1])
{
	memcpy(name + record->part * sizeof record->bytes, record->bytes, record->length);
}

static void read_whole_name(const struct ledger *ledger, enum record_kind kind, uint64_t owner,
	char ret[static NAME_BYTES_MAX + 1])
{
	union record record;

	memset(ret, 0, NAME_BYTES_MAX + 1);
	EACH_RECORD (ledger, index, kind, &record) {
		if (record.name.owner == owner && record_is_name_part(&record.name))
			record_read_name_part(&record.name, ret);
	}
}

void record_read_name(
	const struct ledger *ledger, uint64_t owner, char ret[static NAME_BYTES_MAX + 1])
{
	read_whole_name(ledger, RECORD_NAME, owner, ret);
}

void record_read_tenant(const struct ledger *ledger, char ret[static NAME_BYTES_MAX + 1])
{
	read_whole_name(ledger, RECORD_TENANT, 0, ret);
}

void record_read_unit(const struct ledger *ledger, char ret[static NAME_BYTES_MAX + 1])
{
	read_whole_name(ledger, RECORD_UNIT, 0, ret);
}

/* Memories */

void record_write_memory(const struct memory *memory, struct memory_record *ret)
{
	*ret = (struct memory_record){
		.kind = RECORD_MEMORY,
		.backing = (uint8_t)memory->backing,
		.state = (uint8_t)memory->state,
		.node = memory->node,
		.id = memory->id,
		.size = memory->size,
		.flags = memory->flags,
		.resident = memory->state == OBJECT_CLOSED ? memory->resident : 0,
		.page_size = memory->page_size,
	};
}

void record_read_memory(const struct memory_record *record, struct memory_create_parameters *ret)
{
	bool no_flags = record->backing == BACKING_MEMFD && record->flags == 0;

	*ret = (struct memory_create_parameters){
		.size = record->size,
		.backing = record->backing,
		.flags = no_flags ? FIELD_UNSET : record->flags,
		.node = record->node == NODE_ANY ? FIELD_UNSET : (uint64_t)record->node,
		.page_size = record->page_size,
	};
}

/* Grants */

void record_write_grant(const struct grant *grant, struct grant_record *ret)
{
	*ret = (struct grant_record){
		.kind = RECORD_GRANT,
		.grant_kind = (uint8_t)grant->kind,
		.flags = grant->once ? RECORD_GRANT_ONCE : 0,
		.uid = grant->uid,
		.pid = grant->pid,
		.id = grant->id,
		.memory = grant->memory,
		.identity = grant->identity,
	};
}

void record_read_grant(const struct grant_record *record, struct grant *ret)
{
	*ret = (struct grant){
		.kind = record->grant_kind,
		.once = record->flags & RECORD_GRANT_ONCE,
		.uid = record->uid,
		.pid = record->pid,
		.id = record->id,
		.memory = record->memory,
		.identity = record->identity,
	};
}

/* Slots */

static uint32_t how_of(const struct slot *slot)
{
	return (slot->showing ? RECORD_SLOT_SHOWING : 0u) |
	       (slot->astray ? RECORD_SLOT_ASTRAY : 0u) |
	       (slot->leaving ? RECORD_SLOT_LEAVING : 0u);
}

void record_write_slot(const struct slot *slot, struct slot_record *ret)
{
	*ret = (struct slot_record){
		.kind = RECORD_SLOT,
		.state = (uint8_t)slot->state,
		.flags = (uint8_t)slot->flags,
		.number = slot->number,
		.guest_phys_addr = slot->guest_phys_addr,
		.memory_size = slot->memory_size,
		.userspace_addr = slot->userspace_addr,
		.memory = slot->named ? slot->named->id : 0,
		.guest_memfd_offset = slot->guest_memfd_offset,
		.shared_memory = slot->shared ? slot->shared->memory->id : 0,
		.shared_offset = slot_shared_offset(slot),
		.how = how_of(slot),
	};
}

/* An id in the way that parameters have it. */
static uint64_t id_or_unset(uint64_t id)
{
	return id ? id : FIELD_UNSET;
}

void record_read_slot(const struct slot_record *record, struct slot_bind_parameters *ret)
{
	*ret = (struct slot_bind_parameters){
		.slot = record->number,
		.guest_phys_addr = record->guest_phys_addr,
		.memory_size = record->memory_size,
		.userspace_addr = record->userspace_addr,
		.memory = id_or_unset(record->memory),
		.guest_memfd_offset = record->guest_memfd_offset,
		.shared_memory = id_or_unset(record->shared_memory),
		.shared_offset = record->shared_offset,
		.flags = record->flags,
		.through =
			record->how & RECORD_SLOT_SHOWING ? THROUGH_MAPPING : THROUGH_GUEST_MEMFD,
	};
}

#define PACKED_PAGE  4096
#define PACKED_THERE (1 << 7) /* of the first byte: there is one */

/* The bytes of each of those that come after the first. */
enum {
	PACKED_NUMBER = 4,
	PACKED_ADDRESS = 5,
	PACKED_SIZE = 4,
	PACKED_USERSPACE = 6,
	PACKED_MEMORY = 4,
	PACKED_OFFSET = 5
};

_Static_assert(1 + PACKED_NUMBER + PACKED_ADDRESS + PACKED_SIZE + PACKED_USERSPACE + PACKED_MEMORY +
			       PACKED_OFFSET ==
		       SLOT_TOGETHER_BYTES,
	"record");

/* False where it takes more. */
static bool pack(uint8_t **at, unsigned bytes, uint64_t number)
{
	for (unsigned i = 0; i < bytes; i++, number >>= 8)
		*(*at)++ = (uint8_t)number;
	return number == 0;
}

static bool pack_pages(uint8_t **at, unsigned bytes, uint64_t number)
{
	return pack(at, bytes, number / PACKED_PAGE) && number % PACKED_PAGE == 0;
}

static uint64_t unpack(const uint8_t **at, unsigned bytes)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < bytes; i++)
		number |= (uint64_t) * (*at)++ << 8 * i;
	return number;
}

static uint64_t unpack_pages(const uint8_t **at, unsigned bytes)
{
	return unpack(at, bytes) * PACKED_PAGE;
}

bool record_pack_slot(const struct slot_record *record, uint8_t ret[static SLOT_TOGETHER_BYTES])
{
	if (record->state > 3 || record->flags > 3 || record->how > 7 || record->shared_memory > 0)
		return false;
	*ret++ = (uint8_t)(record->state | record->flags << 2 | record->how << 4 | PACKED_THERE);
	return pack(&ret, PACKED_NUMBER, record->number) &&
	       pack_pages(&ret, PACKED_ADDRESS, record->guest_phys_addr) &&
	       pack_pages(&ret, PACKED_SIZE, record->memory_size) &&
	       pack_pages(&ret, PACKED_USERSPACE, record->userspace_addr) &&
	       pack(&ret, PACKED_MEMORY, record->memory) &&
	       pack_pages(&ret, PACKED_OFFSET, record->guest_memfd_offset);
}

bool record_has_slot(const uint8_t bytes[static SLOT_TOGETHER_BYTES])
{
	return bytes[0] & PACKED_THERE;
}

bool record_unpack_slot(const uint8_t bytes[static SLOT_TOGETHER_BYTES], struct slot_record *ret)
{
	uint8_t first = *bytes++;

	*ret = (struct slot_record){.kind = RECORD_SLOT,
		.state = first & 3,
		.flags = first >> 2 & 3,
		.how = first >> 4 & 7};
	ret->number = (uint32_t)unpack(&bytes, PACKED_NUMBER);
	ret->guest_phys_addr = unpack_pages(&bytes, PACKED_ADDRESS);
	ret->memory_size = unpack_pages(&bytes, PACKED_SIZE);
	ret->userspace_addr = unpack_pages(&bytes, PACKED_USERSPACE);
	ret->memory = unpack(&bytes, PACKED_MEMORY);
	ret->guest_memfd_offset = unpack_pages(&bytes, PACKED_OFFSET);
	return first & PACKED_THERE;
}

/* Calls */

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

void record_write_call(const struct call *call, struct call_record *ret)
{
	*ret = (struct call_record){
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
}

void record_read_call(const struct call_record *record, struct call *ret)
{
	*ret = (struct call){
		.id = record->id,
		.kind = record->call,
		.progress = CALL_SUBMITTED,
		.entry = record->entry,
		.count = record->count,
		.settling = record->flags & RECORD_CALL_SETTLING,
		.done = record->done,
		.inherited = record->flags & RECORD_CALL_SETTLING,
		.continued = record->flags & RECORD_CALL_CONTINUED,
		.guest_memfd = record->guest_memfd,
	};
}

void record_read_conversion(const struct call_record *record, struct conversion_plan *ret)
{
	*ret = (struct conversion_plan){
		.to = record->flags & RECORD_CALL_PRIVATE ? CONVERT_TO_PRIVATE : CONVERT_TO_SHARED,
		.discard = record->flags & RECORD_CALL_DISCARD,
		.count = record->count,
	};
}
