/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of what a VM has. See recover_content.h.
 */
#include "daemon/start/recover_content.h"
#include "daemon/pages/page_closer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/vm/call.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/commitment.h"
#include "daemon/vm/memory_check.h"
#include "daemon/vm/slot_check.h"
#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_record.h"
#include "kernel/base/cleanup.h"
#include "kernel/store/frames.h"

static struct memory *memory_of(struct vm *vm, uint64_t id)
{
	struct memory *memory = id ? registry_memory(vm->registry, id) : NULL;

	if (id && !memory)
		memory = registry_closed_memory(vm->registry, id);
	return memory && memory->vm == vm ? memory : NULL;
}

/* What the keeper is not to hold any more. */
static int discard_call(struct vm *vm, const struct memory_record *record, int fd)
{
	const struct keeper_id id = {FDSTORE_MEMORY, vm->number, record->id};

	page_file_dispose_held(vm->registry->pages, vm->owner, vm->registry->fdstore, &id, fd);
	return -1;
}

static int memory_refused(const struct vm *vm, uint64_t id, const char *what, const char *must)
{
	log_vm_warning(vm->id, "memory %" PRIu64 " could not be taken over: %s must be %s", id,
		what, must);
	return -EBADMSG;
}

static int check_memory(
	struct vm *vm, const struct memory_record *record, struct memory_request *ret)
{
	struct memory_create_parameters told;
	struct memory_fault fault;

	if (!registry_has_had_id(vm->registry, record->id))
		return memory_refused(
			vm, record->id, "memory", "an id that was given, and that no other has");
	if (record->state > OBJECT_CLOSED)
		return memory_refused(vm, record->id, "state", "one that a memory has");
	record_read_memory(record, &told);
	if (memory_check_told(vm, &told, ret, &fault) < 0)
		return memory_refused(vm, record->id, fault.param, fault.expected);
	ret->id = record->id;
	return 0;
}

/* Consumes the file. */
static int take_memory(
	struct vm *vm, const struct memory_record *record, int consume_fd, struct memory **ret)
{
	struct memory_request request;
	int r;

	r = check_memory(vm, record, &request);
	if (r == 0) {
		r = record->state == OBJECT_CLOSED
			    ? closed_memory_recover(vm, &request, record->resident, consume_fd, ret)
			    : memory_recover(vm, &request, consume_fd, ret);
		if (r < 0)
			log_vm_warning(vm->id, "memory %" PRIu64 " could not be taken over: %s",
				record->id, strerror(-r));
	}
	if (inheriting_lacks(r))
		fd_close(consume_fd); /* the keeper has it still */
	else if (r < 0 && consume_fd >= 0)
		discard_call(vm, record, consume_fd);
	return r;
}

static int recover_memory(struct vm *vm, const struct memory_record *record,
	struct inherited_fds *inherited, struct memory **ret)
{
	int fd = inherited_fds_take(inherited, FDSTORE_MEMORY, vm->number, record->id);
	bool pending = record->state == OBJECT_PENDING;
	int r;

	if (!pending && fd < 0)
		return -ENOENT; /* it was being freed */
	if (pending && fd >= 0)
		fd = discard_call(vm, record, fd); /* its adoption was not finished */
	r = take_memory(vm, record, fd, ret);
	if (r == 0 && !pending)
		(*ret)->state = record->state;
	return r;
}

static int recover_memory_name(struct vm *vm, const struct name_record *record, uint32_t index)
{
	struct memory *memory = memory_of(vm, record->owner);

	if (!memory || !record_is_name_part(record) || memory->name_records[record->part] > 0)
		return -EBADMSG;
	if (!memory->name)
		memory->name = calloc(1, NAME_BYTES_MAX + 1);
	if (!memory->name)
		return -ENOMEM;
	record_read_name_part(record, memory->name);
	memory->name_records[record->part] = index;
	return 0;
}

/* Whether it is a name as memory.create takes it, which no other of the VM's has: else the memory
 * goes on without one. */
static void check_memory_name(struct memory *memory, struct ledger *ledger)
{
	const struct memory_create_parameters told = {.name = memory->name,
		.size = memory->size,
		.flags = FIELD_UNSET,
		.node = FIELD_UNSET};
	char *name = memory->name;
	struct memory_request request;
	struct memory_fault fault;

	memory->name = NULL;
	if (!name || memory_check_told(memory->vm, &told, &request, &fault) == 0) {
		memory->name = name;
		return;
	}
	log_vm_warning(memory->vm->id, "memory %" PRIu64 " has lost its name: %s must be %s",
		memory->id, fault.param, fault.expected);
	for (size_t part = 0; part < NAME_RECORDS; part++) {
		if (memory->name_records[part] > 0)
			ledger_delete(ledger, memory->name_records[part]);
		memory->name_records[part] = 0;
	}
	free(name);
}

static void restore_slot(struct slot *slot, const struct slot_record *record)
{
	if (!slot->leaving)
		slot->state = record->state;
	if (slot->showing && record->how & RECORD_SLOT_ASTRAY)
		slot_go_astray(slot);
}

/* A leaving one may be where others are. */
static int check_slot(struct vm *vm, const struct slot_bind_parameters *told, bool leaving,
	struct slot_request *ret, struct slot_fault *ret_fault)
{
	return leaving ? slot_check_alone(vm, told, ret, ret_fault)
		       : slot_check_told(vm, told, ret, ret_fault);
}

static int recover_slot(struct vm *vm, const struct slot_record *record, struct slot **ret)
{
	bool leaving = record->how & RECORD_SLOT_LEAVING;
	struct slot_bind_parameters told;
	struct slot_fault fault = {.param = "state", .expected = "one that a slot has"};
	struct slot_request request;
	int r = record->state <= OBJECT_CLOSING ? 0 : -EBADMSG;

	record_read_slot(record, &told);
	if (r == 0)
		r = check_slot(vm, &told, leaving, &request, &fault);
	if (r < 0) {
		log_vm_warning(vm->id, "slot %u could not be taken over: %s must be %s",
			record->number, fault.param, fault.expected);
		return r;
	}
	r = leaving ? slot_recover_leaving(vm, &request, ret) : slot_recover(vm, &request, ret);
	if (r < 0)
		log_vm_warning(vm->id, "slot %u could not be taken over: %s", record->number,
			strerror(-r));
	else
		restore_slot(*ret, record);
	return r;
}

static int recover_call(struct vm *vm, const struct call_record *record, struct call **ret)
{
	int r = call_recover(vm, record, ret);

	if (r < 0)
		log_vm_warning(vm->id, "call %" PRIu64 " could not be taken over: %s", record->id,
			r == -EBADMSG ? "there can be no such call" : strerror(-r));
	return r;
}

static void finish_leaving_slots(struct vm *vm)
{
	struct slot *slot, *next;

	for (slot = vm_leaving_slot(vm); slot; slot = next) {
		next = slot_next_leaving(slot);
		if (!slot->change && !slot_return(slot))
			slot_free(slot);
	}
}

/* Nobody can report what became of them: what may be bound counts as bound. */
static void finish_slots_without_call(struct vm *vm)
{
	finish_leaving_slots(vm);
	EACH_SLOT (slot, vm) {
		if (!vm_call_of_slot(vm, slot))
			slot->state = OBJECT_READY;
	}
}

static void frames_lost(const struct vm *vm, int r)
{
	log_vm_warning(vm->id, "its private frames could not be taken over: %s", strerror(-r));
}

static int recover_private_ranges(struct vm *vm)
{
	int r = frames_read(vm->frames, FRAMES_PRIVATE, &vm->private_ranges);

	if (r < 0)
		frames_lost(vm, r);
	return r;
}

static int recover_uncertain(struct vm *vm)
{
	int r = frames_read(vm->frames, FRAMES_UNCERTAIN, &vm->uncertain);

	if (r < 0)
		frames_lost(vm, r);
	return r;
}

static int recover_in_both(struct vm *vm)
{
	uint64_t none;
	int r = frames_read(vm->frames, FRAMES_IN_BOTH, &vm->in_both);

	if (r == 0 && commitment_keep(vm, ranges_total(&vm->in_both), &none))
		r = -ENOSPC;
	if (r == 0)
		return 0;
	frames_lost(vm, r);
	ranges_clear(&vm->in_both);
	return r;
}

static int recover_frames(struct vm *vm)
{
	int r;

	if (vm->frames < 0 || !vm_has_private_memory(vm))
		return 0;
	r = recover_private_ranges(vm);
	if (!inheriting_lacks(r))
		r = recover_uncertain(vm);
	return inheriting_lacks(r) ? r : recover_in_both(vm);
}

/* What was taken over of the record at index: a record that nothing has come of is deleted. Returns
 * what inheriting_lacks(). */
static int note_recovered(struct ledger *ledger, uint32_t index, int r)
{
	if (r < 0 && !inheriting_lacks(r))
		ledger_delete(ledger, index);
	return inheriting_lacks(r) ? r : 0;
}

static int recover_names(struct vm *vm, struct ledger *ledger)
{
	union record record;
	int r = 0;

	EACH_RECORD (ledger, index, RECORD_NAME, &record) {
		if (r == 0 && record.name.owner > 0)
			r = note_recovered(
				ledger, index, recover_memory_name(vm, &record.name, index));
	}
	return r;
}

static int recover_memories(struct vm *vm, struct ledger *ledger, struct inherited_fds *inherited)
{
	struct memory *memory;
	union record record;
	int recovered, r = 0;

	EACH_RECORD (ledger, index, RECORD_MEMORY, &record) {
		recovered = r < 0 ? r : recover_memory(vm, &record.memory, inherited, &memory);
		if (recovered == 0)
			memory->record = index;
		r = note_recovered(ledger, index, recovered);
	}
	if (r == 0)
		r = recover_names(vm, ledger);
	if (r < 0)
		return r;
	RB_FOREACH (memory, memory_tree, &vm->memories)
		check_memory_name(memory, ledger);
	RB_FOREACH (memory, memory_tree, &vm->closed)
		check_memory_name(memory, ledger);
	return 0;
}

/* What gmemd can have written of a memory that there is. */
static bool grant_is_right(struct vm *vm, const struct grant *grant)
{
	const struct memory *memory = memory_of(vm, grant->memory);
	bool of_process = grant->kind != GRANT_TO_USER;

	if (!memory || grant->kind >= GRANT_KINDS || of_process != (grant->identity != 0))
		return false;
	return memory->state == OBJECT_CLOSED ? grant->kind == GRANT_HOLDING
					      : memory->state != OBJECT_PENDING;
}

static int recover_grants(struct vm *vm, struct ledger *ledger)
{
	struct grant told, *grant;
	union record record;
	int recovered, r = 0;

	EACH_RECORD (ledger, index, RECORD_GRANT, &record) {
		record_read_grant(&record.grant, &told);
		recovered = r < 0 ? r : grant_is_right(vm, &told) ? 0 : -EBADMSG;
		grant = recovered == 0 ? grants_recover(&vm->grants, &told) : NULL;
		if (grant)
			grant->record = index;
		else if (recovered == 0)
			recovered = -ENOMEM;
		r = note_recovered(ledger, index, recovered);
	}
	return r;
}

static int recover_slots_alone(struct vm *vm, struct ledger *ledger)
{
	union record record;
	struct slot *slot;
	int recovered, r = 0;

	EACH_RECORD (ledger, index, RECORD_SLOT, &record) {
		recovered = r < 0 ? r : recover_slot(vm, &record.slot, &slot);
		if (recovered == 0) {
			slot->record = index;
			slot->part = SLOTS_TOGETHER;
		}
		r = note_recovered(ledger, index, recovered);
	}
	return r;
}

/* What nothing has come of is taken out of the record: *ret_wrong says whether anything was. */
static int recover_parts(
	struct vm *vm, uint32_t index, struct slots_record *record, bool *ret_wrong)
{
	struct slot_record one;
	struct slot *slot;
	int r = 0;

	*ret_wrong = false;
	for (unsigned part = 0; r == 0 && part < SLOTS_TOGETHER; part++) {
		int recovered;

		if (!record_unpack_slot(record->slots[part], &one))
			continue;
		recovered = recover_slot(vm, &one, &slot);
		if (recovered == 0) {
			slot->record = index;
			slot->part = part;
		} else if (inheriting_lacks(recovered)) {
			r = recovered;
		} else {
			memset(record->slots[part], 0, SLOT_TOGETHER_BYTES);
			*ret_wrong = true;
		}
	}
	return r;
}

static void put_parts(struct ledger *ledger, uint32_t index, const struct slots_record *record)
{
	struct slot_record one;
	unsigned part = 0;

	while (part < SLOTS_TOGETHER && !record_unpack_slot(record->slots[part], &one))
		part++;
	if (part < SLOTS_TOGETHER)
		ledger_put(ledger, index, record, sizeof *record);
	else
		ledger_delete(ledger, index);
}

static int recover_slots_together(struct vm *vm, struct ledger *ledger)
{
	union record record;
	bool wrong;
	int r = 0;

	EACH_RECORD (ledger, index, RECORD_SLOTS, &record) {
		if (r == 0)
			r = recover_parts(vm, index, &record.slots, &wrong);
		if (r == 0 && wrong)
			put_parts(ledger, index, &record.slots);
		vm->slots_with_room = index; /* it may be full, or no more */
	}
	return r;
}

static int recover_slots(struct vm *vm, struct ledger *ledger)
{
	int r = recover_slots_alone(vm, ledger);

	return r < 0 ? r : recover_slots_together(vm, ledger);
}

static int recover_calls(struct vm *vm, struct ledger *ledger)
{
	union record record;
	struct call *call;
	int recovered, r = 0;

	EACH_RECORD (ledger, index, RECORD_CALL, &record) {
		recovered = r < 0 ? r : recover_call(vm, &record.call, &call);
		if (recovered == 0)
			call->record = index;
		r = note_recovered(ledger, index, recovered);
	}
	return r;
}

int recovery_content(struct vm *vm, struct ledger *ledger, struct inherited_fds *inherited)
{
	int r;

	vm_ledger_read_minimum(vm, ledger);
	vm_ledger_find_tenant(vm, ledger);
	r = recover_memories(vm, ledger, inherited);
	if (r == 0)
		r = recover_grants(vm, ledger);
	if (r == 0 && vm->state == VM_REMAINING)
		return 0;
	if (r == 0)
		r = recover_slots(vm, ledger);
	if (r == 0)
		r = recover_frames(vm);
	if (inheriting_lacks(r))
		return r;
	r = recover_calls(vm, ledger);
	if (r < 0)
		return r;
	finish_slots_without_call(vm);
	return 0;
}
