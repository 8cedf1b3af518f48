/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library does with events of memory pressure. See gmem.h.
 */
#include <string.h>

#include "client/lib/connection.h"
#include "client/lib/events.h"
#include "client/lib/last_error.h"
#include "protocol/event_kinds.h"
#include "protocol/json.h"
#include "protocol/methods.h"

static enum gmem_pressure_level level_by_name(const char *name)
{
	int level = GMEM_PRESSURE_CRITICAL;

	while (level > GMEM_PRESSURE_NONE && strcmp(pressure_level_names[level], name) != 0)
		level--;
	return (enum gmem_pressure_level)level;
}

static void read_event(const struct json_object *event, struct gmem_pressure *ret)
{
	*ret = (struct gmem_pressure){.level = level_by_name(json_get_string(event, "level"))};
	json_get_uint(event, "ask", &ret->ask);
	json_get_uint(event, "deadline_ms", &ret->deadline_ms);
}

static int set_handler(struct gmem *gmem, gmem_pressure_handler handler, void *context)
{
	int r = connection_take_turn(gmem);

	if (r < 0)
		return r;
	gmem->pressure_handler = handler;
	gmem->pressure_context = context;
	connection_leave_turn(gmem);
	return 0;
}

int gmem_set_pressure_handler(struct gmem *gmem, gmem_pressure_handler handler, void *context)
{
	int r = connection_enter(gmem);

	if (r == 0 && handler)
		r = connection_request(gmem, "event.subscribe", NULL, NULL, NULL);
	if (r == 0)
		r = set_handler(gmem, handler, context);
	return last_error_complete(r, "setting the handler of pressure");
}

/* The handler is called outside of the turn, so that it can make calls. */
static bool handle_next(struct gmem *gmem)
{
	gmem_pressure_handler handler;
	struct gmem_pressure pressure;
	struct json_object *event;
	void *context;

	if (connection_take_turn(gmem) < 0)
		return false;
	handler = gmem->pressure_handler;
	context = gmem->pressure_context;
	event = handler ? events_take(gmem, event_descriptions[EVENT_PRESSURE].kind) : NULL;
	connection_leave_turn(gmem);
	if (!event)
		return false;
	read_event(event, &pressure);
	json_unref(event);
	handler(&pressure, context);
	return true;
}

int gmem_dispatch(struct gmem *gmem)
{
	int r = connection_enter(gmem);

	if (r < 0)
		return r;
	r = events_receive(gmem);
	while (handle_next(gmem))
		continue;
	return last_error_complete(r, "dispatching events");
}
