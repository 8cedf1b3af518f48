/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON-RPC: JSON, batches, requests, and parameters by each method's table.
 */
#include <stdbool.h>
#include <string.h>

#include "protocol/field_check.h"
#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/methods.h"
#include "protocol/text.h"
#include "tests/fuzz/fuzz.h"

#define PARTS 64

/* What is printed is read again as the same. */
static void check_printed(struct json_object *value)
{
	size_t length, again_length;
	const char *why, *text = json_print(value, &length);
	struct json_object *again;

	FUZZ_CHECK(text && strlen(text) == length);
	again = json_parse(text, length, &why);
	FUZZ_CHECK(again);
	FUZZ_CHECK(strcmp(json_print(again, &again_length), text) == 0);
	json_unref(again);
}

/* Whether it is a value, be it null, which has no object. */
static bool parses(const struct json_part *part)
{
	const char *why = NULL;
	struct json_object *value = json_parse(part->bytes, part->length, &why);
	bool is = value || (part->length >= 4 && memcmp(part->bytes, "null", 4) == 0);

	FUZZ_CHECK(value || why[0]);
	json_unref(value);
	return is;
}

/* Splitting takes what parsing takes, in as many elements; of these each may be wrong. */
static void check_split(const char *text, size_t length, struct json_object *value)
{
	struct json_part parts[PARTS];
	const char *why = NULL;
	size_t count, right = 0;
	bool split = json_split(text, length, parts, PARTS, &count, &why);

	FUZZ_CHECK(split || (why[0] && !json_is_array(value)));
	if (!split)
		return;
	FUZZ_CHECK(json_begins_array(text, length));
	for (size_t i = 0; i < count && i < PARTS; i++)
		right += parses(&parts[i]);
	if (json_is_array(value))
		FUZZ_CHECK(count == json_length(value));
	if (count <= PARTS)
		FUZZ_CHECK(json_is_array(value) == (right == count));
}

static void check_split_object(const char *text, size_t length, struct json_object *value)
{
	struct json_member members[PARTS];
	const char *why = NULL;
	size_t count, right = 0;
	bool split = json_split_object(text, length, members, PARTS, &count, &why);

	FUZZ_CHECK(split || (why[0] && !json_is_object(value)));
	for (size_t i = 0; split && i < count && i < PARTS; i++) {
		FUZZ_CHECK(members[i].name.bytes[0] == '"');
		right += parses(&members[i].value);
	}
	if (json_is_object(value))
		FUZZ_CHECK(count <= PARTS ? right == count : right == PARTS);
}

/* One error that names what is wrong, and can be sent. */
static void check_error(struct json_object *id, struct rpc_error *error, int code)
{
	struct json_object *message;

	FUZZ_CHECK((int)error->code == code && error->message[0]);
	message = message_error(id, error);
	FUZZ_CHECK(message);
	check_printed(message);
	json_unref(message);
	rpc_error_clear(error);
}

static void try_fields(const struct field *fields, struct json_object *params)
{
	union method_parameters parameters;
	struct rpc_error error = {.code = RPC_OK};
	int r = fields_decode(fields, params, &parameters, &error);

	if (r != 0) {
		FUZZ_CHECK(r == RPC_INVALID_PARAMS);
		FUZZ_CHECK(json_has(error.data, "param")); /* it may be "" */
		FUZZ_CHECK(json_get_string(error.data, "expected")[0]);
		check_error(NULL, &error, r);
		return;
	}
	FUZZ_CHECK(!fields_fault(fields, &parameters));
	fields_release(fields, &parameters);
}

static void try_request(struct json_object *value)
{
	struct rpc_error error = {.code = RPC_OK};
	struct request_message request = {.id = NULL};
	const struct method *method;
	int r = request_message_read(value, &request, &error);

	if (r != 0) {
		check_error(request.id, &error, r);
		return;
	}
	method = method_by_name(request.method);
	if (method && method->parameters)
		try_fields(method->parameters, request.params);
}

static void try_value(struct json_object *value)
{
	struct json_object *printable;

	check_printed(value);
	try_request(value);
	for (size_t i = 0; json_is_array(value) && i < json_length(value); i++)
		try_request(json_at(value, i));
	for (size_t i = 0; json_is_object(value) && i < METHODS; i++) {
		if (methods[i].parameters)
			try_fields(methods[i].parameters, value);
	}
	printable = json_make_printable(json_ref(value));
	check_printed(printable);
	json_unref(printable);
}

static void check_text(const char *text)
{
	char copy[64], printable[64], *escaped = text_escape_json(text);

	text_copy(text, copy, sizeof copy);
	text_copy_printable(text, printable, sizeof printable);
	for (const char *at = copy, *end = copy + strlen(copy); at < end;) {
		size_t length = text_character_length(at, end);

		FUZZ_CHECK(length > 0);
		at += length;
	}
	FUZZ_CHECK(escaped && strlen(printable) < sizeof printable);
	free(escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	const char *why = NULL;
	struct json_object *value = json_parse((const char *)bytes, size, &why);
	char *text = fuzz_text(&input);

	check_split((const char *)bytes, size, value);
	check_split_object((const char *)bytes, size, value);
	if (value)
		try_value(value);
	json_unref(value);
	check_text(text);
	free(text);
	return 0;
}
