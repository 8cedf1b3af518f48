/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of what a VM has: its memories, slots, private frames and calls, as its predecessor's
 * ledger says.
 */
#pragma once

#include "daemon/fdstore/inherited_fds.h"
#include "daemon/vm/vm.h"
#include "kernel/store/ledger.h"

/* What can't be taken over is told in the log and deleted from the ledger, when that is committed
 * next. 0, or what inheriting_lacks(): then nothing is to be committed, and nothing dropped. */
int recovery_content(struct vm *vm, struct ledger *ledger, struct inherited_fds *inherited);
