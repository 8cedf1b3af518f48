/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Going on after the connection broke: another one to the same path, and on it the VM again.
 *
 * What gmemd did of the request that was not answered is wholly there or not at all. What it has
 * written for this process to trigger and this process never heard of is reported as not done; so
 * the request can be repeated.
 */
#pragma once

#include "client/lib/transport.h"

/*
 * The caller has its turn, and waits until connection_until() for somebody to connect to.
 * -ECONNRESET where there is no path or nobody serves there in time, -EREMOTEIO where gmemd refuses
 * to go on with the VM.
 */
int reconnect(struct gmem *gmem);
/* Of a VM that is known only since the connection was made again: gmemd is told of it now. Errors
 * are reconnect()'s. */
int reconnect_with_vm(struct gmem *gmem);
/* The same as reconnect(), but tries it only once. */
int reconnect_at_once(struct gmem *gmem);
