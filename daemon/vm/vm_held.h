/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the keeper holds for a VM, but for its memories: its ledger, its file of frames, its
 * mailbox, its report page, its gate's listener and its process.
 */
#pragma once

#include "daemon/fdstore/fdstore.h"
#include "daemon/vm/vm.h"

/* Has nobody open its mailbox for writing any more, where gmemd may see to that. */
void vm_fix_mailbox(const struct vm *vm);
/* Puts what is held for it to the keeper. */
void vm_put(struct vm *vm);
/* Has the keeper drop what it holds for the VM of that number. */
void vm_drop_held(struct fdstore *fdstore, uint64_t number);
