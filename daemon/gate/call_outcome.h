/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outcomes: what gmemd does once it is known what came of a call, whoever has carried it out.
 */
#pragma once

#include "daemon/report/events.h"
#include "daemon/vm/call.h"

/*
 * The first done ioctls of a call succeeded, and no more. A creation's memory must have its file by
 * now, and a conversion's stale half be gone: settlement.h sees to that. The call is freed.
 * -ENOMEM, and then it can be said again.
 */
int call_outcome_settle(struct events *events, struct call *take_call, unsigned done);
