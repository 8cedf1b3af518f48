/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * event.subscribe.
 */
#include "daemon/methods/methods.h"
#include "daemon/request/request.h"

int handle_event_subscribe(struct request *request)
{
	events_subscribe(&request->gmemd->events, request->caller->subscriber);
	return 0;
}
