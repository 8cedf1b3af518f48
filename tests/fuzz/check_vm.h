/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must be so of a VM, whoever has told what it has.
 */
#pragma once

#include "daemon/vm/vm.h"

/* Charges, memories, slots and calls agree. */
void check_vm(struct vm *vm);
