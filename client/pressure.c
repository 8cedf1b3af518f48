/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library does with events of memory pressure. See gmem.h.
 */
#include <string.h>

#include "client/connection.h"
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

int gmem_set_pressure_handler(struct gmem *gmem, gmem_pressure_handler handler, void *context)
{
	int r = 0;

	if (handler)
		r = connection_request(gmem, "event.subscribe", NULL, NULL, NULL);
	if (r < 0)
		return r;
	pthread_mutex_lock(&gmem->turn);
	gmem->pressure_handler = handler;
	gmem->pressure_context = context;
	pthread_mutex_unlock(&gmem->turn);
	return 0;
}

/* The handler is called outside of the turn, so that it can make calls. */
static bool handle_next(struct gmem *gmem)
{
	gmem_pressure_handler handler;
	struct gmem_pressure pressure;
	struct json_object *event;
	void *context;

	pthread_mutex_lock(&gmem->turn);
	handler = gmem->pressure_handler;
	context = gmem->pressure_context;
	pthread_mutex_unlock(&gmem->turn);
	event = handler ? connection_take_event(gmem, event_descriptions[EVENT_PRESSURE].kind)
			: NULL;
	if (!event)
		return false;
	read_event(event, &pressure);
	json_unref(event);
	handler(&pressure, context);
	return true;
}

int gmem_dispatch(struct gmem *gmem)
{
	int r = connection_receive_events(gmem);

	while (handle_next(gmem))
		continue;
	return r;
}
