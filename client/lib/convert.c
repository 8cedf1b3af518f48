/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion of guest frames, and what a VMM does with KVM_EXIT_MEMORY_FAULT. See gmem.h.
 */
#include <errno.h>
#include <unistd.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "client/lib/trigger.h"
#include "kernel/base/uapi.h"
#include "protocol/json.h"
#include "protocol/methods.h"

_Static_assert(GMEM_EXIT_MEMORY_FAULT == KVM_EXIT_MEMORY_FAULT, "kernel ABI");
_Static_assert(GMEM_SHARED == (unsigned)CONVERT_TO_SHARED, "state");
_Static_assert(GMEM_PRIVATE == (unsigned)CONVERT_TO_PRIVATE, "state");

static struct json_object *convert_params(const struct gmem_vm *vm, enum gmem_state to,
	const struct gmem_range *ranges, size_t count, unsigned flags)
{
	struct json_object *params = vm_params(vm);
	struct json_object *list;

	json_add_string(params, "to", convert_to_names[to]);
	json_add_bool(params, "discard", !(flags & GMEM_CONVERT_KEEP));
	list = json_add_array(params, "ranges");
	for (size_t i = 0; i < count; i++) {
		struct json_object *range = json_append_object(list);

		json_add_uint(range, "guest_phys_addr", ranges[i].guest_phys_addr);
		json_add_uint(range, "size", ranges[i].size);
	}
	return params;
}

/* Those after one that failed are reported, too: as not done. */
static int trigger_all(struct gmem_vm *vm, struct json_object *calls, uint64_t *discarded)
{
	int r = 0;

	for (size_t i = 0; i < json_length(calls); i++) {
		struct json_object *call = json_at(calls, i);

		if (r < 0)
			vm_report_untouched(vm, call);
		else
			r = vm_carry_out(vm, call, discarded);
	}
	return r;
}

static int check_arguments(enum gmem_state to, size_t count, unsigned flags)
{
	if (to != GMEM_SHARED && to != GMEM_PRIVATE)
		return last_error_own(
			-EINVAL, "to must be GMEM_SHARED or GMEM_PRIVATE, not %d", (int)to);
	if (flags & ~GMEM_CONVERT_KEEP)
		return last_error_own(-EINVAL, "flags must be 0 or GMEM_CONVERT_KEEP");
	return vm_check_range_count(count);
}

static int convert_ranges(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges,
	size_t count, unsigned flags, uint64_t *ret_discarded)
{
	struct json_object *result;
	uint64_t discarded = 0;
	int r = check_arguments(to, count, flags);

	if (r == 0)
		r = connection_request(vm->gmem, "memory.convert",
			convert_params(vm, to, ranges, count, flags), NULL, &result);
	if (r < 0)
		return r;
	json_get_uint(result, "discarded", &discarded);
	r = trigger_all(vm, json_get(result, "calls"), ret_discarded ? &discarded : NULL);
	json_unref(result);
	if (r == 0)
		vm_note_converted(vm, to, ranges, count);
	if (r == 0 && ret_discarded)
		*ret_discarded = discarded;
	return r;
}

int gmem_convertv(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges,
	size_t count, unsigned flags, uint64_t *ret_discarded)
{
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = convert_ranges(vm, to, ranges, count, flags, ret_discarded);
	return last_error_complete(r, "converting");
}

int gmem_convert(struct gmem_vm *vm, enum gmem_state to, uint64_t guest_phys_addr, uint64_t size,
	unsigned flags, uint64_t *ret_discarded)
{
	struct gmem_range range = {guest_phys_addr, size};

	return gmem_convertv(vm, to, &range, 1, flags, ret_discarded);
}

/* The exit's part of struct kvm_run, which Debian 12's header lacks. */
struct memory_fault {
	uint64_t flags;
	uint64_t guest_phys_addr;
	uint64_t size;
};

static int round_to_pages(const struct memory_fault *fault, struct gmem_range *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = fault->guest_phys_addr & ~(page - 1), end;

	if (fault->size == 0 ||
		__builtin_add_overflow(fault->guest_phys_addr, fault->size + page - 1, &end))
		return last_error_own(
			-EINVAL, "the exit's range is empty, or passes the end of all addresses");
	*ret = (struct gmem_range){start, (end & ~(page - 1)) - start};
	return 0;
}

int gmem_memory_fault(struct gmem_vm *vm, const struct kvm_run *run)
{
	const struct memory_fault *fault = (const void *)&run->hw;
	enum gmem_state to;
	struct gmem_range range;
	int r = connection_enter(vm->gmem);

	if (r < 0)
		return r;
	if (run->exit_reason != KVM_EXIT_MEMORY_FAULT)
		return last_error_own(
			-EINVAL, "the exit is not KVM_EXIT_MEMORY_FAULT, but %u", run->exit_reason);
	if (fault->flags & ~(uint64_t)KVM_MEMORY_EXIT_FLAG_PRIVATE)
		return last_error_own(-EINVAL,
			"the exit has a flag that this library does not know: 0x%llx",
			(unsigned long long)fault->flags);
	to = fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ? GMEM_PRIVATE : GMEM_SHARED;
	r = round_to_pages(fault, &range);
	return r < 0 ? r : gmem_convertv(vm, to, &range, 1, 0, NULL);
}
