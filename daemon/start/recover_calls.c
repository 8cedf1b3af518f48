/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of calls: what a predecessor had written and what was not reported. A record is held to
 * what a call of this VM can be before anything of it is believed.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/vm/call.h"
#include "daemon/vm/conversion.h"
#include "daemon/vm/range_check.h"

/* A conversion that the record tells of, with what the mailbox says of it. */
static int read_ranges(
	const struct vm *vm, const struct call_record *record, struct guest_range *ranges)
{
	const char *expected;

	for (unsigned i = 0; i < record->count; i++) {
		struct kvm_memory_attributes arguments;

		mailbox_read_attributes(vm->mailbox, record->entry + i, &arguments);
		ranges[i] = (struct guest_range){arguments.address, arguments.size};
		if (guest_range_fault(vm, &ranges[i], &expected))
			return -EBADMSG;
	}
	return 0;
}

static int recover_conversion(struct call *call, const struct call_record *record)
{
	struct guest_range *ranges = calloc(record->count, sizeof *ranges);
	struct conversion_plan plan;
	int r = ranges ? read_ranges(call->vm, record, ranges) : -ENOMEM;

	record_read_conversion(record, &plan);
	plan.ranges = ranges;
	if (r == 0)
		r = conversion_recover(call->vm, &plan, &call->conversion);
	free(ranges);
	return r;
}

static int recover_creation(struct call *call, const struct call_record *record)
{
	struct memory *memory = registry_memory(call->vm->registry, record->memory);

	if (!memory || memory->vm != call->vm || memory->state != OBJECT_PENDING ||
		memory->backing != BACKING_GUEST_MEMFD || vm_call_of_memory(call->vm, memory))
		return -EBADMSG;
	call->memory = memory;
	return 0;
}

static int recover_binding(
	struct call *call, const struct call_record *record, enum object_state state)
{
	struct slot *slot = vm_slot(call->vm, record->slot);

	if (!slot || slot->state != state || vm_call_of_slot(call->vm, slot))
		return -EBADMSG;
	call->slot = slot;
	return 0;
}

static int read_steps(struct slot_change *change, const struct call_record *record)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < record->count; i++) {
		struct kvm_userspace_memory_region2 arguments;

		mailbox_read_slot(change->vm->mailbox, record->entry + i, &arguments);
		r = slot_change_recover(change, &arguments);
	}
	return r;
}

/* The steps are in the mailbox as well. */
static int recover_change(struct call *call, const struct call_record *record)
{
	struct slot_change *change = slot_change_new(call->vm);
	int r = change ? read_steps(change, record) : -ENOMEM;

	if (r < 0)
		slot_change_free(change);
	else
		call->change = change;
	return r;
}

/* What it is about. */
static int recover_subject(struct call *call, const struct call_record *record)
{
	switch (call->kind) {
	case CALL_CREATE:
		return recover_creation(call, record);
	case CALL_BIND:
		return recover_binding(call, record, OBJECT_PENDING);
	case CALL_UNBIND:
		return recover_binding(call, record, OBJECT_CLOSING);
	case CALL_CONVERT:
		return recover_conversion(call, record);
	case CALL_CHANGE:
		return recover_change(call, record);
	}
	return -EBADMSG;
}

/* Ids of this gmemd's own calls begin above those of all before it. */
static bool values_fit(struct vm *vm, const struct call_record *record)
{
	bool several = record->call == CALL_CONVERT || record->call == CALL_CHANGE;

	return record->call <= CALL_CHANGE && record->id > 0 && record->id >> 32 < vm->generation &&
	       !vm_call(vm, record->id) && record->count > 0 && (several || record->count == 1) &&
	       record->done <= record->count && record->guest_memfd <= INT32_MAX;
}

/* Records are in whatever order. */
static void enlist_by_id(struct call *call)
{
	struct call *next = vm_call_from(call->vm, call->id);

	if (next)
		TAILQ_INSERT_BEFORE(next, call, link);
	else
		TAILQ_INSERT_TAIL(&call->vm->calls, call, link);
}

static int fill(struct call *call, const struct call_record *record)
{
	int r;

	r = mailbox_claim(call->vm->mailbox, call_command(call), call->entry, call->count);
	if (r < 0)
		return r;
	r = recover_subject(call, record);
	if (r < 0)
		mailbox_put(call->vm->mailbox, call_command(call), call->entry, call->count);
	return r;
}

int call_recover(struct vm *vm, const struct call_record *record, struct call **ret)
{
	struct call *call;
	int r;

	if (!values_fit(vm, record))
		return -EBADMSG;
	call = calloc(1, sizeof *call);
	if (!call)
		return -ENOMEM;
	record_read_call(record, call);
	call->vm = vm;
	r = fill(call, record);
	if (r < 0) {
		free(call);
		return r;
	}
	enlist_by_id(call);
	*ret = call;
	return 0;
}
