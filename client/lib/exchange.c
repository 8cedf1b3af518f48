/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests and their answers. See exchange.h.
 */
#include "client/lib/exchange.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "client/lib/kept_events.h"
#include "client/lib/last_error.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/message.h"

/* Shares of what a silence may last: until it is asked for a sign, and asked again where that could
 * not be done. */
#define ASK_SHARE   2
#define RETRY_SHARE 8

/* A question for a sign, on a connection of its own. */
struct question {
	struct gmem *gmem;
	int fd;     /* -1: not asked */
	int64_t at; /* when to ask */
};

static void ask_later(struct question *question, int share)
{
	question->fd = fd_close(question->fd);
	question->at = connection_now_ms() + connection_patience(question->gmem) / share;
}

static void ask(struct question *question)
{
	static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
	const char *path = question->gmem->path;

	if (!path || connection_open(path, /* until= */ 0, &question->fd) < 0 ||
		packet_send(question->fd, MSG_DONTWAIT, ping, strlen(ping), NULL, 0) < 0)
		ask_later(question, RETRY_SHARE);
}

/* Whatever it answers. Nothing of the connection itself is being received meanwhile. */
static void hear_answer(struct question *question)
{
	struct gmem *gmem = question->gmem;
	int r = packet_receive(question->fd, MSG_DONTWAIT, &gmem->packet);

	if (r == -EAGAIN)
		return;
	if (r == 0) {
		fd_list_close(&gmem->packet.fds);
		connection_note_sign(gmem);
	}
	ask_later(question, r == 0 ? ASK_SHARE : RETRY_SHARE);
}

static int clamped(int64_t milliseconds)
{
	if (milliseconds < 0)
		return 0;
	return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

/* -EAGAIN: to go on waiting. */
static int wait_a_while(struct question *question, short what)
{
	struct gmem *gmem = question->gmem;
	int64_t now = connection_now_ms(), until = connection_until(gmem);
	bool to_ask = question->fd < 0 && question->at < until;
	struct pollfd files[] = {
		{.fd = gmem->fd, .events = what}, {.fd = question->fd, .events = POLLIN}};

	if (poll(files, 2, clamped((to_ask ? question->at : until) - now)) < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (files[0].revents)
		return 0;
	if (files[1].revents)
		hear_answer(question);
	now = connection_now_ms();
	if (now >= connection_until(gmem))
		return -ETIMEDOUT;
	if (question->fd < 0 && now >= question->at)
		ask(question);
	return -EAGAIN;
}

/* Until something can be received, or sent. */
static int wait_until_ready(struct gmem *gmem, short what)
{
	struct question question = {.gmem = gmem, .fd = -1};
	int r;

	ask_later(&question, ASK_SHARE);
	do
		r = wait_a_while(&question, what);
	while (r == -EAGAIN);
	fd_close(question.fd);
	if (r == -ETIMEDOUT)
		last_error_own(r, "gmemd has given no sign for %g s",
			(double)connection_patience(gmem) / 1000);
	return r;
}

int exchange_receive(struct gmem *gmem, struct json_object **ret_message)
{
	const char *why;
	int r;

	r = packet_receive(gmem->fd, MSG_DONTWAIT, &gmem->packet);
	if (r < 0)
		return r;
	connection_note_sign(gmem);
	*ret_message = NULL;
	if (gmem->packet.fault == PACKET_WHOLE)
		*ret_message = json_parse(gmem->packet.bytes, gmem->packet.length, &why);
	if (*ret_message)
		return 0;
	fd_list_close(&gmem->packet.fds);
	return last_error_own(-EPROTO, "what came from gmemd is no JSON-RPC");
}

static int send_whole(struct gmem *gmem, const char *bytes, size_t length)
{
	int r;

	while ((r = packet_send(gmem->fd, MSG_DONTWAIT, bytes, length, NULL, 0)) == -EAGAIN) {
		r = wait_until_ready(gmem, POLLOUT);
		if (r < 0)
			return r;
	}
	return r == -EPIPE ? -ECONNRESET : r;
}

int exchange_send(struct gmem *gmem, struct json_object *message)
{
	size_t length;
	const char *bytes = json_print(message, &length);

	return bytes ? send_whole(gmem, bytes, length) : -ENOMEM;
}

/* An error without an id is of what gmemd could not read, and nothing else has been sent that had
 * no answer yet. */
static bool is_answer(const struct json_object *message, uint64_t id)
{
	uint64_t answered;

	if (json_get_uint(message, "id", &answered))
		return answered == id;
	return json_has(message, "error") && json_has(message, "id") && !json_get(message, "id");
}

/* What comes before the answer are events. */
static int await_answer(struct gmem *gmem, uint64_t id, struct json_object **ret_answer)
{
	struct json_object *message = NULL;
	int r;

	for (;;) {
		r = wait_until_ready(gmem, POLLIN);
		if (r == 0)
			r = exchange_receive(gmem, &message);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return r;
		if (is_answer(message, id)) {
			*ret_answer = message;
			return 0;
		}
		kept_events_add(gmem, message);
		fd_list_close(&gmem->packet.fds);
		json_unref(message);
	}
}

static int read_answer(struct gmem *gmem, struct json_object *answer, struct exchange *exchange,
	struct json_object **ret_result)
{
	if (json_has(answer, "error")) {
		fd_list_close(&gmem->packet.fds);
		return last_error_of_gmemd(json_get(answer, "error"));
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

	r = exchange_send(gmem, request);
	if (r == 0)
		r = await_answer(gmem, id, &answer);
	if (r < 0)
		return r;
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

	last_error_clear();
	r = exchange_messages(gmem, id, request, exchange, ret_result);
	json_unref(request);
	return r;
}
