/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connecting, requests and notifications. See connection.h and gmem.h.
 */
#include "client/lib/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/environment.h"
#include "client/lib/exchange.h"
#include "client/lib/kept_events.h"
#include "client/lib/last_error.h"
#include "client/lib/reconnect.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/message.h"

#define DEFAULT_PATH "/run/gmemd/gmemd.sock"

#define BUSY_TRIES   20
#define PAUSE_MS_MAX 1000

static void make_recursive(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

/* path may be NULL. */
static int gmem_new(int consume_fd, const char *path, bool inherited, struct gmem **ret)
{
	struct gmem *gmem = calloc(1, sizeof *gmem);
	int r = gmem ? own_process_mark(&gmem->mark) : -ENOMEM;

	if (r < 0) {
		fd_close(consume_fd);
		free(gmem);
		return r;
	}
	gmem->fd = consume_fd;
	connection_limit_wait(gmem);
	gmem->kept_signal = -1;
	gmem->inherited = inherited;
	gmem->limit_ms = CONNECTION_PATIENCE_MS;
	gmem->path = path ? strdup(path) : NULL;
	pthread_mutex_init(&gmem->unconfirmed.lock, NULL);
	make_recursive(&gmem->turn);
	STAILQ_INIT(&gmem->events);
	*ret = gmem;
	return 0;
}

static int connect_to(const char *path, struct gmem **ret)
{
	int fd, r = connection_open(path, connection_now_ms() + CONNECTION_PATIENCE_MS, &fd);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return last_error_own(r, "no gmemd serves at %s: %s", path, strerror(-r));
	if (r < 0)
		return last_error_own(r, "connecting to %s: %s", path, strerror(-r));
	return gmem_new(fd, path, /* inherited= */ false, ret);
}

static int take_inherited(struct gmem **ret)
{
	int fd, r = environment_take_fd(GMEM_FD_VARIABLE, &fd);

	if (r == -EBADF)
		last_error_own(r, "%s in the environment names no open file", GMEM_FD_VARIABLE);
	if (r < 0)
		return r;
	return gmem_new(fd, getenv(GMEM_SOCKET_VARIABLE), /* inherited= */ true, ret);
}

int gmem_connect(const char *path, struct gmem **ret)
{
	int r = -ENOENT;

	last_error_clear();
	if (!path)
		r = take_inherited(ret);
	if (r == -ENOENT)
		r = connect_to(path ? path : DEFAULT_PATH, ret);
	return last_error_complete(r, "connecting to gmemd");
}

struct gmem *gmem_free(struct gmem *gmem)
{
	if (!gmem)
		return NULL;
	last_error_clear();
	if (gmem->n_vms > 0) {
		last_error_own(-EBUSY,
			"the VMs that it has opened must be freed before it, by gmem_vm_free()");
		return gmem;
	}
	kept_events_clear(gmem);
	pthread_mutex_destroy(&gmem->turn);
	own_process_unmark(gmem->mark);
	pthread_mutex_destroy(&gmem->unconfirmed.lock);
	json_unref(gmem->unconfirmed.list);
	free(gmem->path);
	fd_close(gmem->kept_signal);
	fd_close(gmem->fd);
	free(gmem);
	return NULL;
}

void gmem_set_reconnect_limit(struct gmem *gmem, unsigned limit_ms)
{
	gmem->limit_ms = limit_ms;
}

int gmem_fd(const struct gmem *gmem)
{
	int r = connection_check(gmem);

	return r < 0 ? r : gmem->fd;
}

/* Requests */

static void hear(uint64_t *newest, const struct json_object *object, const char *name)
{
	uint64_t id;

	if (object && json_get_uint(object, name, &id) && id > *newest)
		*newest = id;
}

/* Ids only grow. What else is to be read here is to be told to exchange.c, too. */
static void note_heard(struct gmem *gmem, const struct json_object *result)
{
	const struct json_object *calls = json_get(result, "calls");

	hear(&gmem->heard.memory, result, "memory");
	hear(&gmem->heard.call, json_get(result, "call"), "id");
	hear(&gmem->heard.call, json_get(result, "convert"), "id");
	for (size_t i = 0; i < json_length(calls); i++)
		hear(&gmem->heard.call, json_at(calls, i), "id");
}

static int exchange_once(struct gmem *gmem, const char *method, struct json_object *params,
	struct exchange *exchange, struct json_object **ret_result)
{
	int r = unconfirmed_send(gmem);

	return r == 0 ? connection_exchange(gmem, method, json_ref(params), exchange, ret_result)
		      : r;
}

static int with_connection(struct gmem *gmem, const char *method, struct json_object *params,
	struct exchange *exchange, struct json_object **ret_result)
{
	int r = gmem->broken ? -ECONNRESET : 0;

	if (r == 0)
		r = exchange_once(gmem, method, params, exchange, ret_result);
	if (r == -ECONNRESET && !gmem->broken)
		connection_note_sign(gmem); /* its end */
	while (r == -ECONNRESET) {
		r = reconnect(gmem);
		if (r < 0)
			return r;
		exchange->repeated = true;
		r = exchange_once(gmem, method, params, exchange, ret_result);
	}
	return r;
}

/* How long gmemd asks to wait; negative where it does not, or that is too long. */
static int64_t pause_asked_for(const struct gmem *gmem)
{
	int64_t pause = last_error_details()->pause_ms;

	if (pause > PAUSE_MS_MAX)
		pause = PAUSE_MS_MAX;
	return connection_now_ms() + pause < gmem->began + connection_patience(gmem) ? pause : -1;
}

/* What is not answered is repeated; so is what gmemd asks to be asked again. */
static int repeat_request(struct gmem *gmem, const char *method, struct json_object *params,
	struct exchange *exchange, struct json_object **ret_result)
{
	int64_t pause;
	int r;

	for (unsigned i = 0;; i++) {
		r = with_connection(gmem, method, params, exchange, ret_result);
		pause = r == -EREMOTEIO && i < BUSY_TRIES ? pause_asked_for(gmem) : -1;
		if (pause < 0)
			return r;
		usleep((useconds_t)pause * 1000);
	}
}

/* What was sent and may be answered yet is not to be taken for the answer to something else. */
static int give_up(struct gmem *gmem, int r)
{
	if (r != -ETIMEDOUT)
		return r;
	gmem->broken = true;
	return -ECONNRESET;
}

static int request_in_turn(struct gmem *gmem, const char *method, struct json_object *params,
	struct exchange *exchange, struct json_object **ret_result)
{
	int r = repeat_request(gmem, method, params, exchange, ret_result);

	if (r == 0) {
		note_heard(gmem, *ret_result);
		gmem->subscribed |= strcmp(method, "event.subscribe") == 0;
	}
	if (r == 0 || r == -EREMOTEIO)
		unconfirmed_forget_sent(gmem);
	return give_up(gmem, r);
}

int connection_request(struct gmem *gmem, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result)
{
	struct exchange none = {.repeated = false};
	struct json_object *result = NULL;
	int r = connection_take_turn(gmem);

	if (r == 0) {
		r = request_in_turn(
			gmem, method, take_params, exchange ? exchange : &none, &result);
		connection_leave_turn(gmem);
	}
	json_unref(take_params);
	fd_list_close(&none.received);
	if (r == 0 && ret_result)
		*ret_result = result;
	else
		json_unref(result);
	return r;
}

static int notify_in_turn(struct gmem *gmem)
{
	int r = gmem->broken ? -ECONNRESET : unconfirmed_send(gmem);

	if (r == -ECONNRESET && !gmem->broken)
		connection_note_sign(gmem); /* its end */
	while (r == -ECONNRESET) {
		r = reconnect(gmem);
		if (r < 0)
			break;
		r = unconfirmed_send(gmem);
	}
	return give_up(gmem, r);
}

void connection_notify_later(struct gmem *gmem, const char *method, struct json_object *take_params)
{
	unconfirmed_add(gmem, message_notification(method, take_params));
}

int connection_notify(struct gmem *gmem, const char *method, struct json_object *take_params)
{
	int r;

	connection_notify_later(gmem, method, take_params);
	r = connection_take_turn(gmem);
	if (r < 0)
		return r;
	r = notify_in_turn(gmem);
	connection_leave_turn(gmem);
	return r;
}

static int read_params(const char *params, struct json_object **ret)
{
	struct json_object *object;
	const char *why = "it is no object";

	object = json_parse(params, strlen(params), &why);
	if (json_is_object(object)) {
		*ret = object;
		return 0;
	}
	json_unref(object);
	return last_error_own(
		-EINVAL, "params must be a JSON object: %s", object ? "it is another value" : why);
}

int gmem_call(struct gmem *gmem, const char *method, const char *params, char **ret_result)
{
	struct exchange exchange = {.as_text = true};
	struct json_object *object = NULL, *result;
	int r = connection_enter(gmem);

	if (r == 0 && params)
		r = read_params(params, &object);
	if (r == 0)
		r = connection_request(gmem, method, object, &exchange, &result);
	fd_list_close(&exchange.received);
	if (r < 0)
		return last_error_complete(r, method);
	r = connection_copy_json(result, ret_result);
	json_unref(result);
	return last_error_complete(r, method);
}
