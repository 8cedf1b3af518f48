/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both halves: guest frames that are private come from one file, those that are shared from
 * another, and only one of the two is in use.
 *
 * A slot's shared half is the memfd that it was bound with; without one it is the guest_memfd
 * itself where that can be mapped, and then there is but one half, or else the VMM's own memory,
 * which gmemd can't free.
 */
#pragma once

#include "daemon/pages/page_job.h"
#include "daemon/vm/slot.h"
#include "kernel/base/ranges.h"

/* Has the job give back the half that is stale where the range's guest frames are as said. Returns
 * in how many parts; job may be NULL, to count them. */
size_t both_halves_add_stale(struct vm *vm, enum convert_to state, const struct guest_range *range,
	struct page_job *job);

/* Adds the guest addresses of the range that have two halves in gmemd's hands. -ENOMEM. */
int both_halves_find(struct vm *vm, uint64_t guest_phys_addr, uint64_t size, struct ranges *ret);
