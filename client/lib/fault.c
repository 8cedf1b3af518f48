/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a VMM does with KVM_EXIT_MEMORY_FAULT. See gmem.h.
 *
 * KVM exits so for three reasons that it does not tell apart. On a type of VM whose guest says what
 * it takes a frame for, the guest has taken it for what it is not: a wish. On
 * KVM_X86_SW_PROTECTED_VM no guest can say that: the exit tells what KVM has found the frame to be,
 * which a conversion by another vCPU has changed meanwhile, or a leftover of what was there before,
 * and is then over. And wherever KVM can't have the frame's page it exits so too, with an errno of
 * its own, or with EFAULT for a page that is nowhere.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/last_error.h"
#include "client/lib/transport.h"
#include "client/lib/vm_state.h"
#include "kernel/base/uapi.h"

_Static_assert(GMEM_EXIT_MEMORY_FAULT == KVM_EXIT_MEMORY_FAULT, "kernel ABI");

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

static int check_exit(const struct kvm_run *run, const struct memory_fault *fault, int error)
{
	if (run->exit_reason != KVM_EXIT_MEMORY_FAULT)
		return last_error_own(
			-EINVAL, "the exit is not KVM_EXIT_MEMORY_FAULT, but %u", run->exit_reason);
	if (error <= 0)
		return last_error_own(-EINVAL,
			"error must be the errno with which KVM_RUN has failed, not %d", error);
	if (fault->flags & ~(uint64_t)KVM_MEMORY_EXIT_FLAG_PRIVATE)
		return last_error_own(-EINVAL,
			"the exit has a flag that this library does not know: 0x%llx",
			(unsigned long long)fault->flags);
	return 0;
}

/* The page can't be had, whatever its frame is. */
static int no_page(const struct gmem_range *range, int error, const char *why)
{
	return last_error_own(-error, "the guest can't have the page at 0x%llx: %s",
		(unsigned long long)range->guest_phys_addr, why);
}

static const char *reason_of(int error)
{
	if (error == ENOMEM)
		return "there is no memory for it, in this process's memory cgroup or on the host";
	if (error == EHWPOISON)
		return "its memory has failed (a poisoned page)";
	return strerror(error);
}

/* On a type without private memory nothing can be converted. */
static int convert(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *range)
{
	int r = gmem_convertv(vm, to, range, 1, 0, NULL);

	if (r == -EREMOTEIO && strcmp(last_error_details()->reason, "unsupported") == 0)
		return no_page(range, EFAULT,
			"nothing of it is there, and frames of this type of VM can't be converted");
	return r;
}

/* Once: then it is over, unless something has changed since. */
static int run_again(struct gmem_vm *vm, const struct kvm_run *run, const struct gmem_range *range,
	const char *why)
{
	if (conversions_contradicted_again(&vm->conversions, run, range->guest_phys_addr))
		return no_page(range, EFAULT, why);
	return 0;
}

/* What is so already another vCPU has wished for, too. */
static int fulfil(struct gmem_vm *vm, const struct kvm_run *run, enum gmem_state wished,
	const struct gmem_range *range)
{
	if (conversions_find(&vm->conversions, wished, range) == CONVERSIONS_ARE_SO)
		return run_again(vm, run, range,
			"no slot has it, or its memory's file is closed; and it is what the guest "
			"takes it for");
	return convert(vm, wished, range);
}

/* What is found as it is noted is there, but for its page. */
static int explain(struct gmem_vm *vm, const struct kvm_run *run, enum gmem_state found,
	const struct gmem_range *range)
{
	if (conversions_find(&vm->conversions, found, range) == CONVERSIONS_ARE_SO)
		return no_page(range, EFAULT,
			"no slot has it, or its memory's file is closed; and the guest has wished "
			"for no conversion");
	return run_again(vm, run, range,
		"KVM takes it for what it is not, again, and nothing has been converted since: the "
		"guest may have touched it before there was a slot");
}

int gmem_memory_fault(
	struct gmem_vm *vm, const struct kvm_run *run, int error, enum gmem_fault means)
{
	const struct memory_fault *fault = (const void *)&run->hw;
	enum gmem_state state;
	struct gmem_range range;
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = check_exit(run, fault, error);
	if (r == 0)
		r = round_to_pages(fault, &range);
	if (r < 0)
		return r;
	if (error != EFAULT)
		return no_page(&range, error, reason_of(error));
	state = fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ? GMEM_PRIVATE : GMEM_SHARED;
	return means == GMEM_FAULT_WISHED ? fulfil(vm, run, state, &range)
					  : explain(vm, run, state, &range);
}
