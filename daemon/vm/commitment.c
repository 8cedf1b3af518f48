/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commitment. See commitment.h.
 */
#include "daemon/vm/commitment.h"

static uint64_t total(const struct vm *vm, const struct commitment *commitment)
{
	uint64_t guest_memfds = commitment->backed_by[BACKING_GUEST_MEMFD];
	uint64_t memfds = commitment->backed_by[BACKING_MEMFD];
	uint64_t common = guest_memfds < memfds ? guest_memfds : memfds;

	if (vm_has_private_memory(vm))
		common -= commitment->in_both < common ? commitment->in_both : common;
	else
		common = 0;
	return guest_memfds + memfds - common;
}

static const struct budget *change(
	struct vm *vm, const struct commitment *next, uint64_t *ret_bytes)
{
	uint64_t before = total(vm, &vm->commitment), after = total(vm, next);
	const struct budget *refused = NULL;

	if (after > before)
		refused = budget_charge(&vm->budget, after - before);
	else
		budget_give_back(&vm->budget, before - after);
	if (refused)
		*ret_bytes = after - before;
	else
		vm->commitment = *next;
	return refused;
}

const struct budget *commitment_grow(
	struct vm *vm, enum memory_backing backing, uint64_t size, uint64_t *ret_bytes)
{
	struct commitment next = vm->commitment;

	/* More than can be added up, and more than any host has. */
	if (size > UINT64_MAX / 4 - next.backed_by[backing]) {
		*ret_bytes = size;
		return budget_charge(&vm->budget, size);
	}
	next.backed_by[backing] += size;
	return change(vm, &next, ret_bytes);
}

/* Never refused: to shrink never costs more. */
void commitment_shrink(struct vm *vm, enum memory_backing backing, uint64_t size)
{
	struct commitment next = vm->commitment;
	uint64_t bytes;

	next.backed_by[backing] -= size;
	change(vm, &next, &bytes);
}

const struct budget *commitment_keep(struct vm *vm, uint64_t size, uint64_t *ret_bytes)
{
	struct commitment next = vm->commitment;

	next.in_both += size;
	return change(vm, &next, ret_bytes);
}

void commitment_discard(struct vm *vm, uint64_t size)
{
	struct commitment next = vm->commitment;
	uint64_t bytes;

	next.in_both -= size;
	change(vm, &next, &bytes);
}
