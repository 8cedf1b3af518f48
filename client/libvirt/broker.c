/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd. See broker.h.
 */
#include "client/libvirt/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/common/say.h"
#include "client/gmem.h"
#include "client/libvirt/retry.h"
#include "kernel/base/cleanup.h"
#include "protocol/cursors.h"
#include "protocol/json.h"

struct broker {
	struct event_base *base;
	const char *socket;
	void (*appeared)(void *context);
	void *context;
	struct retry retry;
	struct gmem *gmem;      /* NULL: gmemd isn't there */
	struct event *readable; /* with nothing asked for, by gmemd's end alone */
	bool missing;           /* and it was said */
};

static void disconnect(struct broker *broker)
{
	if (broker->readable)
		event_free(broker->readable);
	broker->readable = NULL;
	broker->gmem = gmem_free(broker->gmem);
}

static void lose(struct broker *broker, const char *why)
{
	if (!broker->missing)
		say(LOG_WARNING, "%s: %s; it is tried again", broker->socket, why);
	broker->missing = true;
	disconnect(broker);
	retry_later(&broker->retry);
}

static void look(evutil_socket_t fd, short what, void *context)
{
	struct broker *broker = context;
	cleanup_free char *event = NULL;

	(void)fd;
	(void)what;
	if (gmem_next_event(broker->gmem, /* timeout_ms= */ 0, &event) == -ECONNRESET)
		lose(broker, "gmemd is gone");
}

static int watch_connection(struct broker *broker)
{
	broker->readable =
		event_new(broker->base, gmem_fd(broker->gmem), EV_READ | EV_PERSIST, look, broker);
	return broker->readable && event_add(broker->readable, NULL) == 0 ? 0 : -ENOMEM;
}

static void try_connect(evutil_socket_t fd, short what, void *context)
{
	struct broker *broker = context;
	int r = gmem_connect(broker->socket, &broker->gmem);

	(void)fd;
	(void)what;
	if (r == 0)
		r = watch_connection(broker);
	if (r < 0) {
		lose(broker, strerror(-r));
		return;
	}
	/* The file must stay the one that is watched. */
	gmem_set_reconnect_limit(broker->gmem, /* limit_ms= */ 0);
	say(LOG_INFO, "%s: connected", broker->socket);
	broker->missing = false;
	retry_reset(&broker->retry);
	broker->appeared(broker->context);
}

int broker_new(struct event_base *base, const char *socket, void (*appeared)(void *context),
	void *context, struct broker **ret)
{
	struct broker *broker = calloc(1, sizeof *broker);

	if (!broker)
		return -ENOMEM;
	broker->base = base;
	broker->socket = socket;
	broker->appeared = appeared;
	broker->context = context;
	if (retry_init(&broker->retry, base, try_connect, broker) < 0) {
		free(broker);
		return -ENOMEM;
	}
	event_active(broker->retry.timer, EV_TIMEOUT, 0);
	*ret = broker;
	return 0;
}

struct broker *broker_free(struct broker *broker)
{
	if (!broker)
		return NULL;
	disconnect(broker);
	retry_clear(&broker->retry);
	free(broker);
	return NULL;
}

bool broker_is_there(const struct broker *broker)
{
	return broker->gmem;
}

/* 0, or why not: then gmemd is gone, or has refused with -EREMOTEIO. */
static int call(struct broker *broker, const char *method, struct json_object *take_params,
	struct json_object **ret_result)
{
	cleanup_free char *text = NULL;
	const char *why;
	int r = gmem_call(broker->gmem, method, json_print(take_params, NULL), &text);

	json_unref(take_params);
	if (r == 0) {
		*ret_result = json_parse(text, strlen(text), &why);
		r = *ret_result ? 0 : -EPROTO;
	}
	if (r < 0 && r != -EREMOTEIO)
		lose(broker, strerror(-r));
	return r;
}

static void append_living(struct json_object *vms, const struct json_object *page)
{
	struct json_object *of_page = json_get(page, "vms");

	for (size_t i = 0; i < json_length(of_page); i++) {
		struct json_object *vm = json_at(of_page, i);
		const char *state = json_get_string(vm, "state");

		if (strcmp(state, "released") != 0 && strcmp(state, "lingering") != 0)
			json_append(vms, json_ref(vm));
	}
}

static struct json_object *after(const char *cursor)
{
	struct json_object *params = json_new_object();

	if (cursor[0])
		json_add_string(params, "cursor", cursor);
	return params;
}

/* 0, or 1 where another page follows the cursor in *page, which is this one in the end. */
static int next_page(struct broker *broker, struct cursors *cursors, struct json_object **page,
	struct json_object *vms)
{
	struct json_object *next = NULL;
	int r = call(broker, "vm.list", after(json_get_string(*page, "cursor")), &next);

	json_unref(*page);
	*page = next;
	if (r < 0)
		return r;
	append_living(vms, next);
	if (!json_get_string(next, "cursor")[0])
		return 0;
	r = cursors_note(cursors, json_get_string(next, "cursor"));
	return r < 0 ? r : 1;
}

struct json_object *broker_vms(struct broker *broker)
{
	struct json_object *vms, *page;
	struct cursors cursors = {.seen = NULL};
	int r = 1;

	if (!broker->gmem)
		return NULL;
	vms = json_new_array();
	page = json_new_object();
	while (r > 0)
		r = next_page(broker, &cursors, &page, vms);
	cursors_clear(&cursors);
	json_unref(page);
	return r == 0 ? vms : json_unref(vms);
}

bool broker_set(struct broker *broker, const struct broker_wish *wish, char *ret_why, size_t size)
{
	struct json_object *params = json_new_object(), *result = NULL;
	int r;

	json_add_string(params, "vm", wish->vm);
	if (wish->commit_limit)
		json_add_uint(params, "commit_limit", wish->commit_limit);
	if (wish->tenant)
		json_add_string(params, "tenant", wish->tenant);
	ret_why[0] = '\0';
	r = call(broker, "vm.set", params, &result);
	if (r == -EREMOTEIO)
		snprintf(ret_why, size, "%s", gmem_last_message());
	json_unref(result);
	return r == 0;
}
