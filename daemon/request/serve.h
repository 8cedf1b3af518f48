/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serving: one request, from its message to its answer.
 */
#pragma once

#include "daemon/request/request.h"
#include "protocol/message.h"

/* Requests in a batch, at most: so that their answers fit one packet, and one peer's packet is soon
 * done with. */
#define BATCH_REQUESTS_MAX 64
/* What one answer of a batch may take of the packet. */
#define BATCH_ANSWER_BYTES_MAX (PACKET_BYTES_MAX / BATCH_REQUESTS_MAX - 2)

/* *ret_answer is the caller's, NULL for a notification. Fds that go with it are the request's. */
enum serve_outcome serve(
	struct json_object *message, struct request *request, struct json_object **ret_answer);

/* The answer to a text that is no JSON, which is why. */
struct json_object *serve_unreadable(struct caller *caller, const char *why);
/* The same of a request that has no message: its parameters, if it has any, are decoded. */
enum serve_outcome serve_plain(const struct request_message *read, struct request *request,
	struct json_object **ret_answer);

/* Fills in the error for an answer that a batch has no room for. */
int serve_too_long_for_batch(struct rpc_error *error);
