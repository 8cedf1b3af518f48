/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests and their answers. See exchange.h.
 */
#include "client/lib/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "client/lib/kept_events.h"
#include "client/lib/last_error.h"
#include "client/lib/sign.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/message.h"

/* Until something can be received, or sent. */
static int wait_until_ready(struct gmem *gmem, short what)
{
	const struct awaited awaited = {
		.fd = gmem->fd, .events = what, .began = gmem->began, .deadline = gmem->deadline};

	return sign_wait(gmem, &awaited);
}

static int note_packet(struct gmem *gmem, int r)
{
	if (r == 0)
		connection_note_sign(gmem);
	return r;
}

static int receive_packet(struct gmem *gmem)
{
	return note_packet(gmem, packet_receive(gmem->fd, MSG_DONTWAIT, &gmem->packet));
}

/* Where so short a time doesn't matter: the rest is waited for by who looks at the time. */
static bool may_wait_briefly(const struct gmem *gmem)
{
	return gmem->waits_briefly && gmem->deadline == 0 &&
	       connection_patience(gmem) >= 10 * CONNECTION_BRIEF_WAIT_MS;
}

/* -EAGAIN: none has come yet, or something else than a packet. */
static int await_packet(struct gmem *gmem)
{
	int r = -EAGAIN;

	if (may_wait_briefly(gmem))
		r = note_packet(gmem, packet_await(gmem->fd, &gmem->packet));
	if (r != -EAGAIN)
		return r;
	r = wait_until_ready(gmem, POLLIN);
	return r == 0 ? receive_packet(gmem) : r;
}

static int read_packet(struct gmem *gmem, struct json_object **ret_message)
{
	const char *why;

	*ret_message = NULL;
	if (gmem->packet.fault == PACKET_WHOLE)
		*ret_message = json_parse(gmem->packet.bytes, gmem->packet.length, &why);
	if (*ret_message)
		return 0;
	fd_list_close(&gmem->packet.fds);
	return last_error_own(-EPROTO, "what came from gmemd is no JSON-RPC");
}

int exchange_receive(struct gmem *gmem, struct json_object **ret_message)
{
	int r = receive_packet(gmem);

	return r == 0 ? read_packet(gmem, ret_message) : r;
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

/* More than an answer has. */
#define MEMBERS 8

/* Whether connection_request() looks into it: see note_heard(). */
static bool is_read_here(const struct json_member *member)
{
	static const char *const names[] = {"\"memory\"", "\"call\"", "\"convert\"", "\"calls\""};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (json_part_is(&member->name, names[i]))
			return true;
	}
	return false;
}

static bool is_for_the_caller_alone(const struct json_part *result)
{
	struct json_member members[MEMBERS];
	const char *why;
	size_t count;

	if (!json_split_object(result->bytes, result->length, members, MEMBERS, &count, &why) ||
		count > MEMBERS)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (is_read_here(&members[i]))
			return false;
	}
	return true;
}

/* The text of the result, where what was received is that of the request, and need not be read. */
static bool find_text(const struct gmem *gmem, uint64_t id, struct json_part *ret_result)
{
	const struct packet *packet = &gmem->packet;
	struct json_member members[MEMBERS];
	const char *why;
	size_t count, found = 0;
	char number[24];

	snprintf(number, sizeof number, "%" PRIu64, id);
	if (packet->fault != PACKET_WHOLE ||
		!json_split_object(packet->bytes, packet->length, members, MEMBERS, &count, &why))
		return false;
	for (size_t i = 0; i < count && i < MEMBERS; i++) {
		bool is_result = json_part_is(&members[i].name, "\"result\"");

		found += is_result || (json_part_is(&members[i].name, "\"id\"") &&
					      json_part_is(&members[i].value, number));
		if (is_result)
			*ret_result = members[i].value;
	}
	return found == 2 && count == 3 && is_for_the_caller_alone(ret_result);
}

/* An answer in which the result is its text alone. */
static int take_text(
	struct gmem *gmem, const struct json_part *result, struct json_object **ret_answer)
{
	struct json_object *answer = json_new_object();

	json_add(answer, "result", json_new_text(result, 1));
	if (json_has(answer, "result")) {
		*ret_answer = answer;
		return 0;
	}
	json_unref(answer);
	fd_list_close(&gmem->packet.fds);
	return -ENOMEM;
}

/* What comes before the answer are events. */
static int await_answer(
	struct gmem *gmem, uint64_t id, bool as_text, struct json_object **ret_answer)
{
	struct json_object *message = NULL;
	struct json_part result;
	int r;

	for (;;) {
		r = await_packet(gmem);
		if (r == -EAGAIN)
			continue;
		if (r == 0 && as_text && find_text(gmem, id, &result))
			return take_text(gmem, &result, ret_answer);
		if (r == 0)
			r = read_packet(gmem, &message);
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
		r = await_answer(gmem, id, exchange && exchange->as_text, &answer);
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

/* Notifications */

void unconfirmed_add(struct gmem *gmem, struct json_object *take_notification)
{
	struct unconfirmed *unconfirmed = &gmem->unconfirmed;
	size_t length;

	/* Without memory for it nothing behind it could be sent, either. */
	if (!take_notification || !json_print(take_notification, &length)) {
		json_unref(take_notification);
		return;
	}
	pthread_mutex_lock(&unconfirmed->lock);
	if (!unconfirmed->list)
		unconfirmed->list = json_new_array();
	json_append(unconfirmed->list, take_notification);
	pthread_mutex_unlock(&unconfirmed->lock);
}

/* A reference to the next; NULL: there is none. */
static struct json_object *next_to_send(struct unconfirmed *unconfirmed)
{
	struct json_object *next = NULL;

	pthread_mutex_lock(&unconfirmed->lock);
	if (unconfirmed->sent < json_length(unconfirmed->list))
		next = json_ref(json_at(unconfirmed->list, unconfirmed->sent));
	pthread_mutex_unlock(&unconfirmed->lock);
	return next;
}

int unconfirmed_send(struct gmem *gmem)
{
	struct json_object *next;
	int r = 0;

	while (r == 0 && (next = next_to_send(&gmem->unconfirmed))) {
		r = exchange_send(gmem, next);
		json_unref(next);
		if (r == 0)
			gmem->unconfirmed.sent++;
	}
	return r;
}

void unconfirmed_begin_again(struct gmem *gmem)
{
	gmem->unconfirmed.sent = 0;
}

/* NULL: nothing. */
static struct json_object *rest_of(struct json_object *list, size_t first)
{
	struct json_object *rest = first < json_length(list) ? json_new_array() : NULL;

	for (size_t i = first; i < json_length(list); i++)
		json_append(rest, json_ref(json_at(list, i)));
	return rest;
}

void unconfirmed_forget_sent(struct gmem *gmem)
{
	struct unconfirmed *unconfirmed = &gmem->unconfirmed;
	struct json_object *list;

	if (unconfirmed->sent == 0)
		return;
	pthread_mutex_lock(&unconfirmed->lock);
	list = unconfirmed->list;
	unconfirmed->list = rest_of(list, unconfirmed->sent);
	unconfirmed->sent = 0;
	pthread_mutex_unlock(&unconfirmed->lock);
	json_unref(list);
}
