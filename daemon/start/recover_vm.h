/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery: taking over the VMs that a predecessor has left at the keeper.
 *
 * Each VM is as its ledger says, with the files that the keeper holds for it. What the predecessor
 * was amid is finished or taken back.
 */
#pragma once

#include "daemon/fdstore/inherited_fds.h"
#include "daemon/gmemd.h"

/* Takes what VMs have of what the keeper held, and says in the log what it could not take over.
 * Needs the loop's base, not the loop. 0, or what inheriting_lacks(), or -EPROTONOSUPPORT where
 * a newer gmemd has left one: the keeper has all of it still, and this gmemd can't serve. */
int recover_vms(struct gmemd *gmemd, struct inherited_fds *inherited);
/* Settles what VMMs have reported in their pages meanwhile, releases the VMs whose processes have
 * ended, and what was being released: once those are there who are to be told. */
void recovery_finish(struct gmemd *gmemd);
