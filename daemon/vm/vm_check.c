/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there can be a VM as it is told of. See vm_check.h.
 */
#include "daemon/vm/vm_check.h"

#include <errno.h>
#include <string.h>

#include "kernel/base/uapi.h"
#include "protocol/field_check.h"

static int wrong_setting(struct vm_fault *fault, const char *param, const char *expected)
{
	*fault = (struct vm_fault){.kind = VM_FAULT_PARAM, .param = param, .expected = expected};
	return -EINVAL;
}

static int not_offered(struct vm_fault *fault, const char *param, const char *capability)
{
	*fault = (struct vm_fault){.kind = VM_FAULT_UNSUPPORTED,
		.param = param,
		.expected = "what the host offers",
		.capability = capability};
	return -EINVAL;
}

static int check_type(
	const struct registry *registry, unsigned type, bool private, struct vm_fault *fault)
{
	const struct vm_type_offer *offer = &registry->host->vm_types[type];

	if (!offer->offered)
		return not_offered(fault, "type", "KVM_CAP_VM_TYPES");
	if (!offer->guest_memfd)
		return not_offered(fault, "type", "KVM_CAP_GUEST_MEMFD");
	if (private && !(offer->memory_attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE))
		return not_offered(fault, "initial_state", "KVM_CAP_MEMORY_ATTRIBUTES");
	return 0;
}

int vm_check_told(const struct registry *registry, const struct vm_open_parameters *told,
	unsigned type, struct vm_fault *ret_fault)
{
	const struct field *field = fields_fault(methods[METHOD_VM_OPEN].parameters, told);

	if (field)
		return wrong_setting(ret_fault, field->name, "what vm.open takes for it");
	if (type >= VM_TYPES_MAX)
		return wrong_setting(ret_fault, "type", "that of a VM");
	return check_type(registry, type, told->initial_state == INITIAL_STATE_PRIVATE, ret_fault);
}

/* One that is over leaves both to others. */
static bool keeps_names(const struct vm *vm)
{
	return !vm_is_released(vm) && vm->lingers_until == 0;
}

const char *vm_name_conflict(
	struct registry *registry, uid_t uid, const char *name, const char *uuid)
{
	struct vm *vm = NULL;

	while ((vm = registry_vm_named(registry, uid, name, vm))) {
		if (keeps_names(vm))
			return "name";
	}
	while (uuid && (vm = registry_vm_of_uuid(registry, uid, uuid, vm))) {
		if (keeps_names(vm))
			return "uuid";
	}
	return NULL;
}
