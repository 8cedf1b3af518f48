/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fields: what parameters become by their table, and which error each bad one gives.
 */
#include "protocol/field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol/json.h"
#include "protocol/packet.h"
#include "tests/lib/unit.h"

struct parameters {
	const char *string;
	const char *uuid;
	uint64_t integer;
	uint64_t pages;
	uint64_t boolean;
	uint64_t choice;
	uint64_t flags;
	int fd;
	uint64_t nullable;
	const char *nullable_string;
	uint64_t guard;
};

#define AT(member) .offset = offsetof(struct parameters, member)
#define GUARD      0x1234567890abcdefull
#define UUID       "01234567-89ab-cdef-CDEF-0123456789ab"

static const char *const choices[] = {"one", "two", "three", NULL};

static const struct field fields[] = {
	{"string", FIELD_STRING, FIELD_OPTIONAL, .min = 2, .max = 5, AT(string), .summary = "S."},
	{"uuid", FIELD_UUID, FIELD_OPTIONAL, AT(uuid), .summary = "U."},
	{"integer", FIELD_INTEGER, FIELD_OPTIONAL, .min = 5, .max = 10, .default_value = 7,
		AT(integer), .summary = "I."},
	{"pages", FIELD_INTEGER, FIELD_OPTIONAL | FIELD_PAGES, .min = 1, .max = 0x100000,
		.default_value = FIELD_UNSET, AT(pages), .summary = "P."},
	{"boolean", FIELD_BOOLEAN, FIELD_OPTIONAL, .default_value = 1, AT(boolean),
		.summary = "B."},
	{"choice", FIELD_ENUM, FIELD_OPTIONAL, .names = choices, .default_value = 2, AT(choice),
		.summary = "C."},
	{"flags", FIELD_FLAGS, FIELD_OPTIONAL, .names = choices, AT(flags), .summary = "F."},
	{"fd", FIELD_FD, FIELD_OPTIONAL, AT(fd), .summary = "D."},
	{"nullable", FIELD_INTEGER, FIELD_OPTIONAL | FIELD_NULLABLE, .max = INT64_MAX,
		.default_value = 3, AT(nullable), .summary = "N."},
	{"nullable_string", FIELD_STRING, FIELD_OPTIONAL | FIELD_NULLABLE, .max = 8,
		AT(nullable_string), .summary = "NS."},
	{.name = NULL},
};

static const struct field required_fields[] = {
	{"string", FIELD_STRING, .min = 1, .max = 5, AT(string), .summary = "S."},
	{"nullable", FIELD_INTEGER, FIELD_NULLABLE, .max = 9, AT(nullable), .summary = "N."},
	{.name = NULL},
};

static struct parameters decoded;
static struct rpc_error error;
static struct json_object *params;

/* Strings live as long as params, which is kept for the test. */
static int decode_with(const struct field *table, const char *text)
{
	const char *why;

	json_unref(params);
	params = text ? json_parse(text, strlen(text), &why) : NULL;
	rpc_error_clear(&error);
	memset(&decoded, 0x5a, sizeof decoded);
	decoded.guard = GUARD;
	return fields_decode(table, params, &decoded, &error);
}

static int decode(const char *text)
{
	return decode_with(fields, text);
}

/* The error names the parameter and what it must be. */
static void check_refused(const char *text, const char *param)
{
	int r = decode(text);
	const char *expected = json_get_string(error.data, "expected");

	UNIT_ASSERT_ROW(
		r == RPC_INVALID_PARAMS && error.code == RPC_INVALID_PARAMS, "%s: %d", text, r);
	UNIT_ASSERT_ROW(strcmp(json_get_string(error.data, "param"), param) == 0, "%s: param is %s",
		text, json_get_string(error.data, "param"));
	UNIT_ASSERT_ROW(strncmp(error.message, param, strlen(param)) == 0 && expected[0] &&
				strstr(error.message, expected),
		"%s: \"%s\"", text, error.message);
}

static void test_absent(void)
{
	const char *const nothing[] = {NULL, "{}"};

	for (size_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(decode(nothing[i]), 0);
		CU_ASSERT_PTR_NULL(decoded.string);
		CU_ASSERT_PTR_NULL(decoded.uuid);
		CU_ASSERT_EQUAL(decoded.integer, 7);
		CU_ASSERT_EQUAL(decoded.pages, FIELD_UNSET);
		CU_ASSERT_EQUAL(decoded.boolean, 1);
		CU_ASSERT_EQUAL(decoded.choice, 2);
		CU_ASSERT_EQUAL(decoded.flags, 0);
		CU_ASSERT_EQUAL(decoded.fd, -1);
		CU_ASSERT_EQUAL(decoded.nullable, 3);
		CU_ASSERT_PTR_NULL(decoded.nullable_string);
		CU_ASSERT_EQUAL(decoded.guard, GUARD);
	}
}

static void test_present(void)
{
	CU_ASSERT_EQUAL(decode("{\"string\":\"abcd\",\"uuid\":\"" UUID "\",\"integer\":5,"
			       "\"pages\":65536,\"boolean\":false,\"choice\":\"one\","
			       "\"flags\":[\"three\",\"one\"],\"fd\":2,\"nullable\":0,"
			       "\"nullable_string\":\"\"}"),
		0);
	CU_ASSERT_STRING_EQUAL(decoded.string, "abcd");
	CU_ASSERT_STRING_EQUAL(decoded.uuid, UUID);
	CU_ASSERT_EQUAL(decoded.integer, 5);
	CU_ASSERT_EQUAL(decoded.pages, 65536);
	CU_ASSERT_EQUAL(decoded.boolean, 0);
	CU_ASSERT_EQUAL(decoded.choice, 0);
	CU_ASSERT_EQUAL(decoded.flags, 5);
	CU_ASSERT_EQUAL(decoded.fd, 2);
	CU_ASSERT_EQUAL(decoded.nullable, 0);
	CU_ASSERT_STRING_EQUAL(decoded.nullable_string, "");
	CU_ASSERT_EQUAL(decoded.guard, GUARD);
}

static void test_null(void)
{
	CU_ASSERT_EQUAL(decode("{\"nullable\":null,\"nullable_string\":null}"), 0);
	CU_ASSERT_EQUAL(decoded.nullable, FIELD_UNSET);
	CU_ASSERT_PTR_NULL(decoded.nullable_string);
	for (const struct field *field = fields; field->name; field++) {
		char text[64];

		snprintf(text, sizeof text, "{\"%s\":null}", field->name);
		if (!(field->flags & FIELD_NULLABLE))
			check_refused(text, field->name);
	}
}

/* Each type, given each other. */
static void test_types(void)
{
	static const char *const values[] = {"{}", "[1]", "1.5", "\"\\u0007bell\"", "-1", "[[]]",
		"1e1", "{\"a\":1}", "[null]", "\"seven is too long for all\""};

	for (const struct field *field = fields; field->name; field++) {
		for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
			char text[64];

			snprintf(text, sizeof text, "{\"%s\":%s}", field->name, values[i]);
			check_refused(text, field->name);
		}
	}
	check_refused("{\"string\":123}", "string");
	check_refused("{\"integer\":\"7\"}", "integer");
	check_refused("{\"integer\":true}", "integer");
	check_refused("{\"boolean\":1}", "boolean");
	check_refused("{\"boolean\":\"true\"}", "boolean");
	check_refused("{\"choice\":0}", "choice");
	check_refused("{\"flags\":\"one\"}", "flags");
	check_refused("{\"flags\":1}", "flags");
	check_refused("{\"fd\":\"0\"}", "fd");
}

static void test_strings(void)
{
	CU_ASSERT_EQUAL(decode("{\"string\":\"ab\"}"), 0);
	CU_ASSERT_EQUAL(decode("{\"string\":\"abcde\"}"), 0);
	/* Bytes count, not characters. */
	CU_ASSERT_EQUAL(decode("{\"string\":\"\xc3\xa4\"}"), 0);
	CU_ASSERT_EQUAL(decode("{\"string\":\"\xc2\xa0 \"}"), 0);
	check_refused("{\"string\":\"\xc3\xa4\xc3\xa4\xc3\xa4\"}", "string");
	check_refused("{\"string\":\"a\"}", "string");
	check_refused("{\"string\":\"\"}", "string");
	check_refused("{\"string\":\"abcdef\"}", "string");
	/* Control characters, of C0 and C1, and DEL */
	check_refused("{\"string\":\"a\\nb\"}", "string");
	check_refused("{\"string\":\"a\\u001b\"}", "string");
	check_refused("{\"string\":\"a\x7f\"}", "string");
	check_refused("{\"string\":\"a\\u0080\"}", "string");
	check_refused("{\"string\":\"a\\u009f\"}", "string");
	check_refused("{\"string\":\"\xc2\x9b"
		      "a\"}",
		"string");
}

static void test_uuids(void)
{
	static const char *const none[] = {"", "01234567-89ab-cdef-cdef-0123456789a",
		"01234567-89ab-cdef-cdef-0123456789abc", "0123456789abcdefcdef0123456789ab",
		"01234567-89ab-cdef-cdef-0123456789ag", "01234567+89ab-cdef-cdef-0123456789ab",
		"012345678-9ab-cdef-cdef-0123456789ab", "{1234567-89ab-cdef-cdef-0123456789a}"};

	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		char text[80];

		snprintf(text, sizeof text, "{\"uuid\":\"%s\"}", none[i]);
		check_refused(text, "uuid");
	}
	check_refused("{\"uuid\":7}", "uuid");
}

static void test_integers(void)
{
	CU_ASSERT_EQUAL(decode("{\"integer\":10}"), 0);
	check_refused("{\"integer\":4}", "integer");
	check_refused("{\"integer\":11}", "integer");
	check_refused("{\"integer\":18446744073709551615}", "integer");
	check_refused("{\"integer\":18446744073709551623}", "integer"); /* 2^64 + 7 */
	check_refused("{\"integer\":-9223372036854775808}", "integer");
	check_refused("{\"integer\":7.0}", "integer");
	CU_ASSERT_EQUAL(decode("{\"nullable\":9223372036854775807}"), 0);
	CU_ASSERT_EQUAL(decoded.nullable, INT64_MAX);
	check_refused("{\"nullable\":9223372036854775808}", "nullable");
	check_refused("{\"nullable\":18446744073709551616}", "nullable");
}

static void test_pages(void)
{
	char text[64];
	long page = sysconf(_SC_PAGESIZE);

	snprintf(text, sizeof text, "{\"pages\":%ld}", page);
	CU_ASSERT_EQUAL(decode(text), 0);
	snprintf(text, sizeof text, "{\"pages\":%ld}", page + 1);
	check_refused(text, "pages");
	snprintf(text, sizeof text, "{\"pages\":%ld}", page / 2);
	check_refused(text, "pages");
	check_refused("{\"pages\":0}", "pages");
	check_refused("{\"pages\":1}", "pages");
	CU_ASSERT_EQUAL(decode("{\"pages\":1048576}"), 0);
	check_refused("{\"pages\":1114112}", "pages");
}

static void test_names(void)
{
	for (uint64_t i = 0; choices[i]; i++) {
		char text[64];

		snprintf(text, sizeof text, "{\"choice\":\"%s\",\"flags\":[\"%s\"]}", choices[i],
			choices[i]);
		CU_ASSERT_EQUAL(decode(text), 0);
		CU_ASSERT_EQUAL(decoded.choice, i);
		CU_ASSERT_EQUAL(decoded.flags, 1ull << i);
	}
	check_refused("{\"choice\":\"four\"}", "choice");
	check_refused("{\"choice\":\"On\"}", "choice");
	check_refused("{\"choice\":\"\"}", "choice");
	CU_ASSERT_EQUAL(decode("{\"flags\":[]}"), 0);
	CU_ASSERT_EQUAL(decoded.flags, 0);
	check_refused("{\"flags\":[\"one\",\"one\"]}", "flags");
	check_refused("{\"flags\":[\"one\",\"four\"]}", "flags");
	check_refused("{\"flags\":[\"one\",null]}", "flags");
}

static void test_fds(void)
{
	CU_ASSERT_EQUAL(decode("{\"fd\":0}"), 0);
	CU_ASSERT_EQUAL(decoded.fd, 0);
	CU_ASSERT_EQUAL(decode("{\"fd\":2147483647}"), 0);
	CU_ASSERT_EQUAL(decoded.fd, INT_MAX);
	check_refused("{\"fd\":2147483648}", "fd");
	check_refused("{\"fd\":-1}", "fd");
	check_refused("{\"fd\":4294967296}", "fd");
}

static void test_unknown(void)
{
	check_refused("{\"Integer\":7}", "Integer");
	check_refused("{\"integer\":7,\"\":1}", "");
	/* The unknown one is named, even where a known one is bad. */
	check_refused("{\"integer\":99,\"other\":1}", "other");
	CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "nullable_string"));
}

/* A name of a peer's choice may be long; what is said back of it is short and still UTF-8. */
static void test_unknown_long(void)
{
	char text[4096] = "{\"";
	const char *why, *printed;
	struct json_object *value, *again;
	size_t length;

	for (unsigned i = 0; i < 1000; i++)
		strcat(text, "\xe2\x82\xac");
	strcat(text, "\":1}");
	CU_ASSERT_EQUAL(decode(text), RPC_INVALID_PARAMS);
	value = rpc_error_value(&error);
	printed = json_print(value, &length);
	CU_ASSERT_TRUE(length < 1024);
	again = json_parse(printed, length, &why);
	CU_ASSERT_PTR_NOT_NULL(again);
	json_unref(again);
	json_unref(value);
}

static void test_required(void)
{
	CU_ASSERT_EQUAL(decode_with(required_fields, "{\"string\":\"a\",\"nullable\":null}"), 0);
	CU_ASSERT_EQUAL(decoded.nullable, FIELD_UNSET);
	CU_ASSERT_EQUAL(decode_with(required_fields, "{\"string\":\"a\"}"), RPC_INVALID_PARAMS);
	CU_ASSERT_STRING_EQUAL(json_get_string(error.data, "param"), "nullable");
	CU_ASSERT_EQUAL(decode_with(required_fields, NULL), RPC_INVALID_PARAMS);
	CU_ASSERT_STRING_EQUAL(json_get_string(error.data, "param"), "string");
	CU_ASSERT_EQUAL(decode_with(required_fields, "[]"), RPC_INVALID_PARAMS);
	CU_ASSERT_STRING_EQUAL(json_get_string(error.data, "param"), "params");
}

/* Arrays of objects */

struct item {
	uint64_t start;
	uint64_t size;
	const char *name;
};

struct array_parameters {
	struct field_array before, items;
	uint64_t after;
};

#define ITEM(member)  .offset = offsetof(struct item, member)
#define ARRAY(member) .offset = offsetof(struct array_parameters, member)

static const struct field item_fields[] = {
	{"start", FIELD_INTEGER, .max = 1000, ITEM(start)},
	{"size", FIELD_INTEGER, .min = 1, .max = 10, ITEM(size)},
	{"name", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 3, ITEM(name),
		.default_string = "x"},
	{.name = NULL},
};

static const struct field array_fields[] = {
	{"before", FIELD_ARRAY, FIELD_OPTIONAL, .max = 9, .fields = item_fields,
		.item_size = sizeof(struct item), ARRAY(before)},
	{"items", FIELD_ARRAY, .min = 1, .max = 4, .fields = item_fields,
		.item_size = sizeof(struct item), ARRAY(items)},
	{"after", FIELD_INTEGER, FIELD_OPTIONAL, .max = 9, ARRAY(after)},
	{.name = NULL},
};

static struct array_parameters arrays;

static int decode_arrays(const char *text)
{
	const char *why;

	json_unref(params);
	params = json_parse(text, strlen(text), &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(params);
	rpc_error_clear(&error);
	memset(&arrays, 0x5a, sizeof arrays);
	return fields_decode(array_fields, params, &arrays, &error);
}

static void test_arrays(void)
{
	const struct item *items;

	CU_ASSERT_EQUAL_FATAL(
		decode_arrays("{\"items\":[{\"start\":0,\"size\":10},{\"name\":\"abc\","
			      "\"size\":1,\"start\":1000}],\"after\":7}"),
		0);
	items = arrays.items.items;
	CU_ASSERT_EQUAL(arrays.items.count, 2);
	CU_ASSERT_EQUAL(items[0].start, 0);
	CU_ASSERT_EQUAL(items[0].size, 10);
	CU_ASSERT_STRING_EQUAL(items[0].name, "x");
	CU_ASSERT_EQUAL(items[1].start, 1000);
	CU_ASSERT_EQUAL(items[1].size, 1);
	CU_ASSERT_STRING_EQUAL(items[1].name, "abc");
	CU_ASSERT_EQUAL(arrays.after, 7);
	CU_ASSERT_EQUAL(arrays.before.count, 0);
	CU_ASSERT_PTR_NULL(arrays.before.items);
	fields_release(array_fields, &arrays);
	CU_ASSERT_PTR_NULL(arrays.items.items);
	CU_ASSERT_EQUAL(arrays.items.count, 0);
	fields_release(array_fields, &arrays);
}

/* An empty one, where that is allowed, is none. */
static void test_array_bounds(void)
{
	char text[512];

	CU_ASSERT_EQUAL(decode_arrays("{\"before\":[],\"items\":[{\"start\":1,\"size\":1}]}"), 0);
	CU_ASSERT_EQUAL(arrays.before.count, 0);
	CU_ASSERT_PTR_NULL(arrays.before.items);
	fields_release(array_fields, &arrays);
	for (size_t count = 0; count < 7; count++) {
		bool fits = count >= 1 && count <= 4;

		strcpy(text, "{\"items\":[");
		for (size_t i = 0; i < count; i++)
			sprintf(text + strlen(text), "%s{\"start\":%zu,\"size\":1}",
				i > 0 ? "," : "", i);
		strcat(text, "]}");
		UNIT_ASSERT_ROW(decode_arrays(text) == (fits ? 0 : RPC_INVALID_PARAMS), "%s", text);
		UNIT_ASSERT_ROW(arrays.items.count == (fits ? count : 0), "%s", text);
		fields_release(array_fields, &arrays);
	}
	CU_ASSERT_STRING_EQUAL(json_get_string(error.data, "param"), "items");
	CU_ASSERT_STRING_EQUAL(
		json_get_string(error.data, "expected"), "an array of 1 to 4 objects");
}

/* The items with a fault: "%s" is one without. */
static const struct {
	const char *items, *param;
} array_faults[] = {{"{}", "items"}, {"null", "items"}, {"7", "items"}, {"\"x\"", "items"},
	{"[null]", "items[0]"}, {"[[]]", "items[0]"}, {"[7]", "items[0]"},
	{"[%s,null]", "items[1]"}, {"[%s,%s,\"x\"]", "items[2]"}, {"[{}]", "items[0].start"},
	{"[%s,{\"start\":1}]", "items[1].size"}, {"[%s,{\"size\":1}]", "items[1].start"},
	{"[%s,%s,%s,{\"start\":1,\"size\":11}]", "items[3].size"},
	{"[{\"start\":1,\"size\":0},%s]", "items[0].size"},
	{"[%s,{\"start\":1001,\"size\":1}]", "items[1].start"},
	{"[%s,{\"start\":null,\"size\":1}]", "items[1].start"},
	{"[%s,{\"start\":1,\"size\":1,\"name\":\"\"}]", "items[1].name"},
	{"[%s,{\"start\":1,\"size\":1,\"Name\":\"x\"}]", "items[1].Name"},
	{"[%s,{\"start\":1,\"size\":99,\"\":1}]", "items[1]."}};

static void write_items(const char *items, char ret[static 512])
{
	static const char good[] = "{\"start\":1,\"size\":1}";
	int length = sprintf(ret, "{\"before\":[%s],\"items\":", good);

	for (const char *at = items; *at; at++) {
		if (strncmp(at, "%s", 2) != 0) {
			ret[length++] = *at;
			continue;
		}
		length += sprintf(ret + length, "%s", good);
		at++;
	}
	strcpy(ret + length, "}");
}

/* What was decoded before the fault is released with it; a leak is the sanitizer's to find. */
static void test_array_faults(void)
{
	for (size_t i = 0; i < sizeof array_faults / sizeof *array_faults; i++) {
		const char *param;
		char text[512];

		write_items(array_faults[i].items, text);
		UNIT_ASSERT_ROW(decode_arrays(text) == RPC_INVALID_PARAMS, "%s", text);
		param = json_get_string(error.data, "param");
		UNIT_ASSERT_ROW(strcmp(param, array_faults[i].param) == 0, "%s: %s", text, param);
		UNIT_ASSERT_ROW(!arrays.before.items && !arrays.items.items, "%s", text);
	}
}

/* A fault behind the array, too. */
static void test_array_before_fault(void)
{
	CU_ASSERT_EQUAL(decode_arrays("{\"items\":[{\"start\":1,\"size\":1}],\"after\":10}"),
		RPC_INVALID_PARAMS);
	CU_ASSERT_STRING_EQUAL(json_get_string(error.data, "param"), "after");
	CU_ASSERT_PTR_NULL(arrays.items.items);
}

/* Descriptions */

static void check_expectation(size_t index, const char *wanted)
{
	char text[128];

	field_expectation(&fields[index], text, sizeof text);
	CU_ASSERT_STRING_EQUAL(text, wanted);
}

static void test_expectations(void)
{
	char wanted[128], shortest[8];

	check_expectation(0, "a string of 2 to 5 printable bytes");
	check_expectation(2, "an integer from 5 to 10");
	snprintf(wanted, sizeof wanted, "an integer from %ld to 1048576, a multiple of %ld",
		sysconf(_SC_PAGESIZE), sysconf(_SC_PAGESIZE));
	check_expectation(3, wanted);
	check_expectation(4, "true or false");
	check_expectation(5, "one of \"one\", \"two\", \"three\"");
	check_expectation(8, "an integer from 0 to 9223372036854775807, or null");
	for (const struct field *field = fields; field->name; field++) {
		field_expectation(field, shortest, sizeof shortest);
		CU_ASSERT_TRUE(strlen(shortest) < sizeof shortest);
	}
}

static void check_schema(size_t index, const char *wanted)
{
	struct json_object *schema = field_schema(&fields[index], SCHEMA_FULL);
	size_t length;
	const char *text = json_print(schema, &length);

	UNIT_ASSERT_ROW(strcmp(text, wanted) == 0, "%s, expected %s", text, wanted);
	json_unref(schema);
}

static void test_schemas(void)
{
	check_schema(
		0, "{\"type\":\"string\",\"description\":\"S.\",\"minLength\":2,\"maxLength\":5}");
	check_schema(1, "{\"type\":\"string\",\"description\":\"U.\",\"format\":\"uuid\"}");
	check_schema(2, "{\"type\":\"integer\",\"description\":\"I.\",\"minimum\":5,\"maximum\":10,"
			"\"default\":7}");
	check_schema(4, "{\"type\":\"boolean\",\"description\":\"B.\",\"default\":true}");
	check_schema(5,
		"{\"type\":\"string\",\"description\":\"C.\",\"enum\":[\"one\",\"two\",\"three\"],"
		"\"default\":\"three\"}");
	check_schema(6, "{\"type\":\"array\",\"description\":\"F.\",\"uniqueItems\":true,"
			"\"items\":{\"enum\":[\"one\",\"two\",\"three\"]},\"default\":[]}");
	check_schema(7, "{\"type\":\"integer\",\"description\":\"D.\",\"x-fd\":true}");
	check_schema(9, "{\"type\":[\"string\",\"null\"],\"description\":\"NS.\",\"minLength\":0,"
			"\"maxLength\":8}");
}

static void test_object_schema(void)
{
	struct json_object *schema = fields_schema(required_fields, SCHEMA_FULL);
	size_t length;

	CU_ASSERT_STRING_EQUAL(json_print(schema, &length),
		"{\"type\":\"object\",\"properties\":{\"string\":{\"type\":\"string\","
		"\"description\":\"S.\",\"minLength\":1,\"maxLength\":5},\"nullable\":"
		"{\"type\":[\"integer\",\"null\"],\"description\":\"N.\",\"minimum\":0,\"maximum\":"
		"9}},"
		"\"required\":[\"string\",\"nullable\"],\"additionalProperties\":false}");
	json_unref(schema);
}

static void test_brief_schema(void)
{
	struct json_object *schema = fields_schema(required_fields, SCHEMA_BRIEF);
	size_t length;

	CU_ASSERT_STRING_EQUAL(json_print(schema, &length),
		"{\"type\":\"object\",\"properties\":{\"string\":{\"type\":\"string\","
		"\"minLength\":1,\"maxLength\":5},\"nullable\":{\"type\":[\"integer\",\"null\"],"
		"\"maximum\":9}},\"minProperties\":2,\"additionalProperties\":false}");
	json_unref(schema);
}

static void test_have(void)
{
	const struct field outer[] = {{"array", FIELD_ARRAY, .fields = fields}, {.name = NULL}};

	CU_ASSERT_TRUE(fields_have(fields, FIELD_FD));
	CU_ASSERT_TRUE(fields_have(outer, FIELD_FD));
	CU_ASSERT_TRUE(fields_have(outer, FIELD_ARRAY));
	CU_ASSERT_FALSE(fields_have(fields, FIELD_ARRAY));
	CU_ASSERT_FALSE(fields_have(required_fields, FIELD_FD));
	CU_ASSERT_FALSE(fields_have(NULL, FIELD_FD));
}

static void test_add_flags(void)
{
	struct json_object *object = json_new_object();
	size_t length;

	json_add_flags(object, "none", 0, choices);
	json_add_flags(object, "some", 6, choices);
	json_add_flags(object, "unknown", UINT64_MAX, choices);
	CU_ASSERT_STRING_EQUAL(json_print(object, &length),
		"{\"none\":[],\"some\":[\"two\",\"three\"],"
		"\"unknown\":[\"one\",\"two\",\"three\"]}");
	json_unref(object);
}

static void tear_down(void)
{
	params = json_unref(params);
	rpc_error_clear(&error);
}

/* A parameter that could be anything is none. */
static int decode_any(const struct field *row)
{
	const struct field table[] = {*row, {.name = NULL}};
	struct json_object *object = json_new_object();
	struct rpc_error fault = {.code = RPC_OK};
	struct parameters parameters;
	int code;

	json_add_uint(json_add_object(object, row->name), "a", 1);
	code = fields_decode(table, object, &parameters, &fault);
	rpc_error_clear(&fault);
	json_unref(object);
	return code;
}

/* What results have. */
static void test_results(void)
{
	static const struct field rows[] = {
		{"any", FIELD_ANY, .summary = "a value"},
		{"object", FIELD_OBJECT, .fields = required_fields, .summary = "an object"},
		{"array", FIELD_ARRAY, .summary = "an array"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char expected[64] = "";

		field_expectation(&rows[i], expected, sizeof expected);
		CU_ASSERT_STRING_EQUAL(expected, rows[i].summary);
	}
	CU_ASSERT_EQUAL(decode_any(rows), RPC_INVALID_PARAMS);
}

/* Absent, they are as if they were not named. */
static void test_nulls(void)
{
	static const struct field table[] = {
		{"uuid", FIELD_UUID, FIELD_NULLABLE, AT(uuid)},
		{"fd", FIELD_FD, FIELD_NULLABLE, AT(fd)},
		{"integer", FIELD_INTEGER, FIELD_NULLABLE, .max = 9, AT(integer)},
		{.name = NULL},
	};
	struct json_object *object = json_new_object();
	struct rpc_error fault = {.code = RPC_OK};
	struct parameters parameters = {.fd = 7};

	for (const struct field *field = table; field->name; field++)
		json_add_null(object, field->name);
	CU_ASSERT_EQUAL(fields_decode(table, object, &parameters, &fault), 0);
	CU_ASSERT_PTR_NULL(parameters.uuid);
	CU_ASSERT_EQUAL(parameters.fd, -1);
	CU_ASSERT_EQUAL(parameters.integer, FIELD_UNSET);
	json_unref(object);
}

int main(void)
{
	CU_TestInfo decoding[] = {
		{"absent", test_absent},
		{"present", test_present},
		{"null", test_null},
		{"types", test_types},
		{"strings", test_strings},
		{"UUIDs", test_uuids},
		{"integers", test_integers},
		{"whole pages", test_pages},
		{"names", test_names},
		{"descriptors", test_fds},
		{"unknown", test_unknown},
		{"unknown and long", test_unknown_long},
		{"required", test_required},
		{"arrays", test_arrays},
		{"arrays: how many", test_array_bounds},
		{"arrays: each item's faults", test_array_faults},
		{"arrays: a fault behind them", test_array_before_fault},
		{"null, of what is named by text or number", test_nulls},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo describing[] = {
		{"expectations", test_expectations},
		{"what results alone have", test_results},
		{"schemas", test_schemas},
		{"an object's schema", test_object_schema},
		{"a brief schema", test_brief_schema},
		{"types at any depth", test_have},
		{"flags by name", test_add_flags},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "fields decoded", .pTearDownFunc = tear_down, .pTests = decoding},
		{.pName = "fields described", .pTests = describing},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
