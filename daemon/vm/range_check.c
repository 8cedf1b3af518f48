/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether guest addresses can be private. See range_check.h.
 */
#include "daemon/vm/range_check.h"

#include <string.h>

#include "kernel/store/frames.h"
#include "protocol/field_check.h"

/* Of memory.convert's ranges. */
static const struct field *range_fields(void)
{
	const struct field *field = methods[METHOD_MEMORY_CONVERT].parameters;

	while (strcmp(field->name, "ranges") != 0)
		field++;
	return field->fields;
}

const char *guest_range_fault(
	const struct vm *vm, const struct guest_range *range, const char **ret_expected)
{
	const struct field *field = fields_fault(range_fields(), range);

	*ret_expected = "what memory.convert takes for it";
	if (field)
		return field->name;
	*ret_expected = "left out: the VM's type has no private memory";
	if (!vm_has_private_memory(vm))
		return "guest_phys_addr";
	*ret_expected = "at most what guest-physical memory has from guest_phys_addr on";
	if (range->guest_phys_addr >= FRAMES_END ||
		range->size > FRAMES_END - range->guest_phys_addr)
		return "size";
	return NULL;
}
