/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of what a VM has. See recovery_content.h.
 */
#include "daemon/recovery_content.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/commitment.h"
#include "daemon/custody.h"
#include "daemon/log.h"
#include "daemon/record.h"
#include "daemon/slot_check.h"
#include "kernel/cleanup.h"
#include "kernel/frames.h"

static struct memory *memory_of(struct vm *vm, uint64_t id)
{
	struct memory *memory = id ? registry_memory(vm->registry, id) : NULL;

	return memory && memory->vm == vm ? memory : NULL;
}

/* What the keeper is not to hold any more. */
static int discard(struct vm *vm, const struct memory_record *record, int fd)
{
	custody_drop(vm->registry->custody, CUSTODY_MEMORY, vm->number, record->id);
	return fd_close(fd);
}

static int recover_memory(struct vm *vm, const struct memory_record *record,
	struct inheritance *inheritance, struct memory **ret)
{
	int fd = inheritance_take(inheritance, CUSTODY_MEMORY, vm->number, record->id);
	bool pending = record->state == OBJECT_PENDING;
	int r;

	if (!pending && fd < 0)
		return -ENOENT; /* it was being freed */
	if (pending && fd >= 0)
		fd = discard(vm, record, fd); /* its adoption was not finished */
	r = memory_recover(vm, record, fd, ret);
	if (r < 0) {
		log_vm_warning(vm->id, "memory %" PRIu64 " could not be taken over: %s", record->id,
			strerror(-r));
		if (fd >= 0)
			discard(vm, record, fd);
		return r;
	}
	if (!pending)
		(*ret)->state = record->state;
	return 0;
}

static int recover_memory_name(struct vm *vm, const struct name_record *record, uint32_t index)
{
	const size_t part_size = sizeof record->bytes;
	struct memory *memory = memory_of(vm, record->owner);

	if (!memory || record->part >= NAME_RECORDS || memory->name_records[record->part] > 0 ||
		record->length > part_size ||
		record->part * part_size + record->length > NAME_BYTES_MAX)
		return -EBADMSG;
	if (!memory->name)
		memory->name = calloc(1, NAME_BYTES_MAX + 1);
	if (!memory->name)
		return -ENOMEM;
	memcpy(memory->name + record->part * part_size, record->bytes, record->length);
	memory->name_records[record->part] = index;
	return 0;
}

/* An id in the way that parameters have it. */
static uint64_t id_or_unset(uint64_t id)
{
	return id ? id : FIELD_UNSET;
}

static int recover_slot(struct vm *vm, const struct slot_record *record, struct slot **ret)
{
	const struct slot_bind_parameters told = {
		.slot = record->number,
		.guest_phys_addr = record->guest_phys_addr,
		.memory_size = record->memory_size,
		.userspace_addr = record->userspace_addr,
		.memory = id_or_unset(record->memory),
		.guest_memfd_offset = record->guest_memfd_offset,
		.shared_memory = id_or_unset(record->shared_memory),
		.shared_offset = record->shared_offset,
		.flags = record->flags,
	};
	struct slot_fault fault = {.param = "state", .expected = "one that a slot has"};
	struct slot_request request;
	int r = record->state <= OBJECT_CLOSING ? 0 : -EBADMSG;

	if (r == 0)
		r = slot_check_told(vm, &told, &request, &fault);
	if (r < 0) {
		log_vm_warning(vm->id, "slot %u could not be taken over: %s must be %s",
			record->number, fault.param, fault.expected);
		return r;
	}
	r = slot_recover(vm, &request, ret);
	if (r < 0)
		log_vm_warning(vm->id, "slot %u could not be taken over: %s", record->number,
			strerror(-r));
	else
		(*ret)->state = record->state;
	return r;
}

static int recover_call(struct vm *vm, const struct call_record *record, struct call **ret)
{
	int r = call_recover(vm, record, ret);

	if (r < 0)
		log_vm_warning(vm->id, "call %" PRIu64 " could not be taken over", record->id);
	return r;
}

static void recover_frames(struct vm *vm)
{
	uint64_t none;
	int r;

	if (vm->frames < 0)
		return;
	r = frames_read(vm->frames, FRAMES_PRIVATE, &vm->private_ranges);
	if (r == 0)
		r = frames_read(vm->frames, FRAMES_IN_BOTH, &vm->in_both);
	if (r < 0)
		log_vm_warning(
			vm->id, "its private frames could not be taken over: %s", strerror(-r));
	commitment_keep(vm, vm->in_both.total, &none);
}

static void recover_memories(struct vm *vm, struct ledger *ledger, struct inheritance *inheritance)
{
	struct memory *memory;
	union record record;

	EACH_RECORD(ledger, index, RECORD_MEMORY, &record)
	{
		if (recover_memory(vm, &record.memory, inheritance, &memory) == 0)
			memory->record = index;
		else
			ledger_delete(ledger, index);
	}
	EACH_RECORD(ledger, index, RECORD_NAME, &record)
	{
		if (record.name.owner > 0 && recover_memory_name(vm, &record.name, index) < 0)
			ledger_delete(ledger, index);
	}
}

static void recover_slots(struct vm *vm, struct ledger *ledger)
{
	union record record;
	struct slot *slot;

	EACH_RECORD(ledger, index, RECORD_SLOT, &record)
	{
		if (recover_slot(vm, &record.slot, &slot) == 0)
			slot->record = index;
		else
			ledger_delete(ledger, index);
	}
}

static void recover_calls(struct vm *vm, struct ledger *ledger)
{
	union record record;
	struct call *call;

	EACH_RECORD(ledger, index, RECORD_CALL, &record)
	{
		if (recover_call(vm, &record.call, &call) == 0)
			call->record = index;
		else
			ledger_delete(ledger, index);
	}
}

void recovery_content(struct vm *vm, struct ledger *ledger, struct inheritance *inheritance)
{
	recover_memories(vm, ledger, inheritance);
	recover_slots(vm, ledger);
	recover_frames(vm);
	recover_calls(vm, ledger);
	mailbox_clear_free(vm->mailbox);
}
