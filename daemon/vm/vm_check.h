/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there can be a VM as it is told of, by vm.open, by a mailbox's label or by a ledger: the
 * same checks for all of them.
 */
#pragma once

#include "daemon/vm/registry.h"
#include "protocol/methods.h"

enum vm_fault_kind {
	VM_FAULT_NONE,
	VM_FAULT_PARAM,       /* one of its values */
	VM_FAULT_UNSUPPORTED, /* the host can't have it */
};

struct vm_fault {
	enum vm_fault_kind kind;
	const char *param; /* vm.open's */
	const char *expected;
	const char *capability; /* that is missing */
};

/* -EINVAL, and what is wrong. The type's name does not matter where type says it. */
int vm_check_told(const struct registry *registry, const struct vm_open_parameters *told,
	unsigned type, struct vm_fault *ret_fault);

/*
 * A user has one VM of a name and of a UUID, which may be NULL: the parameter that another VM of
 * the user's has already, NULL where none has. What others have does not matter.
 */
const char *vm_name_conflict(
	struct registry *registry, uid_t uid, const char *name, const char *uuid);
