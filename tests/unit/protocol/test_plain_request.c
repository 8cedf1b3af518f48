/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain requests: what is read as one is what the whole reader says, on texts of all kinds.
 */
#include "protocol/plain_request.h"

#include <string.h>

#include "protocol/json.h"
#include "tests/unit/protocol/plain_texts.h"

static const char *const plain[] = {
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}",
	"{\"method\":\"event.subscribe\",\"id\":0,\"jsonrpc\":\"2.0\"}",
	" {\t\"jsonrpc\" :\r\n\"2.0\", \"id\" : 123456789012345678 , \"method\": \"host.describe\" "
	"} \n",
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\"}",
};

/* All that is left to the other reader, be it good or bad. */
static const char *const other[] = {
	"",
	"{}",
	"[]",
	"null",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}x",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\" \"\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":-1,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1.0,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1e1,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1234567890123456789,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.1\",\"id\":1,\"method\":\"ping\"}",
	"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"ping\"}",
	"{\"id\":1,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\\u0069ng\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"Ping\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a_name_that_is_longer_than_any_of_ours\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"more\":\"x\"}",
};

static bool is_plain(const char *text, size_t length)
{
	struct plain_request request = {.method = ""};
	bool is = plain_request_read(text, length, &request);

	if (is)
		json_unref(request.message.id);
	return is;
}

static bool same_id(struct json_object *a, struct json_object *b)
{
	size_t length_a, length_b;

	if (!a || !b)
		return a == b;
	return strcmp(json_print(a, &length_a), json_print(b, &length_b)) == 0;
}

/* As the other reader reads it, where this one does. */
static bool agrees(const char *text, size_t length)
{
	struct rpc_error error = {.code = RPC_OK};
	struct plain_request request;
	struct request_message read;
	struct json_object *message;
	const char *why;
	bool same;

	if (!plain_request_read(text, length, &request))
		return true;
	message = json_parse(text, length, &why);
	same = message && request_message_read(message, &read, &error) == 0 && !read.params &&
	       read.notification == request.message.notification &&
	       strcmp(read.method, request.message.method) == 0 &&
	       same_id(read.id, request.message.id);
	json_unref(message);
	json_unref(request.message.id);
	rpc_error_clear(&error);
	return same;
}

static const struct plain_texts texts = {
	.plain = plain,
	.n_plain = sizeof plain / sizeof *plain,
	.other = other,
	.n_other = sizeof other / sizeof *other,
	.is_plain = is_plain,
	.agrees = agrees,
};

static void test_which(void)
{
	plain_texts_check_which(&texts);
}

static void test_random(void)
{
	plain_texts_check_random(&texts);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"which are", test_which},
		{"as the whole reader reads them", test_random},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "plain requests", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
