/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receiving events.
 */
#pragma once

#include "client/lib/transport.h"

/* Takes in what has come, without waiting. Where gmemd is gone, goes on with another one if there
 * is one already. */
int events_receive(struct gmem *gmem);
/*
 * The first of the events that have come that is of that kind, taken from them: its parameters,
 * which are the caller's. NULL where there is none.
 */
struct json_object *events_take(struct gmem *gmem, const char *kind);
