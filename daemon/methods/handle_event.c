/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * event.subscribe.
 */
#include "daemon/methods/methods.h"
#include "daemon/request/request.h"

int handle_event_subscribe(struct request *request)
{
	const struct caller *caller = request->caller;

	if (*caller->subscribed)
		return 0;
	events_subscribe(&request->gmemd->events, caller->subscriber);
	*caller->subscribed = true;
	return 0;
}
