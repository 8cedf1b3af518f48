/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery: taking over what a predecessor has left at the keeper.
 *
 * Each VM is as its ledger says, with the files that the keeper holds for it; what belongs to no
 * ledger is dropped, and a VM whose process has ended meanwhile is released. What the predecessor
 * was amid is finished or taken back.
 */
#pragma once

#include "daemon/gmemd.h"

/* Says in the log what it could not take over. Needs the loop's base, not the loop. */
void recover_vms(struct gmemd *gmemd, struct recovered *ret);

/* Puts all VMs to the keeper: a custody_put_all. */
void recovery_put_vms(struct gmemd *gmemd);
