/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Postponements: requests that can't be begun yet, and are served as if they came later.
 *
 * A caller's next packets wait meanwhile, as for any answer. gmemd may end meanwhile: its successor
 * has the packet.
 */
#pragma once

#include "daemon/request/request.h"

/* What carries a request out returns where it has not begun; above all of deferred_answer.h. */
#define REQUEST_POSTPONED 2

/* Keeps the request, whose message it is, until the keeper is ready for it. Returns
 * REQUEST_DEFERRED, or the code of the error that it filled in. */
int request_postpone(struct request *request);
