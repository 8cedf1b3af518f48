/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there can be a slot as it is told of, by slot.bind, by vm.resume or by a ledger: the same
 * checks for all of them.
 */
#pragma once

#include "daemon/vm/slot.h"
#include "protocol/methods.h"

enum slot_fault_kind {
	SLOT_FAULT_NONE,
	SLOT_FAULT_PARAM, /* one of its values, as such or in this VM */
	SLOT_FAULT_MEMORY_UNKNOWN,
	SLOT_FAULT_MEMORY_PENDING,
	SLOT_FAULT_MEMORY_CLOSING,
	SLOT_FAULT_CONFLICT,
	SLOT_FAULT_LEAVING,    /* another in the way that leaves; see slot_leaving_in_way() */
	SLOT_FAULT_CHANGING,   /* the slot's flags, which are to be changed, are amid a change */
	SLOT_FAULT_OWN_MEMORY, /* more of its process's own memory than a VM may bind */
};

struct slot_fault {
	enum slot_fault_kind kind;
	const char *param; /* slot.bind's */
	const char *expected;
	uint64_t memory; /* its id, where it is the memory's fault */
	enum slot_conflict conflict;
	const struct slot *other; /* in the way */
};

/* -EINVAL, and what is wrong. vm and guest_memfd of what is told don't matter. */
int slot_check_told(struct vm *vm, const struct slot_bind_parameters *told,
	struct slot_request *ret, struct slot_fault *ret_fault);
/* The same but for other slots. */
int slot_check_alone(struct vm *vm, const struct slot_bind_parameters *told,
	struct slot_request *ret, struct slot_fault *ret_fault);
/* Whether there is none in the way that leaves, but for those that leave by that change. */
int slot_check_leaving(const struct vm *vm, const struct slot_request *request,
	const struct slot_change *change, struct slot_fault *ret_fault);

/* The bound plain slot that is told of again with other flags at most; NULL where there is none. */
struct slot *slot_told_again(struct vm *vm, const struct slot_bind_parameters *told);
/* Whether its flags can be changed to those that are told. */
int slot_check_flags(const struct slot *slot, const struct slot_bind_parameters *told,
	struct slot_fault *ret_fault);

/* The same for what a configuration limits, which takes nothing away from who has it already. */
int slot_check_limits(
	const struct vm *vm, const struct slot_request *request, struct slot_fault *ret_fault);
