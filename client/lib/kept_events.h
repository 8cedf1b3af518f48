/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events that came while a call waited for something else.
 */
#pragma once

#include "client/lib/connection.h"

/* At most so many are kept; the oldest go first, and their sequence shows the gap. */
#define EVENTS_KEPT_MAX 1024

/* By who has the turn: keeps the message's event, if it is one. */
void event_keep(struct gmem *gmem, struct json_object *message);
void events_forget(struct gmem *gmem);

/*
 * The first of the events that have come that is of that kind, taken from them: its parameters,
 * which are the caller's. NULL where there is none.
 */
struct json_object *events_take(struct gmem *gmem, const char *kind);
/* Takes in what has come, without waiting. Where gmemd is gone, goes on with another one if there
 * is one already. */
int events_receive(struct gmem *gmem);
