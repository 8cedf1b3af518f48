/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's connection to gmemd. See connection.h and gmem.h.
 */
#include "client/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/environment.h"
#include "client/reconnection.h"
#include "kernel/cleanup.h"
#include "protocol/json.h"
#include "protocol/message.h"

#define DEFAULT_PATH    "/run/gmemd/gmemd.sock"
#define ERROR_BYTES_MAX 2048

#define RECONNECT_MS 30000
#define BUSY_TRIES   20
#define PAUSE_MS_MAX 1000

static __thread char last_error[ERROR_BYTES_MAX] = "{}";

const char *gmem_last_error(void)
{
	return last_error;
}

static int remember_error(struct json_object *error)
{
	size_t length;
	const char *text = json_print(error, &length);

	snprintf(last_error, sizeof last_error, "%s",
		text && length < sizeof last_error ? text : "{}");
	return -EREMOTEIO;
}

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

	if (!gmem) {
		fd_close(consume_fd);
		return -ENOMEM;
	}
	gmem->fd = consume_fd;
	gmem->inherited = inherited;
	gmem->reconnect_ms = RECONNECT_MS;
	gmem->path = path ? strdup(path) : NULL;
	gmem->unconfirmed = json_new_array();
	make_recursive(&gmem->turn);
	STAILQ_INIT(&gmem->events);
	*ret = gmem;
	return 0;
}

int gmem_connect(const char *path, struct gmem **ret)
{
	int fd, r;

	if (!path) {
		r = environment_take_fd(GMEM_FD_VARIABLE, &fd);
		if (r == 0)
			return gmem_new(
				fd, getenv(GMEM_SOCKET_VARIABLE), /* inherited= */ true, ret);
		if (r != -ENOENT)
			return r;
		path = DEFAULT_PATH;
	}
	r = packet_connect(path, &fd);
	if (r < 0)
		return r;
	return gmem_new(fd, path, /* inherited= */ false, ret);
}

static struct kept_event *events_pop(struct gmem *gmem)
{
	struct kept_event *event = STAILQ_FIRST(&gmem->events);

	if (event) {
		STAILQ_REMOVE_HEAD(&gmem->events, link);
		gmem->n_events--;
	}
	return event;
}

static void event_free(struct kept_event *event)
{
	if (!event)
		return;
	json_unref(event->params);
	free(event);
}

struct gmem *gmem_free(struct gmem *gmem)
{
	if (!gmem)
		return NULL;
	while (gmem->n_events > 0)
		event_free(events_pop(gmem));
	pthread_mutex_destroy(&gmem->turn);
	json_unref(gmem->unconfirmed);
	free(gmem->path);
	fd_close(gmem->fd);
	free(gmem);
	return NULL;
}

void gmem_set_reconnect_limit(struct gmem *gmem, unsigned limit_ms)
{
	pthread_mutex_lock(&gmem->turn);
	gmem->reconnect_ms = limit_ms;
	pthread_mutex_unlock(&gmem->turn);
}

int gmem_fd(const struct gmem *gmem)
{
	return gmem->fd;
}

static void keep_event(struct gmem *gmem, struct json_object *message)
{
	struct kept_event *event;

	if (strcmp(json_get_string(message, "method"), "event") != 0)
		return;
	event = calloc(1, sizeof *event);
	if (!event)
		return;
	event->params = json_ref(json_get(message, "params"));
	if (gmem->n_events == EVENTS_KEPT_MAX)
		event_free(events_pop(gmem));
	STAILQ_INSERT_TAIL(&gmem->events, event, link);
	gmem->n_events++;
}

/* *ret_message is the caller's, and so are the packet's fds. */
static int receive(struct gmem *gmem, struct json_object **ret_message)
{
	const char *why;
	int r;

	r = packet_receive(gmem->fd, 0, &gmem->packet);
	if (r < 0)
		return r;
	*ret_message = NULL;
	if (gmem->packet.fault == PACKET_WHOLE)
		*ret_message = json_parse(gmem->packet.bytes, gmem->packet.length, &why);
	if (*ret_message)
		return 0;
	fd_list_close(&gmem->packet.fds);
	return -EPROTO;
}

static int send_message(struct gmem *gmem, struct json_object *message)
{
	size_t length;
	const char *bytes = json_print(message, &length);

	if (!bytes)
		return -ENOMEM;
	return packet_send(gmem->fd, 0, bytes, length, NULL, 0);
}

/* What comes before the answer are events. */
static int await_answer(struct gmem *gmem, uint64_t id, struct json_object **ret_answer)
{
	struct json_object *message = NULL;
	uint64_t answered;
	int r;

	for (;;) {
		r = receive(gmem, &message);
		if (r < 0)
			return r;
		if (json_get_uint(message, "id", &answered) && answered == id) {
			*ret_answer = message;
			return 0;
		}
		keep_event(gmem, message);
		fd_list_close(&gmem->packet.fds);
		json_unref(message);
	}
}

static void hear(uint64_t *newest, const struct json_object *object, const char *name)
{
	uint64_t id;

	if (object && json_get_uint(object, name, &id) && id > *newest)
		*newest = id;
}

/* Ids only grow. */
static void note_heard(struct gmem *gmem, const struct json_object *result)
{
	const struct json_object *calls = json_get(result, "calls");

	hear(&gmem->heard.memory, result, "memory");
	hear(&gmem->heard.call, json_get(result, "call"), "id");
	hear(&gmem->heard.call, json_get(result, "convert"), "id");
	for (size_t i = 0; i < json_length(calls); i++)
		hear(&gmem->heard.call, json_at(calls, i), "id");
}

static int read_answer(struct gmem *gmem, struct json_object *answer, struct exchange *exchange,
	struct json_object **ret_result)
{
	if (json_has(answer, "error")) {
		fd_list_close(&gmem->packet.fds);
		return remember_error(json_get(answer, "error"));
	}
	if (exchange)
		exchange->received = gmem->packet.fds;
	else
		fd_list_close(&gmem->packet.fds);
	if (ret_result)
		*ret_result = json_ref(json_get(answer, "result"));
	return 0;
}

static int exchange_messages(struct gmem *gmem, uint64_t id, struct json_object *request,
	struct exchange *exchange, struct json_object **ret_result)
{
	struct json_object *answer = NULL;
	int r;

	r = send_message(gmem, request);
	if (r == 0)
		r = await_answer(gmem, id, &answer);
	if (r < 0)
		return r == -EPIPE ? -ECONNRESET : r;
	r = read_answer(gmem, answer, exchange, ret_result);
	json_unref(answer);
	return r;
}

int connection_exchange(struct gmem *gmem, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result)
{
	uint64_t id = ++gmem->last_id;
	struct json_object *request = message_request(id, method, take_params);
	int r;

	strcpy(last_error, "{}");
	r = exchange_messages(gmem, id, request, exchange, ret_result);
	json_unref(request);
	return r;
}

static int with_connection(struct gmem *gmem, const char *method, struct json_object *params,
	struct exchange *exchange, struct json_object **ret_result)
{
	int r = gmem->broken ? -ECONNRESET : 0;

	if (r == 0)
		r = connection_exchange(gmem, method, json_ref(params), exchange, ret_result);
	while (r == -ECONNRESET) {
		r = reconnect(gmem);
		if (r < 0)
			return r;
		exchange->repeated = true;
		r = connection_exchange(gmem, method, json_ref(params), exchange, ret_result);
	}
	return r;
}

void connection_refusal(const char *name, char *ret, size_t size)
{
	const char *why;
	struct json_object *error = json_parse(last_error, strlen(last_error), &why);
	const char *value = error ? json_get_string(json_get(error, "data"), name) : NULL;

	snprintf(ret, size, "%s", value ? value : "");
	json_unref(error);
}

/* How long gmemd asks to wait; negative where it does not. */
static int64_t asked_to_wait(void)
{
	const char *why;
	struct json_object *error = json_parse(last_error, strlen(last_error), &why);
	uint64_t pause;
	bool asked = error && json_get_uint(json_get(error, "data"), "retry_after_ms", &pause);

	json_unref(error);
	if (!asked)
		return -1;
	return pause < PAUSE_MS_MAX ? (int64_t)pause : PAUSE_MS_MAX;
}

/* What is not answered is repeated; so is what gmemd asks to be asked again. */
static int repeat(struct gmem *gmem, const char *method, struct json_object *params,
	struct exchange *exchange, struct json_object **ret_result)
{
	int64_t pause;
	int r;

	for (unsigned i = 0;; i++) {
		r = with_connection(gmem, method, params, exchange, ret_result);
		pause = r == -EREMOTEIO && i < BUSY_TRIES ? asked_to_wait() : -1;
		if (pause < 0)
			return r;
		usleep((useconds_t)pause * 1000);
	}
}

static void forget_unconfirmed(struct gmem *gmem)
{
	if (json_length(gmem->unconfirmed) == 0)
		return;
	json_unref(gmem->unconfirmed);
	gmem->unconfirmed = json_new_array();
}

int connection_request(struct gmem *gmem, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result)
{
	struct exchange none = {.repeated = false};
	struct json_object *result = NULL;
	int r;

	pthread_mutex_lock(&gmem->turn);
	r = repeat(gmem, method, take_params, exchange ? exchange : &none, &result);
	if (r == 0) {
		note_heard(gmem, result);
		gmem->subscribed |= strcmp(method, "event.subscribe") == 0;
	}
	if (r == 0 || r == -EREMOTEIO)
		forget_unconfirmed(gmem);
	pthread_mutex_unlock(&gmem->turn);
	json_unref(take_params);
	fd_list_close(&none.received);
	if (r == 0 && ret_result)
		*ret_result = result;
	else
		json_unref(result);
	return r;
}

int connection_send_unconfirmed(struct gmem *gmem)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_length(gmem->unconfirmed); i++)
		r = send_message(gmem, json_at(gmem->unconfirmed, i));
	return r == -EPIPE ? -ECONNRESET : r;
}

/* One that can't be sent goes with those that are sent again. */
int connection_notify(struct gmem *gmem, const char *method, struct json_object *take_params)
{
	struct json_object *notification = message_notification(method, take_params);
	int r;

	pthread_mutex_lock(&gmem->turn);
	json_append(gmem->unconfirmed, json_ref(notification));
	r = gmem->broken ? -EPIPE : send_message(gmem, notification);
	if (r == -EPIPE || r == -ECONNRESET)
		r = reconnect(gmem);
	pthread_mutex_unlock(&gmem->turn);
	json_unref(notification);
	return r;
}

static int print_copy(struct json_object *value, char **ret)
{
	size_t length;
	const char *text = json_print(value, &length);
	char *copy = text ? strdup(text) : NULL;

	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int gmem_call(struct gmem *gmem, const char *method, const char *params, char **ret_result)
{
	struct json_object *object = NULL, *result;
	const char *why;
	int r;

	if (params) {
		object = json_parse(params, strlen(params), &why);
		if (!json_is_object(object)) {
			json_unref(object);
			return -EINVAL;
		}
	}
	r = connection_request(gmem, method, object, NULL, &result);
	if (r < 0)
		return r;
	r = print_copy(result, ret_result);
	json_unref(result);
	return r;
}

int64_t connection_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* deadline_ms: negative for none. */
static int wait_readable(int fd, int64_t deadline_ms)
{
	struct pollfd event = {.fd = fd, .events = POLLIN};
	int64_t left;
	int n;

	do {
		left = deadline_ms < 0 ? -1 : deadline_ms - connection_now_ms();
		n = poll(&event, 1, deadline_ms >= 0 && left < 0 ? 0 : (int)left);
	} while (n < 0 && errno == EINTR && deadline_ms >= 0);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

/* One more packet. Nobody else receives meanwhile: the caller has its turn. */
static int receive_event(struct gmem *gmem, int64_t deadline_ms)
{
	struct json_object *message = NULL;
	int r;

	r = wait_readable(gmem->fd, deadline_ms);
	if (r == 0)
		r = receive(gmem, &message);
	if (r < 0)
		return r;
	keep_event(gmem, message);
	fd_list_close(&gmem->packet.fds);
	json_unref(message);
	return 0;
}

static int await_event(struct gmem *gmem, int64_t deadline_ms)
{
	int r = 0;

	while (r == 0 && gmem->n_events == 0) {
		r = receive_event(gmem, deadline_ms);
		if (r == -ECONNRESET && reconnect(gmem) == 0)
			r = 0;
	}
	return r;
}

int connection_receive_events(struct gmem *gmem)
{
	unsigned i;
	int r = 0;

	/* Not for ever, should they come faster than this. */
	pthread_mutex_lock(&gmem->turn);
	for (i = 0; r == 0 && i < EVENTS_KEPT_MAX; i++)
		r = gmem->broken ? -ECONNRESET : receive_event(gmem, /* deadline_ms= */ 0);
	if (r == -ECONNRESET)
		r = reconnect_at_once(gmem);
	pthread_mutex_unlock(&gmem->turn);
	return r == -ETIMEDOUT ? 0 : r;
}

struct json_object *connection_take_event(struct gmem *gmem, const char *kind)
{
	struct json_object *params = NULL;
	struct kept_event *event;

	pthread_mutex_lock(&gmem->turn);
	STAILQ_FOREACH(event, &gmem->events, link)
	{
		if (strcmp(json_get_string(event->params, "kind"), kind) == 0)
			break;
	}
	if (event) {
		STAILQ_REMOVE(&gmem->events, event, kept_event, link);
		gmem->n_events--;
		params = json_ref(event->params);
	}
	pthread_mutex_unlock(&gmem->turn);
	event_free(event);
	return params;
}

int gmem_next_event(struct gmem *gmem, int timeout_ms, char **ret_event)
{
	struct kept_event *event = NULL;
	int r;

	pthread_mutex_lock(&gmem->turn);
	r = await_event(gmem, timeout_ms < 0 ? -1 : connection_now_ms() + timeout_ms);
	if (r == 0)
		event = events_pop(gmem);
	pthread_mutex_unlock(&gmem->turn);
	if (r == 0)
		r = print_copy(event->params, ret_event);
	event_free(event);
	return r;
}
