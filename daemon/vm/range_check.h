/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether guest addresses can be private, as vm.resume or a ledger tell of them: the bounds are
 * memory.convert's.
 */
#pragma once

#include "daemon/vm/registry.h"
#include "protocol/methods.h"

/* NULL where they can; else guest_range's member that is wrong, and *ret_expected what it must
 * be. */
const char *guest_range_fault(
	const struct vm *vm, const struct guest_range *range, const char **ret_expected);
