/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model as a subject. See subject.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/conformance/subject.h"

struct model_subject {
	struct subject base;
	struct model_vm *vms[SUBJECT_VMS];
	bool has_code[SUBJECT_VMS]; /* the slot that a real guest's code would need */
	struct model_memory *memories[SUBJECT_MEMORIES];
	struct model_memory *held[SUBJECT_MEMORIES];
};

static struct model_subject *of(struct subject *subject)
{
	return (struct model_subject *)subject;
}

/* NULL where the number has none. */
static struct model_memory *memory_of(struct subject *subject, unsigned memory)
{
	return memory < SUBJECT_MEMORIES ? of(subject)->memories[memory] : NULL;
}

static int model_new_vm(struct subject *subject, unsigned vm)
{
	const struct model_userspace userspace = {0};
	int r = model_vm_new(&subject->rules, &userspace, &of(subject)->vms[vm]);

	of(subject)->has_code[vm] = false;
	return r < 0 ? r : subject_arena_new(subject, vm);
}

static void model_free_vm(struct subject *subject, unsigned vm)
{
	of(subject)->vms[vm] = model_vm_free(of(subject)->vms[vm]);
	subject_arena_free(subject, vm);
}

static int model_create(
	struct subject *subject, unsigned vm, unsigned memory, uint64_t size, uint64_t flags)
{
	const struct kvm_create_guest_memfd arguments = {.size = size, .flags = flags};

	return model_memory_new(of(subject)->vms[vm], &arguments, &of(subject)->memories[memory]);
}

static int model_duplicate(struct subject *subject, unsigned memory, unsigned copy)
{
	struct model_memory *original = memory_of(subject, memory);

	if (!original)
		return -EBADF;
	of(subject)->memories[copy] = model_memory_ref(original);
	return 0;
}

static int model_close(struct subject *subject, unsigned memory)
{
	if (!memory_of(subject, memory))
		return -EBADF;
	of(subject)->memories[memory] = model_memory_unref(of(subject)->memories[memory]);
	return 0;
}

static int model_fd(struct subject *subject, unsigned memory)
{
	struct model_memory *found = memory_of(subject, memory);

	return found ? model_memory_fd(found) : -EBADF;
}

static int model_fallocate(
	struct subject *subject, unsigned memory, int mode, int64_t offset, int64_t length)
{
	struct model_memory *found = memory_of(subject, memory);

	return found ? model_memory_fallocate(found, mode, offset, length) : -EBADF;
}

static int model_map(struct subject *subject, unsigned memory, size_t length, int protection,
	int flags, int64_t offset)
{
	struct model_memory *found = memory_of(subject, memory);

	if (!found) /* mmap(2) looks at the offset before the fd */
		return (uint64_t)offset % PAGE ? -EINVAL : -EBADF;
	return model_memory_check_mapping(found, length, protection, flags, offset);
}

static int model_hold(struct subject *subject, unsigned memory, size_t size)
{
	int r = model_map(subject, memory, size, PROT_READ, MAP_SHARED, 0);

	if (r == 0)
		r = subject_hold(subject, memory, model_fd(subject, memory), size);
	if (r == 0)
		of(subject)->held[memory] = model_memory_ref(memory_of(subject, memory));
	return r;
}

static void model_let_go(struct subject *subject)
{
	subject_let_go(subject);
	for (unsigned memory = 0; memory < SUBJECT_MEMORIES; memory++)
		of(subject)->held[memory] = model_memory_unref(of(subject)->held[memory]);
}

static int model_host(
	struct subject *subject, unsigned memory, uint64_t offset, uint8_t *byte, bool write)
{
	struct model_memory *found = memory_of(subject, memory);

	return found ? model_memory_access(found, offset, byte, 1, write) : -EBADF;
}

static int model_region(struct subject *subject, unsigned vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments)
{
	struct model_memory *memory = arguments->guest_memfd == SUBJECT_OTHER_FILE
					      ? MODEL_OTHER_FILE
					      : memory_of(subject, arguments->guest_memfd);

	return model_vm_set_region(of(subject)->vms[vm], call, arguments, memory);
}

static int model_attributes(
	struct subject *subject, unsigned vm, const struct kvm_memory_attributes *arguments)
{
	return model_vm_set_attributes(of(subject)->vms[vm], arguments);
}

static int model_guest(
	struct subject *subject, unsigned vm, uint64_t guest_phys_addr, uint8_t *byte, bool write)
{
	const struct kvm_userspace_memory_region2 code = {
		.slot = SUBJECT_CODE_SLOT,
		.guest_phys_addr = SUBJECT_CODE_ADDRESS,
		.memory_size = PAGE,
	};
	struct model_subject *model = of(subject);

	if (!model->has_code[vm]) {
		int r = model_vm_set_region(model->vms[vm], MODEL_REGION_V2, &code, NULL);

		if (r < 0)
			return r;
		model->has_code[vm] = true;
	}
	return (int)model_vm_access(
		model->vms[vm], /* address_space= */ 0, guest_phys_addr, byte, 1, write, NULL);
}

static void model_free(struct subject *subject)
{
	model_let_go(subject);
	for (unsigned memory = 0; memory < SUBJECT_MEMORIES; memory++)
		model_close(subject, memory);
	for (unsigned vm = 0; vm < SUBJECT_VMS; vm++)
		model_free_vm(subject, vm);
	free(subject);
}

static const struct subject_operations model_operations = {
	.name = "model",
	.free = model_free,
	.vm_new = model_new_vm,
	.vm_free = model_free_vm,
	.create = model_create,
	.duplicate = model_duplicate,
	.close = model_close,
	.fd = model_fd,
	.fallocate = model_fallocate,
	.map = model_map,
	.hold = model_hold,
	.let_go = model_let_go,
	.host = model_host,
	.region = model_region,
	.attributes = model_attributes,
	.guest = model_guest,
};

struct subject *subject_new_model(const struct model_rules *rules)
{
	struct model_subject *model = calloc(1, sizeof *model);

	if (!model)
		abort();
	model->base.operations = &model_operations;
	model->base.rules = *rules;
	model->base.has_vcpu = true;
	return &model->base;
}

struct subject *subject_new_model_type(
	unsigned long type, const char *kernel, const char **ret_reason)
{
	struct model_rules rules;

	if (model_rules_of_type(type, &rules) < 0) {
		*ret_reason = "the model has no VMs of this type";
		return NULL;
	}
	if (model_rules_of_kernel(kernel, &rules) < 0) {
		*ret_reason = "the model knows no such kernel";
		return NULL;
	}
	return subject_new_model(&rules);
}
