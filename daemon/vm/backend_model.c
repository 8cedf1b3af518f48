/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model as back end: what a VMM would have to trigger is done at once, on no VM at all.
 */
#include <errno.h>
#include <fcntl.h>

#include "daemon/vm/backend.h"
#include "daemon/vm/call.h"
#include "daemon/vm/memory.h"
#include "kernel/base/cleanup.h"
#include "kernel/model/model.h"

static int model_open(struct vm *vm)
{
	/* No guest runs, so nothing is read at a VMM's addresses. */
	static const struct model_userspace nowhere = {.process = 0};
	struct model_rules rules;
	int r;

	r = model_rules_of_type(vm->type, &rules);
	return r == 0 ? model_vm_new(&rules, &nowhere, &vm->model) : r;
}

static void model_close(struct vm *vm)
{
	vm->model = model_vm_free(vm->model);
}

static int model_create(struct memory *memory, const struct kvm_create_guest_memfd *arguments)
{
	struct model_memory *model;
	int fd, r;

	r = model_memory_new(memory->vm->model, arguments, &model);
	if (r < 0)
		return r;
	fd = fcntl(model_memory_fd(model), F_DUPFD_CLOEXEC, 3);
	r = fd < 0 ? -errno : memory_take_model(memory, model, fd);
	if (r < 0) {
		fd_close(fd);
		model_memory_unref(model);
	}
	return r;
}

static int model_convert(const struct call *call)
{
	union call_arguments arguments;
	int r = 0;

	for (unsigned index = 0; r == 0 && index < call->count; index++) {
		call_arguments(call, index, &arguments);
		r = model_vm_set_attributes(call->vm->model, &arguments.attributes);
	}
	return r;
}

static int set_region(const struct call *call, unsigned index, const struct slot *slot)
{
	const struct memory *memory = slot_memory(slot);
	union call_arguments arguments;

	call_arguments(call, index, &arguments);
	return model_vm_set_region(
		call->vm->model, MODEL_REGION_V2, &arguments.region, memory ? memory->model : NULL);
}

/* As it was before the step. */
static void set_back(struct model_vm *vm, const struct slot_step *step)
{
	const struct memory *memory = slot_memory(step->slot);
	const struct slot_step back = slot_step_inverse(step);
	struct kvm_userspace_memory_region2 region;

	slot_step_arguments(&back, &region);
	model_vm_set_region(vm, MODEL_REGION_V2, &region, memory ? memory->model : NULL);
}

static int model_change(const struct call *call)
{
	const struct slot_change *change = call->change;
	unsigned done = 0;
	int r = 0;

	while (r == 0 && done < call->count) {
		r = set_region(call, done, change->steps[done].slot);
		done += r == 0;
	}
	while (r < 0 && done > 0)
		set_back(call->vm->model, &change->steps[--done]);
	return r;
}

static int carry_out(const struct call *call)
{
	union call_arguments arguments;

	switch (call->kind) {
	case CALL_CREATE:
		call_arguments(call, 0, &arguments);
		return model_create(call->memory, &arguments.create);
	case CALL_BIND:
	case CALL_UNBIND:
		return set_region(call, 0, call->slot);
	case CALL_CONVERT:
		return model_convert(call);
	case CALL_CHANGE:
		return model_change(call);
	}
	return -EINVAL;
}

static int model_submit(struct call *call)
{
	int r = carry_out(call);

	return r < 0 ? r : CALL_CARRIED_OUT;
}

static void model_withdraw(struct call *call)
{
	(void)call;
}

const struct backend backend_model = {
	.name = "model",
	.runs_at_once = true,
	.open = model_open,
	.close = model_close,
	.submit = model_submit,
	.withdraw = model_withdraw,
};
