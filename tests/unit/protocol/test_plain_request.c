/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain requests: what is read as one is what the whole reader says, on texts of all kinds.
 */
#include "protocol/plain_request.h"

#include <string.h>

#include "protocol/field.h"
#include "protocol/json.h"
#include "tests/unit/protocol/plain_texts.h"

#define METHOD(name) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" name "\",\"params\":"

static const char *const plain[] = {
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}",
	"{\"method\":\"event.subscribe\",\"id\":0,\"jsonrpc\":\"2.0\"}",
	" {\t\"jsonrpc\" :\r\n\"2.0\", \"id\" : 123456789012345678 , \"method\": \"host.describe\" "
	"} \n",
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\"}",
	METHOD("ping") "{}}",
	METHOD("slot.bind") "{\"vm\":\"vm-1\",\"slot\":1,\"guest_phys_addr\":4096,\"memory_size\":"
			    "4096,"
			    "\"userspace_addr\":8192,\"memory\":7,\"guest_memfd\":9,\"flags\":[]}}",
	METHOD("slot.bind") " { \"flags\" : [ \"readonly\" ] ,\"memory\":null,\"slot\":0,"
			    "\"userspace_addr\":0,\"memory_size\":4096,\"guest_phys_addr\":0,"
			    "\"vm\":\"a\"}}",
	METHOD("memory.convert") "{\"vm\":\"vm-1\",\"to\":\"private\",\"ranges\":["
				 "{\"guest_phys_addr\":0,\"size\":4096},"
				 "{\"size\":8192,\"guest_phys_addr\":8192}]}}",
	METHOD("memory.create") "{\"vm\":\"vm-1\",\"name\":\"a b\",\"size\":4096,\"node\":0,"
				"\"flags\":[\"mmap\"]}}",
	METHOD("slot.change") "{\"vm\":\"vm-1\",\"changes\":[{\"unbind\":1},{\"bind\":{\"slot\":1,"
			      "\"guest_phys_addr\":0,\"memory_size\":4096,\"memory\":null,"
			      "\"userspace_addr\":0}}]}}",
	METHOD("call.done") "{\"vm\":\"vm-1\",\"call\":1,\"done\":0,\"errno\":\"EIO\"}}",
	METHOD("memory.convert") "{\"discard\":false,\"vm\":\"vm-1\",\"to\":\"shared\",\"ranges\":["
				 "{\"guest_phys_addr\":0,\"size\":4096}]}}",
	METHOD("vm.open") "{\"name\":\"x\",\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\"}}",
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
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"params\":{},\"method\":\"ping\"}",
	METHOD("ping") "{},\"params\":{}}",
	METHOD("ping") "{\"a\":1}}",
	METHOD("ping") "[]}",
	METHOD("ping") "null}",
	METHOD("none") "{}}",
	METHOD("slot.unbind") "{\"slot\":1}}",
	METHOD("slot.unbind") "{\"vm\":\"vm-1\"}}",
	METHOD("slot.unbind") "{\"vm\":\"vm-1\",\"slot\":1,\"slot\":1}}",
	METHOD("slot.unbind") "{\"vm\":\"vm-1\",\"slot\":null}}",
	METHOD("slot.unbind") "{\"vm\":1,\"slot\":1}}",
	METHOD("slot.unbind") "{\"vm\":\"vm\\u002d1\",\"slot\":1}}",
	METHOD("slot.unbind") "{\"vm\":\"vm-1\",\"slot\":4294967296}}",
	METHOD("memory.convert") "{\"vm\":\"vm-1\",\"to\":\"private\",\"ranges\":[]}}",
	METHOD("memory.convert") "{\"vm\":\"vm-1\",\"to\":\"both\",\"ranges\":["
				 "{\"guest_phys_addr\":0,\"size\":4096}]}}",
	METHOD("memory.convert") "{\"vm\":\"vm-1\",\"to\":\"private\",\"ranges\":["
				 "{\"guest_phys_addr\":0,\"size\":4096},{\"guest_phys_addr\":0}]}}",
	METHOD("memory.create") "{\"vm\":\"vm-1\",\"size\":4096,\"flags\":[\"mmap\",\"mmap\"]}}",
	METHOD("call.done") "{\"vm\":\"vm-1\",\"call\":1,\"done\":0,\"fd\":2147483648}}",
	METHOD("memory.convert") "{\"discard\":1,\"vm\":\"vm-1\",\"to\":\"shared\",\"ranges\":["
				 "{\"guest_phys_addr\":0,\"size\":4096}]}}",
	METHOD("vm.open") "{\"name\":\"x\",\"uuid\":\"01234567-89ab-cdef-0123-456789abcdeg\"}}",
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

static void release(struct plain_request *request, union method_parameters *parameters)
{
	if (request->decoded)
		fields_release(request->decoded, parameters);
	json_unref(request->message.id);
}

static bool is_plain(const char *text, size_t length)
{
	struct plain_request request = {.method = ""};
	union method_parameters parameters;
	bool is = plain_request_read(text, length, &parameters, &request);

	if (is)
		release(&request, &parameters);
	return is;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_fields(const struct field *fields, const void *a, const void *b);

static bool same_items(
	const struct field *field, const struct field_array *a, const struct field_array *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = same_fields(field->fields, (const char *)a->items + i * field->item_size,
			(const char *)b->items + i * field->item_size);
	return same;
}

static bool same_field(const struct field *field, const void *a, const void *b)
{
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_UUID:
		return same_text(*(const char *const *)a, *(const char *const *)b);
	case FIELD_FD:
		return *(const int *)a == *(const int *)b;
	case FIELD_ARRAY:
	case FIELD_OBJECT:
		return same_items(field, a, b);
	default:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	}
}

static bool same_fields(const struct field *fields, const void *a, const void *b)
{
	bool same = true;

	for (const struct field *field = fields; same && field->name; field++)
		same = same_field(
			field, (const char *)a + field->offset, (const char *)b + field->offset);
	return same;
}

/* As they are decoded from values, where they were decoded. */
static bool same_parameters(const struct plain_request *request,
	const union method_parameters *parameters, struct json_object *params)
{
	struct rpc_error error = {.code = RPC_OK};
	union method_parameters decoded;
	bool same;

	if (!request->decoded)
		return !params;
	if (!params || fields_decode(request->decoded, params, &decoded, &error) < 0) {
		rpc_error_clear(&error);
		return false;
	}
	same = same_fields(request->decoded, parameters, &decoded);
	fields_release(request->decoded, &decoded);
	return same;
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
	union method_parameters parameters;
	struct request_message read;
	struct json_object *message;
	const char *why;
	bool same;

	if (!plain_request_read(text, length, &parameters, &request))
		return true;
	message = json_parse(text, length, &why);
	same = message && request_message_read(message, &read, &error) == 0 &&
	       same_parameters(&request, &parameters, read.params) &&
	       read.notification == request.message.notification &&
	       strcmp(read.method, request.message.method) == 0 &&
	       same_id(read.id, request.message.id);
	json_unref(message);
	release(&request, &parameters);
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
