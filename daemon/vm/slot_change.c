/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of slots. See slot_change.h.
 */
#include "daemon/vm/slot_change.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/log.h"
#include "daemon/vm/vm_ledger.h"

struct slot_change *slot_change_new(struct vm *vm)
{
	struct slot_change *change = calloc(1, sizeof *change);

	if (change)
		change->vm = vm;
	return change;
}

struct slot_change *slot_change_free(struct slot_change *change)
{
	if (!change)
		return NULL;
	while (change->count > 0) {
		struct slot *slot = change->steps[--change->count].slot;

		if (slot)
			slot->change = NULL;
	}
	free(change);
	return NULL;
}

static void add_step(struct slot_change *change, const struct slot_step *step)
{
	change->steps[change->count++] = *step;
	step->slot->change = change;
	vm_ledger_note_slot(step->slot);
}

int slot_change_bind(
	struct slot_change *change, const struct slot_request *request, uint32_t guest_memfd)
{
	struct slot_step step = {
		.kind = SLOT_STEP_BIND, .guest_memfd = guest_memfd, .flags = request->flags};
	int r = slot_recover(change->vm, request, &step.slot);

	if (r == 0)
		add_step(change, &step);
	return r;
}

void slot_change_unbind(struct slot_change *change, struct slot *slot)
{
	slot_leave(slot);
	add_step(change, &(struct slot_step){.kind = SLOT_STEP_UNBIND, .slot = slot});
}

void slot_change_flags(struct slot_change *change, struct slot *slot, uint64_t flags)
{
	add_step(
		change, &(struct slot_step){.kind = SLOT_STEP_FLAGS, .slot = slot, .flags = flags});
}

/* Of a ledger that was as it must be nothing is in a returning slot's place. */
static void return_slot(struct slot *slot)
{
	if (slot_return(slot))
		return;
	log_vm_warning(slot_vm(slot)->id, "slot %u is not bound any more: another is in its place",
		slot->number);
	slot_free(slot);
}

void slot_change_undo_last(struct slot_change *change)
{
	const struct slot_step *step = &change->steps[--change->count];

	step->slot->change = NULL;
	switch (step->kind) {
	case SLOT_STEP_BIND:
		slot_free(step->slot);
		break;
	case SLOT_STEP_UNBIND:
		return_slot(step->slot);
		break;
	case SLOT_STEP_FLAGS:
		vm_ledger_note_slot(step->slot);
		break;
	}
}

struct slot_change *slot_change_undo(struct slot_change *change)
{
	while (change->count > 0)
		slot_change_undo_last(change);
	return slot_change_free(change);
}

void slot_step_finish(struct slot_step *step)
{
	struct slot *slot = step->slot;

	slot->change = NULL;
	if (step->kind == SLOT_STEP_UNBIND) {
		step->slot = slot_free(slot);
		return;
	}
	slot->state = OBJECT_READY;
	slot->flags = (uint32_t)step->flags & (SLOT_READONLY | SLOT_LOG_DIRTY_PAGES);
	vm_ledger_note_slot(slot);
}

struct slot_step slot_step_inverse(const struct slot_step *step)
{
	static const enum slot_step_kind inverse[] = {[SLOT_STEP_BIND] = SLOT_STEP_UNBIND,
		[SLOT_STEP_UNBIND] = SLOT_STEP_BIND,
		[SLOT_STEP_FLAGS] = SLOT_STEP_FLAGS};

	return (struct slot_step){
		.kind = inverse[step->kind], .slot = step->slot, .flags = step->slot->flags};
}

static uint32_t kernel_flags(const struct slot *slot, uint64_t flags)
{
	uint32_t kernel = slot_memory(slot) ? KVM_MEM_GUEST_MEMFD : 0;

	if (flags & SLOT_READONLY)
		kernel |= KVM_MEM_READONLY;
	if (flags & SLOT_LOG_DIRTY_PAGES)
		kernel |= KVM_MEM_LOG_DIRTY_PAGES;
	return kernel;
}

/* Of a plain slot the kernel looks at no guest_memfd, and gmemd writes none. */
void slot_step_arguments(
	const struct slot_step *step, struct kvm_userspace_memory_region2 *ret_arguments)
{
	const struct slot *slot = step->slot;

	*ret_arguments = (struct kvm_userspace_memory_region2){.slot = slot->number};
	if (step->kind == SLOT_STEP_UNBIND)
		return; /* a size of 0 deletes */
	ret_arguments->flags = kernel_flags(slot, step->flags);
	ret_arguments->guest_phys_addr = slot->guest_phys_addr;
	ret_arguments->memory_size = slot->memory_size;
	ret_arguments->userspace_addr = slot->userspace_addr;
	if (!slot_memory(slot))
		return;
	ret_arguments->guest_memfd_offset = slot->guest_memfd_offset;
	ret_arguments->guest_memfd = step->guest_memfd;
}

/* Recovery */

static uint64_t flags_of(uint32_t kernel)
{
	return (kernel & KVM_MEM_READONLY ? SLOT_READONLY : 0) |
	       (kernel & KVM_MEM_LOG_DIRTY_PAGES ? SLOT_LOG_DIRTY_PAGES : 0);
}

static struct slot *leaving_slot(const struct vm *vm, uint32_t number)
{
	struct slot *slot = vm_leaving_slot(vm);

	while (slot && (slot->number != number || slot->change))
		slot = slot_next_leaving(slot);
	return slot;
}

/* That it is the slot's, and could be written. */
static bool step_fits(
	const struct slot_step *step, const struct kvm_userspace_memory_region2 *arguments)
{
	struct kvm_userspace_memory_region2 expected;

	slot_step_arguments(step, &expected);
	return step->slot->state != OBJECT_CLOSING && expected.flags == arguments->flags &&
	       expected.guest_phys_addr == arguments->guest_phys_addr &&
	       expected.memory_size == arguments->memory_size &&
	       expected.userspace_addr == arguments->userspace_addr &&
	       expected.guest_memfd_offset == arguments->guest_memfd_offset &&
	       (!slot_memory(step->slot) || step->kind == SLOT_STEP_BIND);
}

int slot_change_recover(
	struct slot_change *change, const struct kvm_userspace_memory_region2 *arguments)
{
	bool unbinds = arguments->memory_size == 0;
	struct slot_step step = {
		.kind = SLOT_STEP_UNBIND,
		.slot = unbinds ? leaving_slot(change->vm, arguments->slot)
				: vm_slot(change->vm, arguments->slot),
		.guest_memfd = arguments->guest_memfd,
		.flags = flags_of(arguments->flags),
	};

	if (!step.slot || step.slot->change || change->count == SLOT_CHANGES_MAX)
		return -EBADMSG;
	if (!unbinds)
		step.kind = step.slot->state == OBJECT_PENDING ? SLOT_STEP_BIND : SLOT_STEP_FLAGS;
	if (!unbinds && !step_fits(&step, arguments))
		return -EBADMSG;
	add_step(change, &step);
	return 0;
}
