/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dispatch. See dispatch.h.
 */
#include "daemon/dispatch.h"

#include "protocol/json.h"
#include "protocol/message.h"

/* What one answer of a batch may take of the packet. */
#define BATCH_ANSWER_BYTES_MAX (PACKET_BYTES_MAX / BATCH_REQUESTS_MAX - 2)

static handler *const handlers[METHODS] = {
	[METHOD_PING] = handle_ping,
	[METHOD_HOST_DESCRIBE] = handle_host_describe,
	[METHOD_RPC_DISCOVER] = handle_rpc_discover,
	[METHOD_VM_OPEN] = handle_vm_open,
	[METHOD_VM_GATE] = handle_vm_gate,
	[METHOD_VM_LIST] = handle_vm_list,
	[METHOD_VM_GET] = handle_vm_get,
	[METHOD_VM_CLOSE] = handle_vm_close,
	[METHOD_MEMORY_CREATE] = handle_memory_create,
	[METHOD_MEMORY_OPEN] = handle_memory_open,
	[METHOD_MEMORY_CLOSE] = handle_memory_close,
	[METHOD_SLOT_BIND] = handle_slot_bind,
	[METHOD_SLOT_UNBIND] = handle_slot_unbind,
	[METHOD_MEMORY_CONVERT] = handle_memory_convert,
	[METHOD_CALL_DONE] = handle_call_done,
	[METHOD_EVENT_SUBSCRIBE] = handle_event_subscribe,
};

static int too_long_for_batch(struct rpc_error *error)
{
	return rpc_error_limit(error, "The answer is too long for a batch; ask for it alone",
		BATCH_ANSWER_BYTES_MAX);
}

static int find_method(const char *name, struct request *request, const struct method **ret)
{
	const struct method *method = method_by_name(name);

	if (!method)
		return rpc_error_method_not_found(&request->error, name);
	if (!(method->access & request->caller->access))
		return rpc_error_not_permitted(&request->error,
			method->access & ACCESS_OPERATOR
				? "the operators' socket, admin.sock, for this method"
				: "the VMMs' socket, gmemd.sock, for this method");
	if (request->in_batch && (fields_have(method->parameters, FIELD_FD) ||
					 fields_have(method->result, FIELD_FD)))
		return rpc_error_invalid_request(&request->error,
			"a batch carries no file descriptors, and this method may need some");
	/* Known without making it 64 times over, which would keep others waiting. */
	if (request->in_batch && method == &methods[METHOD_RPC_DISCOVER])
		return too_long_for_batch(&request->error);
	if (request->caller->fds_refused && fields_have(method->result, FIELD_FD))
		return rpc_error_busy(&request->error,
			"You have not received the file descriptors sent to you", 0);
	*ret = method;
	return 0;
}

static int carry_out(const struct request_message *message, struct request *request)
{
	const struct method *method = NULL;
	int r;

	r = find_method(message->method, request, &method);
	if (r < 0)
		return r;
	r = fields_decode(method->parameters, message->params, request->fds, &request->parameters,
		&request->error);
	if (r < 0)
		return r;
	request->result = json_new_object();
	r = handlers[method - methods](request);
	fields_release(method->parameters, &request->parameters);
	return r;
}

/* NULL for a notification. */
static struct json_object *serve(
	struct json_object *message, bool in_batch, struct request *request)
{
	struct request_message read;
	struct json_object *answer;
	int r;

	request->in_batch = in_batch;
	r = request_message_read(message, &read, &request->error);
	if (r == 0)
		r = carry_out(&read, request);
	if (r < 0) {
		request->result = json_unref(request->result);
		fd_list_close(&request->answer_fds);
		answer = message_error(read.id, &request->error);
	} else {
		answer = message_result(read.id, request->result);
	}
	rpc_error_clear(&request->error);
	request->result = NULL;
	if (!read.notification)
		return answer;
	fd_list_close(&request->answer_fds);
	return json_unref(answer);
}

static struct json_object *too_long_answer(struct json_object *message)
{
	struct rpc_error error = {.code = RPC_OK};
	struct json_object *answer;

	too_long_for_batch(&error);
	answer = message_error(json_get(message, "id"), &error);
	rpc_error_clear(&error);
	return answer;
}

/* Answers of methods that change something are always short. */
static struct json_object *serve_batch(struct json_object *batch, struct request *request)
{
	struct json_object *answers = json_new_array();

	for (size_t i = 0; i < json_length(batch); i++) {
		struct json_object *message = json_at(batch, i);
		struct json_object *answer = serve(message, /* in_batch= */ true, request);
		size_t length;

		if (answer && (!json_print(answer, &length) || length > BATCH_ANSWER_BYTES_MAX)) {
			json_unref(answer);
			answer = too_long_answer(message);
		}
		if (answer)
			json_append(answers, answer);
	}
	if (json_length(answers) > 0)
		return answers;
	return json_unref(answers);
}

static struct json_object *refuse(struct rpc_error *error)
{
	struct json_object *answer = message_error(NULL, error);

	rpc_error_clear(error);
	return answer;
}

static struct json_object *serve_any(struct json_object *message, struct request *request)
{
	if (!json_is_array(message))
		return serve(message, /* in_batch= */ false, request);
	if (json_length(message) == 0)
		rpc_error_invalid_request(&request->error, "the batch is empty");
	else if (json_length(message) > BATCH_REQUESTS_MAX)
		rpc_error_limit(
			&request->error, "The batch has too many requests", BATCH_REQUESTS_MAX);
	else if (request->fds->count > 0)
		rpc_error_invalid_request(&request->error, "a batch carries no file descriptors");
	else
		return serve_batch(message, request);
	return refuse(&request->error);
}

static struct json_object *serve_packet(const struct packet *packet, struct request *request)
{
	struct json_object *message, *answer;
	const char *why;

	if (packet->fault == PACKET_TOO_LONG) {
		rpc_error_limit(&request->error, "The packet has too many bytes", PACKET_BYTES_MAX);
		return refuse(&request->error);
	}
	if (packet->fault == PACKET_TOO_MANY_FDS) {
		rpc_error_limit(&request->error, "The packet has too many file descriptors",
			PACKET_FDS_MAX);
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

struct json_object *dispatch_packet(struct gmemd *gmemd, const struct caller *caller,
	struct packet *packet, struct fd_list *ret_fds)
{
	struct request request = {.gmemd = gmemd, .caller = caller, .fds = &packet->fds};
	struct json_object *answer = serve_packet(packet, &request);

	*ret_fds = request.answer_fds;
	return answer;
}
