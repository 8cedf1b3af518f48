/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trying again. See retry.h.
 */
#include "client/libvirt/retry.h"

#include <errno.h>

#define PAUSE_MAX 30 /* seconds */

int retry_init(struct retry *retry, struct event_base *base, event_callback_fn try, void *context)
{
	retry->pause = 1;
	retry->timer = event_new(base, -1, 0, try, context);
	return retry->timer ? 0 : -ENOMEM;
}

void retry_clear(struct retry *retry)
{
	if (retry->timer)
		event_free(retry->timer);
	retry->timer = NULL;
}

void retry_later(struct retry *retry)
{
	const struct timeval pause = {.tv_sec = retry->pause};

	event_add(retry->timer, &pause);
	retry->pause = 2 * retry->pause > PAUSE_MAX ? PAUSE_MAX : 2 * retry->pause;
}

void retry_reset(struct retry *retry)
{
	event_del(retry->timer);
	retry->pause = 1;
}
