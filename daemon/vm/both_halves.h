/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both halves: guest frames that are private come from one file, those that are shared from
 * another, and only one of the two is in use.
 *
 * A slot's shared half is the memfd that it was bound with, or without one the VMM's own memory,
 * which gmemd can't free. A guest_memfd that can be mapped is both: with GUEST_MEMFD_FLAG_MMAP the
 * kernel takes shared frames from it as well (Linux 6.18), so that there is but one half, and a
 * memfd beside it would never be seen by the guest.
 *
 * A conversion frees the half that went stale, so that a confidential VM of size S costs S and not
 * 2S. Nothing is punched before the kernel has the attributes: until then the guest may still use
 * that half, and whatever it touches afterwards is zeroed. The order, and what each kill leaves:
 *
 *  1. memory.convert: what is to be in both halves is charged, the frames are converting, and the
 *     call is in the VM's ledger, its ranges in the mailbox. No other conversion may touch them.
 *  2. The VMM triggers the ioctls and reports how many have succeeded. The ledger says
 *     so, committed: the call is being settled. Before it reports, the VMM may have given back the
 *     stale halves of those itself, as libgmem does with small ones; then 3 finds nothing to do.
 *  3. The page worker gives the stale halves of those back (daemon/release/settlement.h).
 *  4. The frames are written to the VM's file of frames, as private or shared.
 *  5. The call's record is deleted, and its report noted as settled, in one commit; then its
 *     entries are free, and who has reported it is answered.
 *
 *  | killed after | a successor finds                    | and                                  |
 *  | 1            | the call, not reported               | waits for its report                 |
 *  | 2, 3         | the call, with how many succeeded    | punches what is stale again, which   |
 *  |              |                                      | does no harm: no guest frame uses it |
 *  | 4            | the same                             | does it all once more                |
 *  | 5            | no call                              | answers a report of it as settled    |
 *
 * A frame is counted once, in whichever half; what is kept in both (discard false) is charged twice
 * until it is discarded or its slot goes (commitment.h).
 */
#pragma once

#include "daemon/pages/page_job.h"
#include "daemon/vm/slot.h"
#include "kernel/base/ranges.h"

/* Whether such a memory can have another half. */
bool both_halves_possible(const struct memory *memory);

/* Has the job give back the half that is stale where the range's guest frames are as said. Returns
 * in how many parts; job may be NULL, to count them. */
size_t both_halves_add_stale(struct vm *vm, enum convert_to state, const struct guest_range *range,
	struct page_job *job);

/* Adds the guest addresses of the range that have two halves in gmemd's hands. -ENOMEM. */
int both_halves_find(struct vm *vm, uint64_t guest_phys_addr, uint64_t size, struct ranges *ret);
