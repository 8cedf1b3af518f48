/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dispatch. See dispatch.h.
 */
#include "daemon/dispatch.h"

#include "protocol/json.h"
#include "protocol/message.h"

static struct json_object *refuse(struct rpc_error *error)
{
	struct json_object *answer = message_error(NULL, error);

	rpc_error_clear(error);
	return answer;
}

static struct json_object *serve_any(struct json_object *message, struct request *request)
{
	struct json_object *answer;

	if (!json_is_array(message))
		return serve(message, request, &answer) == SERVE_ANSWERED ? answer : NULL;
	if (json_length(message) == 0)
		rpc_error_invalid_request(&request->error, "the batch is empty");
	else if (json_length(message) > BATCH_REQUESTS_MAX)
		rpc_error_too_large(
			&request->error, "The batch has too many requests", BATCH_REQUESTS_MAX);
	else
		return batch_serve(request->gmemd, request->caller, message);
	return refuse(&request->error);
}

static struct json_object *serve_packet(const struct packet_bytes *packet, struct request *request)
{
	struct json_object *message, *answer;
	const char *why;

	if (packet->too_long) {
		rpc_error_too_large(
			&request->error, "The packet has too many bytes", PACKET_BYTES_MAX);
		return refuse(&request->error);
	}
	message = json_parse(packet->bytes, packet->length, &why);
	if (!message) {
		rpc_error_parse(&request->error, why);
		return refuse(&request->error);
	}
	answer = serve_any(message, request);
	json_unref(message);
	return answer;
}

struct json_object *dispatch_packet(struct gmemd *gmemd, struct caller *caller,
	const struct packet_bytes *packet, struct fd_list *ret_fds)
{
	struct request request = {.gmemd = gmemd, .caller = caller};
	struct json_object *answer = serve_packet(packet, &request);

	*ret_fds = request.answer_fds;
	return answer;
}
