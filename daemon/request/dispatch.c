/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dispatch. See dispatch.h.
 */
#include "daemon/request/dispatch.h"

#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/plain_request.h"

static struct json_object *refuse_packet(struct request *request)
{
	struct json_object *answer = message_error(NULL, &request->error);

	rpc_error_clear(&request->error);
	if (!answer)
		delivery_fail(&request->caller->delivery);
	return answer;
}

static struct json_object *serve_batch(const struct packet_bytes *packet, struct request *request)
{
	struct json_part messages[BATCH_REQUESTS_MAX];
	struct stages *stages = &request->gmemd->stages;
	const char *why;
	size_t count;
	bool read;

	stage_begin(stages, STAGE_PARSE);
	read = json_split(
		packet->bytes, packet->length, messages, BATCH_REQUESTS_MAX, &count, &why);
	stage_end(stages, STAGE_PARSE, read ? 0 : RPC_PARSE_ERROR);
	if (!read)
		return serve_unreadable(request->caller, why);
	if (count == 0)
		rpc_error_invalid_request(&request->error, "the batch is empty");
	else if (count > BATCH_REQUESTS_MAX)
		rpc_error_too_large(
			&request->error, "The batch has too many requests", BATCH_REQUESTS_MAX);
	else
		return batch_serve(request->gmemd, request->caller, messages, count);
	return refuse_packet(request);
}

static struct json_object *serve_plain_one(struct plain_request *plain, struct request *request)
{
	struct json_object *answer;

	request->decoded = plain->decoded;
	if (serve_plain(&plain->message, request, &answer) == SERVE_DEFERRED)
		answer = NULL;
	if (request->decoded)
		fields_release(request->decoded, &request->parameters);
	json_unref(plain->message.id);
	return answer;
}

static struct json_object *serve_whole_one(
	struct json_object *take_message, struct request *request)
{
	struct json_object *answer;

	if (serve(take_message, request, &answer) == SERVE_DEFERRED)
		answer = NULL;
	json_unref(take_message);
	return answer;
}

static struct json_object *serve_one(const struct packet_bytes *packet, struct request *request)
{
	struct stages *stages = &request->gmemd->stages;
	struct json_object *message = NULL;
	struct plain_request plain;
	const char *why;
	bool is_plain;

	stage_begin(stages, STAGE_PARSE);
	is_plain = plain_request_read(packet->bytes, packet->length, &request->parameters, &plain);
	request->text = (struct json_part){packet->bytes, packet->length};
	if (!is_plain)
		message = json_parse(packet->bytes, packet->length, &why);
	stage_end(stages, STAGE_PARSE, is_plain || message ? 0 : RPC_PARSE_ERROR);
	if (is_plain)
		return serve_plain_one(&plain, request);
	return message ? serve_whole_one(message, request) : serve_unreadable(request->caller, why);
}

static struct json_object *serve_packet(const struct packet_bytes *packet, struct request *request)
{
	if (packet->too_long) {
		rpc_error_too_large(
			&request->error, "The packet has too many bytes", PACKET_BYTES_MAX);
		return refuse_packet(request);
	}
	if (json_begins_array(packet->bytes, packet->length))
		return serve_batch(packet, request);
	return serve_one(packet, request);
}

struct json_object *dispatch_packet(struct gmemd *gmemd, struct caller *caller,
	const struct packet_bytes *packet, struct fd_list *ret_fds)
{
	struct request request = {.gmemd = gmemd, .caller = caller};
	struct json_object *answer = serve_packet(packet, &request);

	*ret_fds = request.answer_fds;
	return answer;
}
