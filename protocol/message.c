/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON-RPC 2.0 messages. See message.h.
 */
#include "protocol/message.h"

#include <string.h>

#include "protocol/json.h"

/* json-c makes one of these two of each integer that has no room in 64 bits: whether the id was one
 * that can be said back as it was can't be told. */
static bool at_edge(const struct json_object *id)
{
	int64_t negative;
	uint64_t number;

	if (json_uint(id, &number))
		return number == UINT64_MAX;
	return json_int(id, &negative) && negative == INT64_MIN;
}

/* A request's members, each NULL where it is absent or null. */
struct members {
	struct json_object *jsonrpc, *id, *method, *params;
	bool has_id, has_params;
};

static bool note_member(const char *name, struct json_object *value, void *context)
{
	struct members *members = context;

	if (strcmp(name, "jsonrpc") == 0) {
		members->jsonrpc = value;
	} else if (strcmp(name, "id") == 0) {
		members->id = value;
		members->has_id = true;
	} else if (strcmp(name, "method") == 0) {
		members->method = value;
	} else if (strcmp(name, "params") == 0) {
		members->params = value;
		members->has_params = true;
	}
	return true;
}

static const char *id_fault(struct json_object *id)
{
	size_t length;

	if (!id)
		return NULL;
	/* The usual one, and never long: it need not be printed to be measured. */
	if (json_is_integer(id))
		return at_edge(id) ? "id must be above -2^63 and below 2^64-1" : NULL;
	if (!json_is_string(id) && !json_is_number(id))
		return "id must be a string, a number or null";
	if (!json_print(id, &length) || length > MESSAGE_ID_BYTES_MAX)
		return "id is longer than 256 bytes";
	return NULL;
}

static const char *request_fault(const struct members *members)
{
	if (!json_is_string(members->jsonrpc) || strcmp(json_string(members->jsonrpc), "2.0") != 0)
		return "jsonrpc must be \"2.0\"";
	if (!json_is_string(members->method))
		return "method must be a string";
	if (members->has_params && !json_is_object(members->params) &&
		!json_is_array(members->params))
		return "params must be an object";
	return NULL;
}

int request_message_read(
	struct json_object *message, struct request_message *ret, struct rpc_error *error)
{
	struct members members = {.id = NULL};
	const char *fault;

	*ret = (struct request_message){.notification = false};
	if (!json_is_object(message))
		return rpc_error_invalid_request(error, "it is no object");
	json_each(message, note_member, &members);
	fault = id_fault(members.id);
	if (fault)
		return rpc_error_invalid_request(error, fault);
	ret->id = members.id;
	fault = request_fault(&members);
	if (fault)
		return rpc_error_invalid_request(error, fault);
	ret->notification = !members.has_id;
	ret->method = json_string(members.method);
	ret->params = members.params;
	return 0;
}

static struct json_part part_of(const char *text)
{
	return (struct json_part){text, strlen(text)};
}

/* Without bytes where there is no memory for them. */
static struct json_part printed(struct json_object *value, const char *absent)
{
	struct json_part part = {absent, 0};

	if (value)
		part.bytes = json_print(value, &part.length);
	else if (absent)
		part.length = strlen(absent);
	return part;
}

static struct json_part printed_id(struct json_object *id, char digits[static JSON_DIGITS_MAX])
{
	uint64_t number;

	return json_uint(id, &number) ? json_digits(number, digits) : printed(id, "null");
}

/* As text: nobody looks into it again, and many are short. NULL where a part has no bytes. */
static struct json_object *message_text(const struct json_part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!parts[i].bytes)
			return NULL;
	}
	return json_new_text(parts, count);
}

#define BEGIN_WITH_ID "{\"jsonrpc\":\"2.0\",\"id\":"

static struct json_object *answer_text(
	struct json_object *id, const char *member, struct json_part value)
{
	char digits[JSON_DIGITS_MAX];
	const struct json_part parts[] = {part_of(BEGIN_WITH_ID), printed_id(id, digits),
		part_of(member), value, part_of("}")};

	return message_text(parts, sizeof parts / sizeof *parts);
}

struct json_object *message_result(struct json_object *id, struct json_object *take_result)
{
	struct json_object *answer = answer_text(id, ",\"result\":", printed(take_result, "{}"));

	json_unref(take_result);
	return answer;
}

struct json_object *message_error(struct json_object *id, const struct rpc_error *error)
{
	struct json_object *value = rpc_error_value(error);
	struct json_object *answer =
		value ? answer_text(id, ",\"error\":", printed(value, "null")) : NULL;

	json_unref(value);
	return answer;
}

/* Nothing in it is to be escaped. */
static bool is_plain(const char *method)
{
	return method[strspn(method, "abcdefghijklmnopqrstuvwxyz0123456789._")] == '\0';
}

struct json_object *message_request(
	uint64_t id, const char *method, struct json_object *take_params)
{
	const bool plain = is_plain(method);
	struct json_object *string = plain ? NULL : json_new_string(method), *message;
	const struct json_part quote = part_of(plain ? "\"" : "");
	char digits[JSON_DIGITS_MAX];
	const struct json_part parts[] = {part_of(BEGIN_WITH_ID), json_digits(id, digits),
		part_of(",\"method\":"), quote, plain ? part_of(method) : printed(string, NULL),
		quote, part_of(take_params ? ",\"params\":" : ""), printed(take_params, ""),
		part_of("}")};

	message = message_text(parts, sizeof parts / sizeof *parts);
	json_unref(string);
	json_unref(take_params);
	return message;
}

struct json_object *message_notification(const char *method, struct json_object *take_params)
{
	struct json_object *message = json_new_object();

	json_add_string(message, "jsonrpc", "2.0");
	json_add_string(message, "method", method);
	if (take_params)
		json_add(message, "params", take_params);
	return message;
}
