/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settlements: what gmemd does once a call is reported.
 *
 * Mostly that is done at once. A conversion whose stale half is to be discarded is between
 * "attributes set" and "settled" until its pages are gone: the VM's ledger says so, so that a
 * successor discards them again, and who has reported it is answered then.
 */
#pragma once

#include "daemon/request/request.h"
#include "daemon/vm/call.h"

/*
 * The first done ioctls of the call succeeded, and no more. Returns 0 where all that follows is
 * done: then the call is freed, and *ret_discarded is how many bytes of pages went.
 * REQUEST_DEFERRED where it is under way: call->settlement. -ENOMEM, and then it can be said again.
 */
int settlement_begin(
	struct gmemd *gmemd, struct call *take_call, unsigned done, uint64_t *ret_discarded);

/*
 * Has the request answered when that is done, with its result as it is now. discarded: what else
 * is to be added to the bytes that went, which then are its "discarded"; NULL: it tells of none.
 * Returns REQUEST_DEFERRED, or the code of the error that it filled in.
 */
int settlement_await(struct request *request, struct call *call, const uint64_t *discarded);
