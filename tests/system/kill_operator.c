/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The random-kill test's operator: lists, looks closely, preallocates and hears events.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "tests/system/kill_peer.h"

static struct gmem *gmem;
static uint64_t chance, events;

/* What it has seen may be gone when it asks for more. */
static bool is_passing(void)
{
	const char *error = gmem_last_error();

	return strstr(error, "\"not_found\"") || strstr(error, "\"conflict\"") ||
	       strstr(error, "\"busy\"") || strstr(error, "\"gone\"");
}

/* NULL where what it is about is gone. The caller owns it. */
static struct json_object *ask(unsigned thread, const char *method, const char *params)
{
	struct json_object *result;
	const char *why;
	char *text;
	int r;

	peer_doing(thread, "%s %s", method, params);
	r = gmem_call(gmem, method, params, &text);
	peer_done(thread);
	if (r == -EREMOTEIO && is_passing())
		return NULL;
	peer_need(r, method);
	result = json_parse(text, strlen(text), &why);
	free(text);
	return result;
}

static struct json_object *random_of(struct json_object *list)
{
	size_t count = json_length(list);

	return count > 0 ? json_at(list, peer_random(&chance, count)) : NULL;
}

static void preallocate_one(struct json_object *view)
{
	struct json_object *memory = random_of(json_get(view, "memories"));
	char params[64];
	uint64_t id;

	if (!memory || !json_get_uint(memory, "memory", &id))
		return;
	snprintf(params, sizeof params, "{\"memory\":%" PRIu64 "}", id);
	json_unref(ask(1, "memory.preallocate", params));
}

static void look_at(struct json_object *vm)
{
	struct json_object *view;
	char params[64];

	if (!vm)
		return;
	snprintf(params, sizeof params, "{\"vm\":\"%s\"}", json_get_string(vm, "vm"));
	view = ask(1, "vm.get", params);
	if (view && peer_random(&chance, 4) == 0)
		preallocate_one(view);
	json_unref(view);
}

static void hear_events(void)
{
	char *event;
	int r;

	peer_doing(1, "hearing events");
	while ((r = gmem_next_event(gmem, (int)peer_random(&chance, 5), &event)) == 0) {
		free(event);
		events++;
	}
	peer_done(1);
	if (r != -ETIMEDOUT)
		peer_need(r, "hearing events");
}

static void work(unsigned thread)
{
	struct json_object *list;

	(void)thread;
	while (peer_goes_on()) {
		list = ask(1, "vm.list", "{}");
		look_at(random_of(json_get(list, "vms")));
		json_unref(list);
		json_unref(ask(1, "host.describe", "{}"));
		hear_events();
	}
}

static void start(void)
{
	char *result;

	chance = peer.seed;
	gmem = peer_connect();
	peer_doing(0, "subscribing");
	peer_need(gmem_call(gmem, "event.subscribe", "{}", &result), "event.subscribe");
	free(result);
	peer_done(0);
}

static void print(FILE *to)
{
	json_unref(ask(0, "ping", "{}"));
	fprintf(to, "{\"events\":%" PRIu64 "}", events);
}

static void end(void)
{
	gmem = gmem_free(gmem);
}

const struct peer_role operator_role = {1, start, work, print, end};
