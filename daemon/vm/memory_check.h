/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there can be a memory as it is told of, by memory.create, by vm.resume or by a ledger:
 * the same checks for all of them.
 */
#pragma once

#include "daemon/vm/memory.h"
#include "protocol/methods.h"

enum memory_fault_kind {
	MEMORY_FAULT_NONE,
	MEMORY_FAULT_PARAM, /* one of its values */
	MEMORY_FAULT_FLAGS, /* VMs of its type have no such flag */
	MEMORY_FAULT_NAME,  /* another of the VM's memories has it */
};

struct memory_fault {
	enum memory_fault_kind kind;
	const char *param; /* memory.create's */
	const char *expected;
};

/* -EINVAL, and what is wrong. vm of what is told doesn't matter; an id is not told. */
int memory_check_told(struct vm *vm, const struct memory_create_parameters *told,
	struct memory_request *ret, struct memory_fault *ret_fault);
