/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a resumed VM has. See resume_content.h.
 */
#include "daemon/methods/resume_content.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/methods/handle_memory.h"
#include "daemon/request/request_files.h"
#include "daemon/vm/memory_check.h"
#include "daemon/vm/range_check.h"
#include "daemon/vm/slot_check.h"
#include "daemon/vm/slot_views.h"
#include "daemon/vm/vm_ledger.h"
#include "kernel/store/frames.h"

static int item_error(struct request *request, const char *list, size_t index, const char *member,
	const char *expected)
{
	char param[64];

	snprintf(param, sizeof param, "%s[%zu].%s", list, index, member);
	return rpc_error_invalid_param(&request->error, param, expected);
}

/* Memories */

struct file_wish resume_memory_wish(const struct vm_resume_parameters *parameters, size_t index)
{
	const struct resumed_memory *told = parameters->memories.items;
	struct file_wish wish = {.number = told[index].fd,
		.kind = TAKER_MEMORY,
		.expected = "the number of this memory's file"};

	snprintf(wish.param, sizeof wish.param, "memories[%zu].fd", index);
	return wish;
}

/* They come last of what was taken. */
static size_t file_index(const struct request *request, size_t index)
{
	return request->files->count - request->parameters.vm_resume.memories.count + index;
}

static int memory_fd(const struct request *request, size_t index)
{
	return request->files->fds[file_index(request, index)];
}

static int wrong_file(struct request *request, size_t index)
{
	const struct file_wish wish = resume_memory_wish(&request->parameters.vm_resume, index);

	return rpc_error_invalid_param(&request->error, wish.param, wish.expected);
}

static int check_same_file(struct request *request, const struct memory *memory, size_t index)
{
	struct file_identity file;

	if (file_identity_of(memory_fd(request, index), &file) == 0 &&
		file_identity_compare(&file, &memory->file) == 0)
		return 0;
	return wrong_file(request, index);
}

static int adopt_file(struct request *request, struct memory *memory, size_t index)
{
	int r = memory_adopt(memory, memory_fd(request, index));

	if (r == 0) {
		request_take_over(request, file_index(request, index));
		return 0;
	}
	memory_free(memory);
	if (r == -EEXIST)
		return rpc_error_conflict(&request->error, "memory", "gmemd has this file already");
	return wrong_file(request, index);
}

/* It is what its file is. */
static int describe_new(
	const struct resumed_memory *told, int fd, struct memory_create_parameters *ret)
{
	struct memory_create_parameters described = {
		.name = told->name, .flags = told->flags, .node = FIELD_UNSET};

	if (memory_file_size(fd, &described.size) < 0 || described.size == 0)
		return -EINVAL;
	if (!memory_file_is_guest_memfd(fd)) {
		described.backing = BACKING_MEMFD;
		described.flags = FIELD_UNSET;
		described.page_size = memory_file_huge(fd);
	}
	*ret = described;
	return 0;
}

static int check_new_memory(struct request *request, struct vm *vm,
	const struct resumed_memory *told, size_t index, struct memory_request *ret)
{
	struct memory_create_parameters described;
	struct memory_fault fault;

	if (!registry_has_had_id(vm->registry, told->memory))
		return rpc_error_not_found_number(&request->error, "memory", told->memory);
	if (describe_new(told, memory_fd(request, index), &described) < 0)
		return wrong_file(request, index);
	if (memory_check_told(vm, &described, ret, &fault) < 0)
		return item_error(request, "memories", index, fault.param, fault.expected);
	ret->id = told->memory;
	return 0;
}

static int add_memory(
	struct request *request, struct vm *vm, const struct resumed_memory *told, size_t index)
{
	const struct budget *refused = NULL;
	struct memory_request wanted;
	struct memory *memory;
	uint64_t requested;
	int r;

	r = check_new_memory(request, vm, told, index, &wanted);
	if (r < 0)
		return r;
	r = memory_new(vm, &wanted, &memory, &refused, &requested);
	if (r < 0)
		return request_memory_error(request, r, refused, requested);
	return adopt_file(request, memory, index);
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

/* With these flags. */
static bool is_same(
	const struct slot *slot, uint64_t flags, const struct slot_bind_parameters *told)
{
	uint64_t memory = slot->named ? slot->named->id : FIELD_UNSET;
	uint64_t shared = slot->shared ? slot->shared->memory->id : FIELD_UNSET;

	return slot->guest_phys_addr == told->guest_phys_addr &&
	       slot->memory_size == told->memory_size &&
	       slot->userspace_addr == told->userspace_addr && memory == told->memory &&
	       slot->guest_memfd_offset == told->guest_memfd_offset &&
	       shared == told->shared_memory && slot_shared_offset(slot) == told->shared_offset &&
	       flags == told->flags && slot->showing == (told->through == THROUGH_MAPPING);
}

/* As it was before one of the change's steps, or is after it. */
static bool change_has(const struct slot_change *change, const struct slot_bind_parameters *told)
{
	for (unsigned i = 0; i < change->count; i++) {
		const struct slot_step *step = &change->steps[i];
		const struct slot *slot = step->slot;

		if ((step->kind == SLOT_STEP_UNBIND && is_same(slot, slot->flags, told)) ||
			(step->kind == SLOT_STEP_FLAGS && is_same(slot, step->flags, told)))
			return true;
	}
	return false;
}

/* A packet that was lost on its way may be sent again, and what is under way is not reported yet:
 * another slot may be in the place of one that leaves. */
static bool is_known(struct vm *vm, const struct slot_bind_parameters *told)
{
	const struct slot *slot = vm_slot(vm, (uint32_t)told->slot);
	const struct call *call;

	if (slot && is_same(slot, slot->flags, told))
		return true;
	TAILQ_FOREACH (call, &vm->calls, link) {
		if (call->kind == CALL_CHANGE && change_has(call->change, told))
			return true;
	}
	return false;
}

static int add_slot(struct request *request, struct vm *vm, const struct slot_bind_parameters *told,
	size_t index)
{
	struct slot_request wanted;
	struct slot_fault fault;
	struct slot *slot;
	int r;

	if (is_known(vm, told))
		return 0;
	if (slot_check_told(vm, told, &wanted, &fault) < 0 ||
		slot_check_limits(vm, &wanted, &fault) < 0)
		return item_error(request, "slots", index, fault.param, fault.expected);
	r = slot_new(vm, &wanted, &slot);
	if (r == -EDQUOT)
		return request_limit_error(
			request, LIMIT_SLOTS_PER_VM, "The VM has as many slots as it may have");
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

	for (size_t i = 0; r == 0 && i < parameters->slots.count; i++)
		r = add_slot(request, vm, &told[i], i);
	views_look(vm);
	return r;
}

/* What a VM has so many of, and what keeps them. */
struct told_ranges {
	const char *param;
	const struct field_array *told;
	enum frames_set set;
	struct ranges *ranges;
};

static int add_range(
	struct request *request, struct vm *vm, const struct told_ranges *of, size_t index)
{
	const struct guest_range *told = (const struct guest_range *)of->told->items + index;
	const char *expected, *fault = guest_range_fault(vm, told, &expected);
	int r;

	if (fault)
		return item_error(request, of->param, index, fault, expected);
	if (ranges_covered(of->ranges, told->guest_phys_addr, told->size) == told->size)
		return 0;
	if (ranges_count(of->ranges) >= vm_limit(vm, LIMIT_PRIVATE_RANGES_PER_VM))
		return request_limit_error(request, LIMIT_PRIVATE_RANGES_PER_VM,
			"The VM has as many ranges of private memory as it may have");
	r = ranges_add(of->ranges, told->guest_phys_addr, told->size);
	if (r == 0 && vm->frames >= 0)
		r = frames_write(
			vm->frames, of->set, of->ranges, told->guest_phys_addr, told->size);
	return r < 0 ? rpc_error_kernel(&request->error, -r, "noting what is private") : 0;
}

static int add_ranges(struct request *request, struct vm *vm, const struct told_ranges *of)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < of->told->count; i++)
		r = add_range(request, vm, of, i);
	return r;
}

static int resume_ranges(struct request *request, struct vm *vm)
{
	const struct vm_resume_parameters *parameters = &request->parameters.vm_resume;
	const struct told_ranges private = {
		"private_ranges", &parameters->private_ranges, FRAMES_PRIVATE, &vm->private_ranges};
	const struct told_ranges uncertain = {"uncertain_ranges", &parameters->uncertain_ranges,
		FRAMES_UNCERTAIN, &vm->uncertain};
	int r = add_ranges(request, vm, &private);

	return r == 0 ? add_ranges(request, vm, &uncertain) : r;
}

int resume_content(struct request *request, struct vm *vm)
{
	int r = resume_memories(request, vm);

	if (r == 0 && vm->rebuilt)
		r = resume_slots(request, vm);
	if (r == 0 && vm->rebuilt)
		r = resume_ranges(request, vm);
	return r;
}
