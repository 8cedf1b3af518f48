/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outcomes. See call_outcome.h.
 */
#include "daemon/gate/call_outcome.h"

#include "daemon/base/kill_step.h"
#include "daemon/vm/conversion.h"
#include "daemon/vm/vm_ledger.h"

static void creation_ended(struct events *events, struct memory *memory, bool done)
{
	events_memory(events, memory, done ? EVENT_MEMORY_READY : EVENT_MEMORY_FAILED);
	if (!done)
		memory_free(memory);
}

static void binding_ended(struct events *events, struct slot *slot, bool done)
{
	slot->state = OBJECT_READY;
	vm_ledger_note_slot(slot);
	events_slot(events, slot, done ? EVENT_SLOT_BOUND : EVENT_SLOT_FAILED);
	if (!done)
		slot_free(slot);
}

static void unbinding_ended(struct events *events, struct slot *slot, bool done)
{
	slot->state = OBJECT_READY;
	vm_ledger_note_slot(slot);
	events_slot(events, slot, done ? EVENT_SLOT_UNBOUND : EVENT_SLOT_FAILED);
	if (done)
		slot_free(slot);
}

/* Of guest frames that slots held which are gone. -ENOMEM, and then nothing has changed. */
static int leave_frames(const struct slot_change *change, unsigned done)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < done; i++) {
		if (change->steps[i].kind == SLOT_STEP_UNBIND)
			r = conversion_leave_slot(change->steps[i].slot);
	}
	return r;
}

static void step_done(struct events *events, struct slot_step *step)
{
	events_slot(events, step->slot,
		step->kind == SLOT_STEP_UNBIND ? EVENT_SLOT_UNBOUND : EVENT_SLOT_BOUND);
	slot_step_finish(step);
}

static int change_ended(struct events *events, struct slot_change *change, unsigned done)
{
	int r = leave_frames(change, done);

	if (r < 0)
		return r;
	while (change->count > done) {
		events_slot(events, change->steps[change->count - 1].slot, EVENT_SLOT_FAILED);
		slot_change_undo_last(change);
		STEP("change's end: step undone");
	}
	for (unsigned i = 0; i < done; i++) {
		step_done(events, &change->steps[i]);
		STEP("change's end: step noted");
	}
	return 0;
}

/* Who reports it again has not heard the answer. */
static void note_settled(const struct call *call, unsigned done)
{
	struct vm *vm = call->vm;

	vm->settled.call = call->id;
	vm->settled.done = done;
	vm_ledger_note_vm(vm);
}

int call_outcome_settle(struct events *events, struct call *take_call, unsigned done)
{
	struct call *call = take_call;
	int r = 0;

	switch (call->kind) {
	case CALL_CREATE:
		creation_ended(events, call->memory, done);
		break;
	case CALL_BIND:
		binding_ended(events, call->slot, done);
		break;
	case CALL_UNBIND:
		r = done ? conversion_leave_slot(call->slot) : 0;
		if (r == 0)
			unbinding_ended(events, call->slot, done);
		break;
	case CALL_CONVERT:
		r = conversion_end(call->vm, call->conversion, call->first, call->count, done);
		break;
	case CALL_CHANGE:
		r = change_ended(events, call->change, done);
		break;
	}
	if (r < 0)
		return r;
	STEP("call's end: subject noted");
	note_settled(call, done);
	call_free(call);
	return 0;
}
