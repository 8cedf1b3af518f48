/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON-RPC 2.0 messages: reading requests, making requests, answers and notifications.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/error.h"

struct json_object;

/* A request's id as text, at most: it is sent back. */
#define MESSAGE_ID_BYTES_MAX 256

/* A request or notification. Everything in it is borrowed from the message that it was read
 * from. */
struct request_message {
	bool notification; /* has no id and gets no answer */
	struct json_object *id;
	const char *method;
	struct json_object *params; /* NULL where there are none */
};

/*
 * Reads one request. Returns 0, or the code of the error that it filled in; *ret->id is set then
 * too where the message has a usable one.
 */
int request_message_read(
	struct json_object *message, struct request_message *ret, struct rpc_error *error);

/* New messages; the caller owns them. They take result or params. Answers and requests are text
 * that can only be printed; no result is an empty one. NULL without memory. */
struct json_object *message_result(struct json_object *id, struct json_object *take_result);
struct json_object *message_error(struct json_object *id, const struct rpc_error *error);
struct json_object *message_request(
	uint64_t id, const char *method, struct json_object *take_params);
struct json_object *message_notification(const char *method, struct json_object *take_params);
