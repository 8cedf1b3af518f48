/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model's VMs: their rules, their life, the attributes of their guest frames. See model.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/model/internal.h"

/* Linux 6.18 on x86-64, by VM type. */
static const struct model_rules rules_of_types[] = {
	{
		.guest_memfd_flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
		.memory_attributes = 0,
		.address_spaces = 2,
	},
	{
		.guest_memfd_flags = GUEST_MEMFD_FLAG_MMAP,
		.memory_attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.address_spaces = 1, /* private memory and SMM exclude each other */
	},
};

int model_rules_of_type(unsigned long type, struct model_rules *ret)
{
	if (type >= sizeof rules_of_types / sizeof *rules_of_types)
		return -EINVAL;
	*ret = rules_of_types[type];
	ret->attributes_call = true;
	ret->memslots = 32764;
	ret->guest_phys_end = 1ULL << 52;
	/* User addresses end one page before the middle of the 47 bits' sign extension. */
	ret->userspace_end = (1ULL << 47) - (uint64_t)sysconf(_SC_PAGESIZE);
	return model_rules_of_kernel("6.18", ret);
}

int model_vm_new(const struct model_rules *rules, const struct model_userspace *userspace,
	struct model_vm **ret)
{
	struct model_vm *vm = malloc(sizeof *vm);

	if (!vm)
		return -ENOMEM;
	*vm = (struct model_vm){
		.rules = *rules,
		.userspace = *userspace,
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
	};
	*ret = vm;
	return 0;
}

struct model_vm *model_vm_free(struct model_vm *vm)
{
	struct model_memory *memory;

	if (!vm)
		return NULL;
	model_slots_clear(vm);
	while ((memory = LIST_FIRST(&vm->memories))) {
		LIST_REMOVE(memory, link);
		memory->vm = NULL;
	}
	ranges_clear(&vm->private_ranges);
	ranges_clear(&vm->mmio);
	ranges_clear(&vm->mmio_stale);
	free(vm);
	return NULL;
}

const struct model_rules *model_vm_rules(const struct model_vm *vm)
{
	return &vm->rules;
}

const struct ranges *model_vm_private_ranges(const struct model_vm *vm)
{
	return &vm->private_ranges;
}

int model_vm_set_attributes(struct model_vm *vm, const struct kvm_memory_attributes *arguments)
{
	uint64_t address = arguments->address, size = arguments->size;

	if (!vm->rules.attributes_call)
		return -ENOTTY;
	if (arguments->flags || arguments->attributes & ~vm->rules.memory_attributes)
		return -EINVAL;
	if (size == 0 || address + size < address)
		return -EINVAL;
	if (!model_aligned(vm, address) || !model_aligned(vm, size))
		return -EINVAL;
	if (arguments->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return ranges_add(&vm->private_ranges, address, size);
	return ranges_remove(&vm->private_ranges, address, size);
}
