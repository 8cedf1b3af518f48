/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commitment: what a VM is charged for its memories.
 *
 * Each memory counts for its whole size from creation to close. In a VM with private memory a guest
 * frame is in one half at a time: what its guest_memfds and its memfds have in common counts once,
 * but for what a conversion has left in both. So a confidential VM of size S is charged S.
 */
#pragma once

#include "daemon/vm/registry.h"

/*
 * Charges what the VM's memories of that backing grow by. NULL where it was taken, else the budget
 * that refused, and nothing has changed; *ret_bytes is what was asked of it.
 */
const struct budget *commitment_grow(
	struct vm *vm, enum memory_backing backing, uint64_t size, uint64_t *ret_bytes);
void commitment_shrink(struct vm *vm, enum memory_backing backing, uint64_t size);

/* The same for bytes of guest frames that are in both halves. */
const struct budget *commitment_keep(struct vm *vm, uint64_t size, uint64_t *ret_bytes);
void commitment_discard(struct vm *vm, uint64_t size);
