/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events that came while a call waited for something else. All by who has the turn.
 */
#pragma once

#include "client/lib/transport.h"

/* At most so many are kept; the oldest go first, and their sequence shows the gap. */
#define EVENTS_KEPT_MAX 1024

/* Keeps the message's event, if it is one. */
void kept_events_add(struct gmem *gmem, struct json_object *message);
/* The oldest, which is the caller's; NULL where there is none. */
struct kept_event *kept_events_pop(struct gmem *gmem);
/* Takes NULL. */
void kept_event_free(struct kept_event *event);
void kept_events_clear(struct gmem *gmem);
/* Wakes whoever waits for events without the turn. */
void kept_events_wake(struct gmem *gmem);
