/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events that are kept. See kept_events.h.
 */
#include "client/lib/kept_events.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "protocol/json.h"

struct kept_event *kept_events_pop(struct gmem *gmem)
{
	struct kept_event *event = STAILQ_FIRST(&gmem->events);

	if (event) {
		STAILQ_REMOVE_HEAD(&gmem->events, link);
		gmem->n_events--;
	}
	return event;
}

void kept_event_free(struct kept_event *event)
{
	if (!event)
		return;
	json_unref(event->params);
	free(event);
}

void kept_events_wake(struct gmem *gmem)
{
	if (gmem->kept_signal >= 0)
		eventfd_write(gmem->kept_signal, 1);
}

void kept_events_add(struct gmem *gmem, struct json_object *message)
{
	struct kept_event *event;

	if (strcmp(json_get_string(message, "method"), "event") != 0)
		return;
	event = calloc(1, sizeof *event);
	if (!event)
		return;
	event->params = json_ref(json_get(message, "params"));
	if (gmem->n_events == EVENTS_KEPT_MAX)
		kept_event_free(kept_events_pop(gmem));
	STAILQ_INSERT_TAIL(&gmem->events, event, link);
	gmem->n_events++;
	kept_events_wake(gmem);
}

void kept_events_clear(struct gmem *gmem)
{
	while (gmem->n_events > 0)
		kept_event_free(kept_events_pop(gmem));
}
