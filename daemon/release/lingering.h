/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that are refused for the sake of VMs that linger (daemon/release/vm_watch.h).
 */
#pragma once

#include "daemon/request/request.h"

/*
 * code: what the request is to answer with. Where a budget has no room, and would have it without
 * what VMs hold whose processes have ended, those are released, and it answers that gmemd is busy:
 * asked again it finds the room. The same of what an owner may have of VMs or memories, of VMs of
 * the caller's user in its tenant. Else it is the code. So nobody ends another's VM by asking for
 * more than there can be, or for what that VM has nothing of.
 */
int request_before_lingering(struct request *request, int code);
