/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.resume: a VM's process goes on with it, after another connection or another gmemd.
 *
 * A VM that gmemd knows, because it was never away or has taken it back, is as it was; what the
 * process tells of it is only compared. One that gmemd has lost, together with its keeper, is
 * rebuilt from what the process still has: the mailbox, whose label says what the VM is, and the
 * memories' files. A mailbox is written again once it is known to be what the process has mapped.
 * That a guest_memfd is of this VM the kernel tells nobody; but it is charged to this VM, and to no
 * other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/backend.h"
#include "daemon/deferral.h"
#include "daemon/handler.h"
#include "daemon/label.h"
#include "daemon/log.h"
#include "daemon/privileges.h"
#include "daemon/slot.h"
#include "daemon/step.h"
#include "daemon/verification.h"
#include "daemon/vm_ledger.h"
#include "daemon/watch.h"
#include "kernel/cleanup.h"
#include "kernel/frames.h"
#include "protocol/json.h"

/* As slot.bind has it. */
#define SLOT_SPACE_SHIFT 16

static int item_error(struct request *request, const char *list, size_t index, const char *member,
	const char *expected)
{
	char param[64];

	snprintf(param, sizeof param, "%s[%zu].%s", list, index, member);
	return rpc_error_invalid_param(&request->error, param, expected);
}

/* Memories */

static int check_same_file(struct request *request, const struct memory *memory, size_t index)
{
	const struct vm_resume_parameters *parameters = &request->parameters.vm_resume;
	int fd = ((const struct resumed_memory *)parameters->memories.items)[index].fd;
	struct file_identity file;

	if (memory_file_is_any(fd) && file_identity_of(fd, &file) == 0 &&
		file_identity_compare(&file, &memory->file) == 0)
		return 0;
	return item_error(
		request, "memories", index, "fd", "the index of this memory's file in this packet");
}

static int check_new_memory(
	struct request *request, struct vm *vm, const struct resumed_memory *told, size_t index)
{
	uint64_t offered = vm_offer(vm)->guest_memfd_flags & (MEMORY_MMAP | MEMORY_INIT_SHARED);

	if (!registry_has_had_id(vm->registry, told->memory))
		return rpc_error_not_found_number(&request->error, "memory", told->memory);
	if (told->name && vm_memory_by_name(vm, told->name))
		return item_error(request, "memories", index, "name", "no other memory's name");
	if (told->flags != FIELD_UNSET && told->flags & ~offered)
		return item_error(request, "memories", index, "flags", "what VMs of its type have");
	return 0;
}

static int adopt(struct request *request, struct memory *memory, int fd, size_t index)
{
	int r = memory->backing == BACKING_MEMFD ? memory_adopt_memfd(memory, fd)
						 : memory_adopt(memory, fd);

	if (r == 0) {
		request_take_fd(request, fd);
		return 0;
	}
	memory_free(memory);
	if (r == -EEXIST)
		return rpc_error_conflict(&request->error, "memory", "gmemd has this file already");
	return item_error(request, "memories", index, "fd", "the index of this memory's file");
}

/* It is what its file is. */
static int add_memory(
	struct request *request, struct vm *vm, const struct resumed_memory *told, size_t index)
{
	struct memory_request wanted = {.id = told->memory, .name = told->name, .node = NODE_ANY};
	const struct budget *refused = NULL;
	struct memory *memory;
	uint64_t requested;
	int r;

	r = check_new_memory(request, vm, told, index);
	if (r < 0)
		return r;
	if (!memory_file_is_any(told->fd) || memory_file_size(told->fd, &wanted.size) < 0 ||
		wanted.size == 0)
		return item_error(
			request, "memories", index, "fd", "the index of this memory's file");
	if (!memory_file_is_guest_memfd(told->fd))
		wanted.backing = BACKING_MEMFD;
	else if (told->flags == FIELD_UNSET)
		wanted.flags = vm_offer(vm)->guest_memfd_flags & (MEMORY_MMAP | MEMORY_INIT_SHARED);
	else
		wanted.flags = told->flags;
	r = memory_new(vm, &wanted, &memory, &refused, &requested);
	if (r < 0)
		return request_memory_error(request, r, refused, requested);
	return adopt(request, memory, told->fd, index);
}

static int resume_memories(struct request *request, struct vm *vm)
{
	const struct vm_resume_parameters *parameters = &request->parameters.vm_resume;
	const struct resumed_memory *told = parameters->memories.items;
	int r = 0;

	for (size_t i = 0; r == 0 && i < parameters->memories.count; i++) {
		struct memory *memory = registry_memory(vm->registry, told[i].memory);

		if (!memory && vm->rebuilt) {
			r = add_memory(request, vm, &told[i], i);
			continue;
		}
		if (!memory || memory->vm != vm)
			return rpc_error_not_found_number(
				&request->error, "memory", told[i].memory);
		if (memory->state == OBJECT_PENDING)
			continue; /* its report is on its way */
		r = request_memory(request, told[i].memory, &memory);
		if (r == 0)
			r = check_same_file(request, memory, i);
	}
	return r;
}

/* Slots */

/* Its memory, NULL where none is meant. -ENOENT where it is none of the VM's that holds the slot.
 */
static int part_of_slot(struct vm *vm, uint64_t id, enum memory_backing backing, uint64_t offset,
	uint64_t size, struct memory **ret)
{
	struct memory *memory;

	*ret = NULL;
	if (id == FIELD_UNSET)
		return 0;
	memory = registry_memory(vm->registry, id);
	if (!memory || memory->vm != vm || memory->state != OBJECT_READY ||
		memory->backing != backing || offset >= memory->size ||
		size > memory->size - offset)
		return -ENOENT;
	*ret = memory;
	return 0;
}

static const char *slot_fault(struct vm *vm, const struct slot_request *wanted)
{
	const struct vm_type_offer *offer = vm_offer(vm);
	uint64_t own_limit = vm->registry->config->own_memory_per_vm;

	if ((wanted->number & 0xffff) >= offer->memslots ||
		wanted->number >> SLOT_SPACE_SHIFT >= offer->address_spaces)
		return "a memslot's number that the VM has";
	if (!wanted->memory &&
		(vm->own_memory > own_limit || wanted->memory_size > own_limit - vm->own_memory))
		return "within what a VM may bind of its process's own memory";
	if ((wanted->memory && wanted->flags != 0) || (!wanted->memory && wanted->shared_memory))
		return "one that slot.bind would have bound";
	return NULL;
}

static int add_slot(
	struct request *request, struct vm *vm, const struct slot_request *wanted, size_t index)
{
	const char *fault = slot_fault(vm, wanted);
	struct slot *slot = vm_slot(vm, wanted->number), *other;
	int r;

	if (fault)
		return item_error(request, "slots", index, "slot", fault);
	if (slot)
		return 0; /* told twice */
	if (slot_check(vm, wanted, &other) != SLOT_FITS)
		return item_error(request, "slots", index, "slot", "one beside all others");
	r = slot_new(vm, wanted, &slot);
	if (r == -EDQUOT)
		return rpc_error_busy(&request->error, "The VM has as many slots as it may", 0);
	if (r < 0)
		return rpc_error_internal(&request->error, "no memory");
	slot->state = OBJECT_READY;
	vm_ledger_note_slot(slot);
	return 0;
}

static int resume_slots(struct request *request, struct vm *vm)
{
	const struct vm_resume_parameters *parameters = &request->parameters.vm_resume;
	const struct slot_bind_parameters *told = parameters->slots.items;
	int r = 0;

	for (size_t i = 0; r == 0 && i < parameters->slots.count; i++, told++) {
		struct slot_request wanted = {
			.number = (uint32_t)told->slot,
			.guest_phys_addr = told->guest_phys_addr,
			.memory_size = told->memory_size,
			.userspace_addr = told->userspace_addr,
			.guest_memfd_offset = told->guest_memfd_offset,
			.shared_offset = told->shared_offset,
			.flags = told->flags,
		};

		if (part_of_slot(vm, told->memory, BACKING_GUEST_MEMFD, told->guest_memfd_offset,
			    told->memory_size, &wanted.memory) < 0)
			return item_error(request, "slots", i, "memory",
				"a guest_memfd of the VM's that holds the slot");
		if (part_of_slot(vm, told->shared_memory, BACKING_MEMFD, told->shared_offset,
			    told->memory_size, &wanted.shared_memory) < 0)
			return item_error(request, "slots", i, "shared_memory",
				"a memfd of the VM's that holds the slot");
		r = add_slot(request, vm, &wanted, i);
	}
	return r;
}

static int resume_private_ranges(struct request *request, struct vm *vm)
{
	const struct field_array *list = &request->parameters.vm_resume.private_ranges;
	const struct guest_range *told = list->items;
	struct ranges *ranges = &vm->private_ranges;
	int r = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (!vm_has_private_memory(vm))
			return item_error(request, "private_ranges", i, "guest_phys_addr",
				"left out: the VM's type has no private memory");
		if (ranges->count >= vm->registry->config->private_ranges_per_vm)
			return rpc_error_busy(&request->error,
				"The VM's private memory is in as many pieces as it may be", 0);
		r = ranges_add(ranges, told[i].guest_phys_addr, told[i].size);
		if (r == -EINVAL)
			return item_error(request, "private_ranges", i, "size",
				"what there is from guest_phys_addr on, or less");
		if (r == 0 && vm->frames >= 0)
			r = frames_write(vm->frames, FRAMES_PRIVATE, ranges,
				told[i].guest_phys_addr, told[i].size);
		if (r < 0)
			return rpc_error_kernel(&request->error, -r, "noting what is private");
	}
	return 0;
}

static int resume_content(struct request *request, struct vm *vm)
{
	int r = resume_memories(request, vm);

	if (r == 0 && vm->rebuilt)
		r = resume_slots(request, vm);
	if (r == 0 && vm->rebuilt)
		r = resume_private_ranges(request, vm);
	return r;
}

static int answer(struct request *request, const struct vm *vm)
{
	int r = request_answer_vm(request, vm);

	if (r == 0)
		json_add_bool(request->result, "rebuilt", vm->rebuilt);
	return r;
}

/* A VM that gmemd knows */

static int resume_known(struct request *request, struct vm *vm)
{
	int r;

	if (vm->resuming)
		return rpc_error_busy(&request->error, "The VM is being resumed", 0);
	r = resume_content(request, vm);
	return r < 0 ? r : answer(request, vm);
}

/* A VM that gmemd has lost */

/* What goes with the answer, once it is known that the mailbox is mapped. */
struct resumption {
	struct deferral *deferral;
	struct json_object *result;
	struct fd_list fds;
};

static void forget(struct vm *vm)
{
	watch_stop(vm);
	vm_free(vm);
}

static void announce(struct gmemd *gmemd, struct vm *vm)
{
	vm->resuming = false;
	vm->finished = true;
	mailbox_clear_free(vm->mailbox);
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
	STEP("vm.resume: committed");
	vm_put(vm);
	STEP("vm.resume: put");
	log_vm_info(vm->id, "rebuilt as \"%s\" from what process %d of user %u has", vm->name,
		vm->process.pid, vm->process.uid);
	events_vm(&gmemd->events, vm, EVENT_VM_OPENED);
	events_vm(&gmemd->events, vm, EVENT_VM_RUNNING);
}

static void refuse(struct resumption *resumption, const struct vm *vm, const char *reason)
{
	struct rpc_error error = {.code = RPC_OK};

	if (vm && vm->state != VM_RELEASED)
		rpc_error_not_permitted(&error, reason);
	else
		rpc_error_gone(&error, "process", "that connected");
	deferral_refuse(resumption->deferral, &error);
	json_unref(resumption->result);
	fd_list_close(&resumption->fds);
}

static void verified(struct gmemd *gmemd, const struct verification *verification)
{
	struct resumption *resumption = verification->context;
	struct vm *vm = registry_vm_by_id(&gmemd->registry, verification->vm);
	bool there = vm && vm->state != VM_RELEASED && !process_ended(vm->process.pidfd);

	if (there && verification->result == 0) {
		announce(gmemd, vm);
		deferral_answer_with_fds(
			resumption->deferral, resumption->result, &resumption->fds);
	} else {
		if (vm)
			log_vm_warning(vm->id, "not resumed: %s", verification->reason);
		refuse(resumption, vm, verification->reason);
		if (there)
			forget(vm);
	}
	free(resumption);
}

/* Its errors come by verified(), too: it has the resumption. */
static void verify(struct gmemd *gmemd, const struct vm *vm, struct resumption *resumption)
{
	struct verification verification = {
		.trap = {.thread = vm->process.pid},
		.expected = {mailbox_address(vm->mailbox), mailbox_length(vm->mailbox),
			mailbox_identity(vm->mailbox)},
		.result = -EAGAIN,
		.reason = "gmemd could not check the mailbox's mapping",
		.context = resumption,
	};

	memcpy(verification.vm, vm->id, sizeof verification.vm);
	if (verification_start(gmemd, &verification, verified) < 0)
		verified(gmemd, &verification);
}

/* The answer is known already, and waits. A VM without a gate may have its mailbox where it likes.
 */
static int answer_when_verified(struct request *request, struct vm *vm)
{
	struct resumption *resumption;

	if (vm->gate == VM_GATE_NONE) {
		announce(request->gmemd, vm);
		return 0;
	}
	resumption = calloc(1, sizeof *resumption);
	if (resumption)
		resumption->deferral = request_defer(request, DEFERRAL_IN_ORDER, NULL, NULL);
	if (!resumption || !resumption->deferral) {
		free(resumption);
		return rpc_error_internal(&request->error, "no memory");
	}
	vm->resuming = true;
	resumption->result = json_ref(request->result);
	resumption->fds = request->answer_fds;
	request->answer_fds.count = 0;
	verify(request->gmemd, vm, resumption);
	return REQUEST_DEFERRED;
}

static int no_such_vm(struct request *request)
{
	return rpc_error_not_found(&request->error, "vm", request->parameters.vm_resume.vm);
}

/* That the VM was this process's, and what it is. */
static int read_label(struct request *request, struct label *ret)
{
	const struct vm_resume_parameters *parameters = &request->parameters.vm_resume;
	char id[32];

	if (parameters->mailbox < 0)
		return no_such_vm(request);
	if (label_read(parameters->mailbox, ret) < 0)
		return rpc_error_invalid_param(&request->error, "mailbox",
			"the index of the VM's mailbox, as vm.open gave it, in this packet");
	snprintf(id, sizeof id, "vm-%" PRIu64, ret->number);
	if (strcmp(id, parameters->vm) != 0 || ret->pid != request->caller->process.pid ||
		!registry_has_had_id(&request->gmemd->registry, ret->number))
		return no_such_vm(request);
	return 0;
}

static int check_policy(struct request *request, const struct label *label)
{
	const struct gmemd *gmemd = request->gmemd;

	if (!gmemd->host.vm_types[label->type].guest_memfd)
		return rpc_error_unsupported(
			&request->error, "KVM_CAP_GUEST_MEMFD", gmemd->host.kernel_release);
	if (!label->gate && gmemd->config.gate_policy == GATE_POLICY_REQUIRED)
		return rpc_error_not_permitted(
			&request->error, "a gate, which gmemd's policy requires");
	return request_may_have_vm(request, label->name, label->uuid);
}

static int rebuild(struct request *request, const struct label *label, struct vm **ret)
{
	struct registry *registry = &request->gmemd->registry;
	struct mailbox *mailbox;
	int r;

	privileges_raise_to_fix();
	r = mailbox_reopen(request->parameters.vm_resume.mailbox, &mailbox);
	if (r == 0)
		mailbox_fix(mailbox);
	privileges_lower();
	if (r == -EROFS)
		return rpc_error_invalid_param(&request->error, "mailbox",
			"one that a later gmemd can write, not one of a gmemd without a keeper");
	if (r < 0)
		return rpc_error_kernel(&request->error, -r, "opening the mailbox again");
	r = vm_resume(registry, &request->caller->process, label, mailbox, ret);
	if (r < 0) {
		mailbox_free(mailbox);
		return request_vm_error(request, r);
	}
	if (watch_process(request->gmemd, *ret) == 0)
		return 0;
	vm_free(*ret);
	return rpc_error_internal(&request->error, "no memory");
}

static int resume_lost(struct request *request)
{
	struct label label;
	struct vm *vm;
	int r;

	r = read_label(request, &label);
	if (r == 0)
		r = check_policy(request, &label);
	if (r == 0)
		r = rebuild(request, &label, &vm);
	if (r < 0)
		return r;
	STEP("vm.resume: rebuilt");
	r = resume_content(request, vm);
	STEP("vm.resume: its content");
	if (r == 0)
		r = answer(request, vm);
	if (r == 0)
		r = answer_when_verified(request, vm);
	if (r < 0)
		forget(vm);
	return r;
}

int handle_vm_resume(struct request *request)
{
	const char *id = request->parameters.vm_resume.vm;
	struct vm *vm = registry_vm_by_id(&request->gmemd->registry, id);
	int r;

	if (!vm)
		return request->gmemd->registry.backend->needs_gate ? resume_lost(request)
								    : no_such_vm(request);
	r = request_vm(request, id, &vm);
	return r < 0 ? r : resume_known(request, vm);
}
