/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON-RPC 2.0 messages: which are requests, and what is answered with.
 */
#include "protocol/message.h"

#include <stdio.h>
#include <string.h>

#include "protocol/json.h"
#include "tests/lib/unit.h"

static struct json_object *parse(const char *text)
{
	const char *why;

	return json_parse(text, strlen(text), &why);
}

static void check_text(struct json_object *take_message, const char *wanted)
{
	size_t length;
	const char *text = json_print(take_message, &length);

	UNIT_ASSERT_ROW(strcmp(text, wanted) == 0, "%s, expected %s", text, wanted);
	json_unref(take_message);
}

static void test_request(void)
{
	struct json_object *message =
		parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":{\"a\":1}}");
	struct rpc_error error = {.code = RPC_OK};
	struct request_message request;

	CU_ASSERT_EQUAL(request_message_read(message, &request, &error), 0);
	CU_ASSERT_FALSE(request.notification);
	CU_ASSERT_STRING_EQUAL(request.method, "ping");
	CU_ASSERT_PTR_EQUAL(request.id, json_get(message, "id"));
	CU_ASSERT_PTR_EQUAL(request.params, json_get(message, "params"));
	json_unref(message);
}

static void test_notification(void)
{
	struct json_object *message = parse("{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}");
	struct rpc_error error = {.code = RPC_OK};
	struct request_message request;

	CU_ASSERT_EQUAL(request_message_read(message, &request, &error), 0);
	CU_ASSERT_TRUE(request.notification);
	CU_ASSERT_PTR_NULL(request.id);
	CU_ASSERT_PTR_NULL(request.params);
	json_unref(message);
}

/* Which the method's table refuses, with its name. */
static void test_array_of_params(void)
{
	struct json_object *message =
		parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":[1]}");
	struct rpc_error error = {.code = RPC_OK};
	struct request_message request;

	CU_ASSERT_EQUAL(request_message_read(message, &request, &error), 0);
	CU_ASSERT_PTR_EQUAL(request.params, json_get(message, "params"));
	json_unref(message);
}

/* What comes back is the id as it was given. */
static void test_ids(void)
{
	static const char *const ids[] = {"0", "-1", "18446744073709551614", "1.5", "\"\"",
		"\"text\"", "null", "1e400", "\"\\u0001\""};

	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		struct rpc_error error = {.code = RPC_OK};
		struct request_message request;
		struct json_object *message;
		char text[128];

		snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"m\"}",
			ids[i]);
		message = parse(text);
		UNIT_ASSERT_ROW(request_message_read(message, &request, &error) == 0, "%s", text);
		CU_ASSERT_FALSE(request.notification);
		snprintf(
			text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}", ids[i]);
		check_text(message_result(request.id, NULL), text);
		json_unref(message);
		rpc_error_clear(&error);
	}
}

static void check_id_length(size_t length, int wanted)
{
	struct rpc_error error = {.code = RPC_OK};
	struct request_message request;
	struct json_object *message;
	char text[1024], id[512];

	/* With its quotes. */
	memset(id, 'i', length - 2);
	id[length - 2] = '\0';
	snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"m\"}", id);
	message = parse(text);
	CU_ASSERT_EQUAL(request_message_read(message, &request, &error), wanted);
	CU_ASSERT_EQUAL(request.id == NULL, wanted != 0);
	rpc_error_clear(&error);
	json_unref(message);
}

static void test_id_length(void)
{
	check_id_length(MESSAGE_ID_BYTES_MAX, 0);
	check_id_length(MESSAGE_ID_BYTES_MAX + 1, RPC_INVALID_REQUEST);
}

/* Whether the answer to what is no request can carry its id. */
static void test_no_request(void)
{
	static const struct {
		const char *text;
		bool has_id;
	} rows[] = {{"[]", false}, {"1", false}, {"\"ping\"", false}, {"{}", false},
		{"{\"method\":\"m\"}", false}, {"{\"id\":1,\"method\":\"m\"}", true},
		{"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", true},
		{"{\"jsonrpc\":\"2\",\"id\":1,\"method\":\"m\"}", true},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}", true},
		{"{\"jsonrpc\":\"2.00\",\"id\":1,\"method\":\"m\"}", true},
		{"{\"jsonrpc\":null,\"id\":1,\"method\":\"m\"}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":null}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":1}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":[\"m\"]}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":null}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":1}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":\"p\"}", true},
		{"{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"method\":\"m\"}", false},
		{"{\"jsonrpc\":\"2.0\",\"id\":-9223372036854775808,\"method\":\"m\"}", false},
		{"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"m\"}", false},
		{"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}", false},
		{"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"m\"}", false}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct json_object *message = parse(rows[i].text);
		struct rpc_error error = {.code = RPC_OK};
		struct request_message request;

		UNIT_ASSERT_ROW(
			request_message_read(message, &request, &error) == RPC_INVALID_REQUEST,
			"%s", rows[i].text);
		UNIT_ASSERT_ROW((request.id != NULL) == rows[i].has_id, "%s: id", rows[i].text);
		UNIT_ASSERT_ROW(error.message[0], "%s: message", rows[i].text);
		CU_ASSERT_STRING_EQUAL(json_get_string(error.data, "reason"), "invalid_request");
		rpc_error_clear(&error);
		json_unref(message);
	}
}

static void test_answers(void)
{
	struct json_object *id = parse("\"an id\""), *result = json_new_object();
	struct rpc_error error = {.code = RPC_OK};

	json_add_uint(result, "x", 1);
	check_text(message_result(id, result),
		"{\"jsonrpc\":\"2.0\",\"id\":\"an id\",\"result\":{\"x\":1}}");
	rpc_error_too_large(&error, "Too much", 5);
	check_text(message_error(id, &error),
		"{\"jsonrpc\":\"2.0\",\"id\":\"an id\",\"error\":{\"code\":-32600,\"message\":"
		"\"Too much; the limit is "
		"5.\",\"data\":{\"reason\":\"invalid_request\",\"limit\":5}}}");
	check_text(message_error(NULL, &error),
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
		"\"Too much; the limit is "
		"5.\",\"data\":{\"reason\":\"invalid_request\",\"limit\":5}}}");
	rpc_error_clear(&error);
	/* They have kept references of their own. */
	CU_ASSERT_STRING_EQUAL(json_string(id), "an id");
	json_unref(id);
}

/* What is made here is read there. */
static void test_made_and_read(void)
{
	struct rpc_error error = {.code = RPC_OK};
	struct request_message request;
	struct json_object *message;

	check_text(message_request(9, "vm.list", json_new_object()),
		"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"vm.list\",\"params\":{}}");
	check_text(message_request(UINT64_MAX - 1, "ping", NULL),
		"{\"jsonrpc\":\"2.0\",\"id\":18446744073709551614,\"method\":\"ping\"}");
	check_text(message_request(0, "a \"name\"\n", NULL),
		"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"a \\\"name\\\"\\n\"}");
	message = message_notification("event", NULL);
	CU_ASSERT_EQUAL(request_message_read(message, &request, &error), 0);
	CU_ASSERT_TRUE(request.notification);
	check_text(message, "{\"jsonrpc\":\"2.0\",\"method\":\"event\"}");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"request", test_request},
		{"notification", test_notification},
		{"an array of parameters", test_array_of_params},
		{"ids", test_ids},
		{"an id's length", test_id_length},
		{"no request", test_no_request},
		{"answers", test_answers},
		{"made and read", test_made_and_read},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "message", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
