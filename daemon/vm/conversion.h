/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversions: making guest frames private or shared.
 *
 * A conversion is checked and planned as a whole before anything is written. Ranges that touch are
 * one, across slots too, for the kernel's attributes belong to guest frames; what is already as
 * wanted at a range's ends is left out. Its frames are converting until it is known what came of
 * it, and their stale half is gone (daemon/release/settlement.h), and no other conversion may touch
 * them. Guest addresses are of address space 0: VM types with private memory have no other.
 */
#pragma once

#include "daemon/vm/registry.h"
#include "protocol/methods.h"

struct conversion {
	unsigned users; /* calls that are parts of it, and whoever makes them */
	enum convert_to to;
	bool discard;       /* the half that goes stale */
	struct ranges kept; /* what is in both halves from now on, where it is not discarded */
	unsigned count;
	struct guest_range ranges[]; /* by address, none touching another */
};

/* What is wrong with the ranges that were asked for. */
enum conversion_fault {
	CONVERSION_FITS,
	CONVERSION_UNBOUND,  /* no bound slot with a memory holds the range's first address */
	CONVERSION_LEAVES,   /* nor all of the range */
	CONVERSION_REPEATED, /* it overlaps another */
	CONVERSION_BUSY,     /* an earlier call there is not done with */
	CONVERSION_TOO_MANY, /* the VM's private memory would be in too many pieces */
};

/* A request that was checked: what is to do and what is done already. */
struct conversion_plan {
	enum convert_to to;
	bool discard;
	size_t count, n_unchanged;
	struct guest_range *ranges;    /* to be converted */
	struct guest_range *unchanged; /* as wanted already, at the ends of ranges or whole ones */
};

/*
 * Checks and plans. Returns 0, a fault with the number of the first bad range in *ret_index, or
 * -ENOMEM. The plan is to be cleared.
 */
int conversion_plan(struct vm *vm, const struct memory_convert_parameters *parameters,
	struct conversion_plan *ret, size_t *ret_index);
/* To make all of a slot's frames private, bound or not, and those that are so already once more. 0,
 * CONVERSION_BUSY, CONVERSION_TOO_MANY or -ENOMEM. */
int conversion_plan_slot(const struct slot *slot, struct conversion_plan *ret);
void conversion_plan_clear(struct conversion_plan *plan);

/* Of all the plan's ranges, for one user. -ENOMEM. */
int conversion_new(const struct conversion_plan *plan, struct conversion **ret);
struct conversion *conversion_ref(struct conversion *conversion);
/* Takes NULL, returns NULL. */
struct conversion *conversion_unref(struct conversion *conversion);

/*
 * Charges what will be in both halves and marks the frames as converting. -ENOSPC where a budget
 * refuses, which is then *ret_refused with the bytes asked of it in *ret_bytes; -ENOMEM.
 */
int conversion_begin(struct vm *vm, struct conversion *conversion,
	const struct budget **ret_refused, uint64_t *ret_bytes);
/*
 * It is known of count ranges from first on that the first so many are converted (done) and the
 * others are not, and the stale halves of the first are gone where they are to be discarded. Notes
 * that. -ENOMEM, and then it can be said again.
 */
int conversion_end(struct vm *vm, const struct conversion *conversion, unsigned first,
	unsigned count, unsigned done);
/* One that a predecessor had begun: its frames are converting. -EBADMSG where they can't be,
 * -ENOMEM. */
int conversion_recover(struct vm *vm, const struct conversion_plan *plan, struct conversion **ret);
/* The stale half of these guest frames is gone: they are in one alone. -ENOMEM, and then it can be
 * said again. */
int conversion_leave_both(struct vm *vm, const struct guest_range *ranges, size_t count);
/* The slot will be no more: nothing is in both its halves then. -ENOMEM, and nothing has
 * changed. */
int conversion_leave_slot(const struct slot *slot);
