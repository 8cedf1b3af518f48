/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls. See call.h.
 */
#include "daemon/vm/call.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/kill_step.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/conversion.h"
#include "daemon/vm/vm_ledger.h"

enum mailbox_command call_command(const struct call *call)
{
	static const enum mailbox_command commands[] = {
		[CALL_CREATE] = MAILBOX_CREATE,
		[CALL_BIND] = MAILBOX_SLOT,
		[CALL_UNBIND] = MAILBOX_SLOT,
		[CALL_CONVERT] = MAILBOX_ATTRIBUTES,
		[CALL_CHANGE] = MAILBOX_SLOT,
	};

	return commands[call->kind];
}

/* A creation's file has to be taken. */
bool call_report_place(const struct call *call, struct report_place *ret)
{
	const struct vm *vm = call->vm;

	if (!vm->report_page || call->progress != CALL_SUBMITTED || call->kind == CALL_CREATE)
		return false;
	*ret = report_place_of(vm->mailbox, call_command(call), call->entry, call->count);
	return true;
}

static int call_new(struct vm *vm, const struct call *wanted, struct call **ret)
{
	struct call *call = malloc(sizeof *call);
	int r;

	if (!call)
		return -ENOMEM;
	*call = *wanted;
	call->vm = vm;
	r = vm->registry->backend->submit(call);
	if (r < 0) {
		free(call);
		return r;
	}
	STEP("call: submitted");
	call->progress = r;
	call->id = ++vm->last_call;
	TAILQ_INSERT_TAIL(&vm->calls, call, link);
	if (call->progress == CALL_SUBMITTED)
		vm_ledger_note_call(call);
	*ret = call;
	return 0;
}

int call_new_create(struct memory *memory, struct call **ret)
{
	struct call call = {.kind = CALL_CREATE, .count = 1, .memory = memory};

	return call_new(memory->vm, &call, ret);
}

int call_new_bind(struct slot *slot, uint32_t guest_memfd, struct call **ret)
{
	struct call call = {
		.kind = CALL_BIND, .count = 1, .slot = slot, .guest_memfd = guest_memfd};

	return call_new(slot_vm(slot), &call, ret);
}

int call_new_unbind(struct slot *slot, struct call **ret)
{
	struct call call = {.kind = CALL_UNBIND, .count = 1, .slot = slot};

	return call_new(slot_vm(slot), &call, ret);
}

int call_new_change(struct slot_change *change, struct call **ret)
{
	struct call call = {.kind = CALL_CHANGE, .count = change->count, .change = change};

	return call_new(change->vm, &call, ret);
}

int call_new_convert(
	struct vm *vm, struct conversion *conversion, unsigned first, struct call **ret)
{
	struct call call = {.kind = CALL_CONVERT,
		.count = conversion->count - first,
		.conversion = conversion,
		.first = first};
	int r;

	r = call_new(vm, &call, ret);
	if (r == 0)
		conversion_ref(conversion);
	return r;
}

struct call *call_free(struct call *call)
{
	if (!call)
		return NULL;
	TAILQ_REMOVE(&call->vm->calls, call, link);
	/* While a successor would find the call, it must find its entries. */
	vm_ledger_forget_call(call);
	STEP("call's end: noted");
	vm_ledger_commit(call->vm);
	STEP("call's end: committed");
	if (!call->vm->registry->forgetting)
		call->vm->registry->backend->withdraw(call);
	conversion_unref(call->conversion);
	slot_change_free(call->change);
	free(call);
	return NULL;
}

struct call *vm_call_from(struct vm *vm, uint64_t id)
{
	struct call *call;

	TAILQ_FOREACH (call, &vm->calls, link) {
		if (call->id >= id)
			break;
	}
	return call;
}

struct call *vm_call(struct vm *vm, uint64_t id)
{
	struct call *call = vm_call_from(vm, id);

	return call && call->id == id ? call : NULL;
}

struct call *vm_call_of_memory(struct vm *vm, const struct memory *memory)
{
	struct call *call;

	TAILQ_FOREACH (call, &vm->calls, link) {
		if (call->memory == memory)
			return call;
	}
	return NULL;
}

struct call *vm_call_of_slot(struct vm *vm, const struct slot *slot)
{
	struct call *call;

	TAILQ_FOREACH (call, &vm->calls, link) {
		if (call->slot == slot || (slot->change && call->change == slot->change))
			return call;
	}
	return NULL;
}

struct call *vm_call_of_create_entry(struct vm *vm, unsigned entry)
{
	struct call *call;

	TAILQ_FOREACH (call, &vm->calls, link) {
		if (call->kind == CALL_CREATE && call->entry == entry)
			return call;
	}
	return NULL;
}

static void create_arguments(const struct memory *memory, struct kvm_create_guest_memfd *ret)
{
	*ret = (struct kvm_create_guest_memfd){.size = memory->size};
	if (memory->flags & MEMORY_MMAP)
		ret->flags |= GUEST_MEMFD_FLAG_MMAP;
	if (memory->flags & MEMORY_INIT_SHARED)
		ret->flags |= GUEST_MEMFD_FLAG_INIT_SHARED;
}

static void bind_arguments(const struct call *call, struct kvm_userspace_memory_region2 *ret)
{
	const struct slot_step step = {.kind = SLOT_STEP_BIND,
		.slot = call->slot,
		.guest_memfd = call->guest_memfd,
		.flags = call->slot->flags};

	slot_step_arguments(&step, ret);
}

static void convert_arguments(
	const struct call *call, unsigned index, struct kvm_memory_attributes *ret)
{
	const struct guest_range *range = &call->conversion->ranges[call->first + index];

	*ret = (struct kvm_memory_attributes){
		.address = range->guest_phys_addr, .size = range->size};
	if (call->conversion->to == CONVERT_TO_PRIVATE)
		ret->attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

void call_arguments(const struct call *call, unsigned index, union call_arguments *ret)
{
	switch (call->kind) {
	case CALL_CREATE:
		create_arguments(call->memory, &ret->create);
		break;
	case CALL_BIND:
		bind_arguments(call, &ret->region);
		break;
	case CALL_UNBIND: /* a size of 0 deletes */
		ret->region = (struct kvm_userspace_memory_region2){.slot = call->slot->number};
		break;
	case CALL_CONVERT:
		convert_arguments(call, index, &ret->attributes);
		break;
	case CALL_CHANGE:
		slot_step_arguments(&call->change->steps[index], &ret->region);
		break;
	}
}
