/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closed memories: what a VMM has closed, and gmemd goes on holding a file of.
 *
 * Whoever else holds the file, a child of the VMM or a memslot whose end was reported and never
 * triggered, can fill it again. The kernel tells nobody; so gmemd keeps the file to count its
 * pages, and charges the VM for those that are there, whatever the limits. There is no telling
 * whether anybody else holds a file. So those of a VM stay until its process has ended and a minute
 * after that (recount_policy.h), or until there are too many of the VM's or its user's: then the
 * one that has been empty for longest is let go (vm_end.h).
 *
 * Of huge pages none is kept: gmemd's own file would keep those that were reserved from the next
 * VM. What somebody else who has the file fills in again is charged to nobody then, and ends with
 * that file; the hugetlb controller of cgroups is what limits it.
 *
 * A VM whose process has ended remains for as long as a file of it is kept; nobody sees it unless
 * one has pages.
 */
#pragma once

#include "daemon/owner/limit.h"
#include "daemon/vm/memory.h"

/* What a closed memory has beside others, of whose pages resident are charged. */
struct closed {
	struct memory *memory;
	TAILQ_ENTRY(closed) in_vm_empty, in_user_empty;
	TAILQ_ENTRY(closed) in_changed; /* where it is_changed: filled is not what was told */
	struct recount recount;
	bool is_changed, told_filled;
};

/* Keeps the file of a memory whose pages are gone, but for memory->resident. False where it has no
 * file, or one of huge pages, or gmemd keeps none of its VM's, or there is no memory for it. */
bool closed_memory_keep(struct memory *memory);
/* The next to be let go where those of the VM or its user are too many; NULL: none is. */
struct memory *closed_memory_too_many(const struct vm *vm);

/* One that a predecessor has left, with so many bytes of pages when it was last counted. fd, which
 * the keeper holds, is consumed on success. memory_adopt()'s errors, -ENOMEM. */
int closed_memory_recover(struct vm *vm, const struct memory_request *request, uint64_t resident,
	int consume_fd, struct memory **ret);

/* In the place of memory_free(). Returns NULL. */
struct memory *closed_memory_free(struct memory *memory);

/* So many bytes of pages it has; given_back: after it was punched. Returns whether it was empty and
 * is not any more, or is now. */
bool closed_memory_count(struct memory *memory, uint64_t resident, bool given_back);

/* The next that is to be told of: it has pages, or has none any more. NULL: none is. */
struct memory *closed_memory_take_changed(struct registry *registry);

/* What of its memories' closed files is too many for another to be created; LIMITS: nothing. */
enum limit closed_memories_limit(const struct vm *vm);

/* The VM's first closed memory with an id of at least that that has pages, or NULL. */
struct memory *vm_filled_memory_from(struct vm *vm, uint64_t id);

/* CLOCK_MONOTONIC, as recounts have it. */
uint64_t closed_memory_clock(void);
