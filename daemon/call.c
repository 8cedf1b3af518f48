/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls. See call.h.
 */
#include "daemon/call.h"

#include <errno.h>
#include <stdlib.h>

static const enum mailbox_command commands[] = {
	[CALL_CREATE] = MAILBOX_CREATE,
	[CALL_BIND] = MAILBOX_SLOT,
	[CALL_UNBIND] = MAILBOX_SLOT,
};

enum mailbox_command call_command(const struct call *call)
{
	return commands[call->kind];
}

static int call_new(struct vm *vm, enum call_kind kind, struct call **ret)
{
	struct call *call = calloc(1, sizeof *call);

	if (!call)
		return -ENOMEM;
	if (mailbox_take(vm->mailbox, commands[kind], &call->entry) < 0) {
		free(call);
		return -EBUSY;
	}
	call->vm = vm;
	call->kind = kind;
	call->id = ++vm->last_call;
	TAILQ_INSERT_TAIL(&vm->calls, call, link);
	*ret = call;
	return 0;
}

int call_new_create(struct memory *memory, struct call **ret)
{
	struct kvm_create_guest_memfd arguments = {.size = memory->size};
	struct call *call;
	int r;

	r = call_new(memory->vm, CALL_CREATE, &call);
	if (r < 0)
		return r;
	if (memory->flags & MEMORY_MMAP)
		arguments.flags |= GUEST_MEMFD_FLAG_MMAP;
	if (memory->flags & MEMORY_INIT_SHARED)
		arguments.flags |= GUEST_MEMFD_FLAG_INIT_SHARED;
	call->memory = memory;
	mailbox_write_create(memory->vm->mailbox, call->entry, &arguments);
	*ret = call;
	return 0;
}

static uint32_t kernel_slot_flags(const struct slot *slot)
{
	uint32_t flags = slot->memory ? KVM_MEM_GUEST_MEMFD : 0;

	if (slot->flags & SLOT_READONLY)
		flags |= KVM_MEM_READONLY;
	if (slot->flags & SLOT_LOG_DIRTY_PAGES)
		flags |= KVM_MEM_LOG_DIRTY_PAGES;
	return flags;
}

int call_new_bind(struct slot *slot, uint32_t guest_memfd, struct call **ret)
{
	struct kvm_userspace_memory_region2 arguments = {
		.slot = slot->number,
		.flags = kernel_slot_flags(slot),
		.guest_phys_addr = slot->guest_phys_addr,
		.memory_size = slot->memory_size,
		.userspace_addr = slot->userspace_addr,
		.guest_memfd_offset = slot->guest_memfd_offset,
		.guest_memfd = guest_memfd,
	};
	struct call *call;
	int r;

	r = call_new(slot->vm, CALL_BIND, &call);
	if (r < 0)
		return r;
	call->slot = slot;
	mailbox_write_slot(slot->vm->mailbox, call->entry, &arguments);
	*ret = call;
	return 0;
}

int call_new_unbind(struct slot *slot, struct call **ret)
{
	/* A size of 0 deletes. */
	struct kvm_userspace_memory_region2 arguments = {.slot = slot->number};
	struct call *call;
	int r;

	r = call_new(slot->vm, CALL_UNBIND, &call);
	if (r < 0)
		return r;
	call->slot = slot;
	mailbox_write_slot(slot->vm->mailbox, call->entry, &arguments);
	*ret = call;
	return 0;
}

struct call *call_free(struct call *call)
{
	if (!call)
		return NULL;
	TAILQ_REMOVE(&call->vm->calls, call, link);
	mailbox_put(call->vm->mailbox, call_command(call), call->entry);
	free(call);
	return NULL;
}

struct call *vm_call(struct vm *vm, uint64_t id)
{
	struct call *call;

	TAILQ_FOREACH (call, &vm->calls, link) {
		if (call->id == id)
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
