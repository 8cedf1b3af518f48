/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trying again, with pauses that double: 1 s to half a minute.
 */
#pragma once

#include <event2/event.h>

struct retry {
	struct event *timer;
	unsigned pause; /* seconds until the next one */
};

/* try is called with context in each turn that is due. -ENOMEM. */
int retry_init(struct retry *retry, struct event_base *base, event_callback_fn try, void *context);
void retry_clear(struct retry *retry);
/* After a pause. */
void retry_later(struct retry *retry);
/* It has succeeded: the next pause is the shortest again. */
void retry_reset(struct retry *retry);
