/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rest of a recovery: what nobody can tell from outside whether it is done yet, and would have
 * the first wait who ask a gmemd that takes over thousands of VMs. It is done for some VMs at a
 * time, in turns of gmemd's own, once it serves:
 *
 *  - a VM's process and gate are watched: whichever has ended or trapped meanwhile is so still;
 *  - its mailbox is as a gmemd leaves it: fixed, with its tenant, and what its predecessor has
 *    written and not committed is cleared. Before gmemd itself writes there that is done in any
 *    case (mailbox_take()). Where there is no memory for it, all is gone over once more;
 *  - its ledger is mapped, and the copy that it was read from is freed;
 *  - quiet connections become peers: daemon/peer/quiet_peers.h.
 *
 * A gmemd that is killed amid it leaves it to the next one, as all that comes before.
 */
#pragma once

#include "daemon/gmemd.h"

/* For all VMs that there are. -ENOMEM. */
int recovery_rest_begin(struct gmemd *gmemd);
/* What is left is not done. */
void recovery_rest_end(struct gmemd *gmemd);
