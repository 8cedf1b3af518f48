/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there can be a memory as it is told of. See memory_check.h.
 */
#include "daemon/vm/memory_check.h"

#include <errno.h>

#include "daemon/budget/capacity.h"
#include "kernel/host/huge_pages.h"
#include "protocol/field_check.h"

static int wrong_param(struct memory_fault *fault, enum memory_fault_kind kind, const char *param,
	const char *expected)
{
	*fault = (struct memory_fault){kind, param, expected};
	return -EINVAL;
}

/* What the table of methods says of each value, whoever has told it. */
static int check_values(const struct vm *vm, const struct memory_create_parameters *told,
	struct memory_fault *fault)
{
	struct memory_create_parameters whole = *told;
	const struct field *field;

	whole.vm = vm->id;
	field = fields_fault(methods[METHOD_MEMORY_CREATE].parameters, &whole);
	if (!field)
		return 0;
	return wrong_param(
		fault, MEMORY_FAULT_PARAM, field->name, "what memory.create takes for it");
}

static int check_flags(const struct vm *vm, const struct memory_create_parameters *told,
	uint64_t *ret_flags, struct memory_fault *fault)
{
	uint64_t offered = vm_offer(vm)->guest_memfd_flags & (MEMORY_MMAP | MEMORY_INIT_SHARED);
	bool unset = told->flags == FIELD_UNSET;

	if (told->backing == BACKING_MEMFD && !unset)
		return wrong_param(
			fault, MEMORY_FAULT_PARAM, "flags", "left out for a memfd, which has none");
	if (!unset && told->flags & ~offered)
		return wrong_param(fault, MEMORY_FAULT_FLAGS, "flags", "what VMs of its type have");
	*ret_flags = told->backing == BACKING_MEMFD ? 0 : unset ? offered : told->flags;
	return 0;
}

static int check_page_size(const struct memory_create_parameters *told, struct memory_fault *fault)
{
	uint64_t page_size = told->page_size;

	if (page_size == 0)
		return 0;
	if (told->backing != BACKING_MEMFD)
		return wrong_param(fault, MEMORY_FAULT_PARAM, "page_size",
			"left out for a guest_memfd, which has the host's own pages alone");
	if (page_size != HUGE_PAGES_2M && page_size != HUGE_PAGES_1G)
		return wrong_param(fault, MEMORY_FAULT_PARAM, "page_size", "2097152 or 1073741824");
	if (told->size % page_size != 0)
		return wrong_param(
			fault, MEMORY_FAULT_PARAM, "size", "a multiple of the page_size");
	return 0;
}

int memory_check_told(struct vm *vm, const struct memory_create_parameters *told,
	struct memory_request *ret, struct memory_fault *ret_fault)
{
	struct memory_request request = {.name = told->name,
		.size = told->size,
		.backing = told->backing,
		.node = told->node == FIELD_UNSET ? NODE_ANY : (int)told->node,
		.page_size = told->page_size};
	int r;

	r = check_values(vm, told, ret_fault);
	if (r < 0)
		return r;
	r = check_page_size(told, ret_fault);
	if (r < 0)
		return r;
	if (request.node != NODE_ANY &&
		!capacity_has_node(vm->registry->capacity, (unsigned)request.node))
		return wrong_param(ret_fault, MEMORY_FAULT_PARAM, "node",
			"a NUMA node of this host that has memory");
	if (told->name && vm_memory_by_name(vm, told->name))
		return wrong_param(ret_fault, MEMORY_FAULT_NAME, "name", "no other memory's name");
	r = check_flags(vm, told, &request.flags, ret_fault);
	if (r == 0)
		*ret = request;
	return r;
}
