/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of methods, and the OpenRPC document that is made from it.
 */
#include <stdio.h>
#include <string.h>

#include "protocol/json.h"
#include "protocol/methods.h"
#include "protocol/packet.h"
#include "tests/lib/unit.h"

static struct json_object *document;

static struct json_object *find_method(const char *name)
{
	struct json_object *list = json_get(document, "methods");

	for (size_t i = 0; i < json_length(list); i++) {
		if (strcmp(json_get_string(json_at(list, i), "name"), name) == 0)
			return json_at(list, i);
	}
	return NULL;
}

/* The table */

/* At any depth, each row says what it is. */
static void check_rows(const char *method, const struct field *fields)
{
	for (const struct field *field = fields; field->name; field++) {
		bool has_names = field->type == FIELD_ENUM || field->type == FIELD_FLAGS;

		UNIT_ASSERT_ROW(field->summary && field->summary[0], "%s: %s has no summary",
			method, field->name);
		UNIT_ASSERT_ROW(field->name[0], "%s: a row without a name", method);
		UNIT_ASSERT_ROW(
			has_names == (field->names != NULL), "%s: %s: names", method, field->name);
		for (const struct field *other = fields; other < field; other++)
			UNIT_ASSERT_ROW(strcmp(field->name, other->name) != 0, "%s: %s twice",
				method, field->name);
		if (field->fields)
			check_rows(method, field->fields);
	}
}

/* Decoded values lie side by side in the parameters, and have bounds and defaults that are
 * possible. */
static void check_parameters(const char *method, const struct field *fields)
{
	for (const struct field *field = fields; field->name; field++) {
		bool is_object = field->type == FIELD_OBJECT && field->fields;
		size_t end =
			field->offset + (is_object ? sizeof(struct field_array) : sizeof(uint64_t));

		UNIT_ASSERT_ROW(field->type < FIELD_OBJECT || is_object,
			"%s: %s can't be a parameter", method, field->name);
		UNIT_ASSERT_ROW(end <= sizeof(union method_parameters), "%s: %s lies outside",
			method, field->name);
		if (field->type == FIELD_STRING || field->type == FIELD_INTEGER)
			UNIT_ASSERT_ROW(field->min <= field->max && field->max < FIELD_UNSET,
				"%s: %s has no bounds", method, field->name);
		if (field->type == FIELD_ENUM)
			UNIT_ASSERT_ROW(field->default_value < 8, "%s: %s", method, field->name);
		for (const struct field *other = fields; other < field; other++)
			UNIT_ASSERT_ROW(other->offset != field->offset,
				"%s: %s and %s share a place", method, other->name, field->name);
	}
}

static void test_table(void)
{
	for (unsigned number = 0; number < METHODS; number++) {
		const struct method *method = &methods[number];

		CU_ASSERT_PTR_NOT_NULL_FATAL(method->name);
		CU_ASSERT_PTR_EQUAL(method_by_name(method->name), method);
		UNIT_ASSERT_ROW(method->summary && method->summary[0], "%s", method->name);
		UNIT_ASSERT_ROW(
			method->access != 0 &&
				(method->access & ~(unsigned)(ACCESS_VMM | ACCESS_OPERATOR)) == 0,
			"%s: access", method->name);
		UNIT_ASSERT_ROW(
			method->parameters && method->result && method->errors, "%s", method->name);
		check_rows(method->name, method->parameters);
		check_rows(method->name, method->result);
		check_parameters(method->name, method->parameters);
	}
	CU_ASSERT_PTR_NULL(method_by_name(""));
	CU_ASSERT_PTR_NULL(method_by_name("Ping"));
	CU_ASSERT_PTR_NULL(method_by_name("ping "));
}

/* The document */

static void test_document(void)
{
	struct json_object *info = json_get(document, "info");

	CU_ASSERT_EQUAL(strncmp(json_get_string(document, "openrpc"), "1.", 2), 0);
	CU_ASSERT_STRING_EQUAL(json_get_string(info, "version"), "9.8.7");
	CU_ASSERT_TRUE(strlen(json_get_string(info, "title")) > 0);
	CU_ASSERT_EQUAL(json_length(json_get(document, "methods")), METHODS);
}

/* It goes out in one packet, with an id and whatever is added to the table for a while. */
static void test_size(void)
{
	const char *why, *text;
	struct json_object *again;
	size_t length;

	text = json_print(document, &length);
	UNIT_ASSERT_ROW(length > 0 && length < PACKET_BYTES_MAX / 16 * 15, "%zu bytes", length);
	again = json_parse(text, length, &why);
	UNIT_ASSERT_ROW(again != NULL, "the document can't be read: %s", why);
	json_unref(again);
}

static bool check_property(const char *name, struct json_object *schema, void *context)
{
	bool typed = json_has(schema, "type") || json_has(schema, "description");

	UNIT_ASSERT_ROW(json_is_object(schema) && typed, "%s: %s has no schema",
		(const char *)context, name);
	UNIT_ASSERT_ROW(strlen(json_get_string(schema, "description")) > 0,
		"%s: %s has no description", (const char *)context, name);
	return true;
}

static void check_required(const char *method, struct json_object *schema)
{
	struct json_object *required = json_get(schema, "required");

	/* Where it is brief, the number of all stands for their names. */
	CU_ASSERT_TRUE(json_is_array(required) || json_has(schema, "minProperties"));
	for (size_t i = 0; i < json_length(required); i++)
		UNIT_ASSERT_ROW(
			json_has(json_get(schema, "properties"), json_string(json_at(required, i))),
			"%s: %s is required but not described", method,
			json_string(json_at(required, i)));
}

static void check_described_parameters(const struct method *method, struct json_object *described)
{
	struct json_object *list = json_get(described, "params");
	size_t index = 0;

	for (const struct field *field = method->parameters; field->name; field++, index++) {
		struct json_object *parameter = json_at(list, index);
		struct json_object *schema = json_get(parameter, "schema");

		UNIT_ASSERT_ROW(strcmp(json_get_string(parameter, "name"), field->name) == 0,
			"%s: %s is not described", method->name, field->name);
		UNIT_ASSERT_ROW(
			json_get_bool(parameter, "required") == !(field->flags & FIELD_OPTIONAL),
			"%s: %s: required", method->name, field->name);
		UNIT_ASSERT_ROW(
			json_has(schema, "type"), "%s: %s has no type", method->name, field->name);
		check_property(field->name, schema, (void *)method->name);
	}
	CU_ASSERT_EQUAL(json_length(list), index);
}

/* By itself a method is described with all that its answer has in words. */
static void check_alone(const struct method *method)
{
	struct json_object *alone = openrpc_document("9.8.7", method);
	struct json_object *list = json_get(alone, "methods"), *described = json_at(list, 0);
	struct json_object *result = json_get(json_get(described, "result"), "schema");

	CU_ASSERT_EQUAL(json_length(list), 1);
	CU_ASSERT_STRING_EQUAL(json_get_string(described, "name"), method->name);
	check_described_parameters(method, described);
	json_each(json_get(result, "properties"), check_property, (void *)method->name);
	json_unref(alone);
}

static void test_methods(void)
{
	for (unsigned number = 0; number < METHODS; number++) {
		const struct method *method = &methods[number];
		struct json_object *described = find_method(method->name);
		struct json_object *result = json_get(json_get(described, "result"), "schema");
		unsigned sockets = (method->access & ACCESS_VMM ? 1 : 0) +
				   (method->access & ACCESS_OPERATOR ? 1 : 0);

		UNIT_ASSERT_ROW(described != NULL, "%s is not described", method->name);
		CU_ASSERT_STRING_EQUAL(json_get_string(described, "summary"), method->summary);
		CU_ASSERT_STRING_EQUAL(json_get_string(described, "paramStructure"), "by-name");
		CU_ASSERT_EQUAL(json_length(json_get(described, "x-sockets")), sockets);
		check_described_parameters(method, described);
		CU_ASSERT_STRING_EQUAL(json_get_string(result, "type"), "object");
		check_required(method->name, result);
		check_alone(method);
	}
}

/* What a method refers to is there, with the code that it has. */
static void test_errors(void)
{
	static const char prefix[] = "#/components/errors/";
	struct json_object *errors = json_get(json_get(document, "components"), "errors");

	for (unsigned number = 0; number < METHODS; number++) {
		struct json_object *list = json_get(find_method(methods[number].name), "errors");
		size_t index = 0;

		for (const enum rpc_code *code = methods[number].errors; *code != RPC_OK; code++) {
			const char *reference = json_get_string(json_at(list, index++), "$ref");
			int64_t described = 0;

			CU_ASSERT_EQUAL_FATAL(strncmp(reference, prefix, strlen(prefix)), 0);
			json_get_int(
				json_get(errors, reference + strlen(prefix)), "code", &described);
			UNIT_ASSERT_ROW(described == rpc_code_sent(*code), "%s: %s",
				methods[number].name, reference);
		}
		CU_ASSERT_EQUAL(json_length(list), index);
	}
}

/* Whether each reference to a schema, here and below, is to one that there is. */
static bool refers_to_schemas(const char *name, struct json_object *value, void *context)
{
	static const char prefix[] = "#/components/schemas/";
	struct json_object *schemas = json_get(json_get(document, "components"), "schemas");
	unsigned *found = context;

	if (json_is_array(value)) {
		for (size_t i = 0; i < json_length(value); i++)
			refers_to_schemas("", json_at(value, i), context);
	} else if (json_is_object(value)) {
		json_each(value, refers_to_schemas, context);
	} else if (strcmp(name, "$ref") == 0 &&
		   strncmp(json_string(value), prefix, strlen(prefix)) == 0) {
		UNIT_ASSERT_ROW(
			json_is_object(json_get(schemas, json_string(value) + strlen(prefix))),
			"%s", json_string(value));
		(*found)++;
	}
	return true;
}

/* Alone, a method has all that is its own. */
static void test_shared_schemas(void)
{
	unsigned found = 0, alone = 0;

	json_each(document, refers_to_schemas, &found);
	CU_ASSERT_TRUE(found > 3);
	for (unsigned number = 0; number < METHODS; number++) {
		struct json_object *described = openrpc_document("9.8.7", &methods[number]);

		json_each(described, refers_to_schemas, &alone);
		json_unref(described);
	}
	CU_ASSERT_EQUAL(alone, 0);
}

static int set_up(void)
{
	document = openrpc_document("9.8.7", NULL);
	return document ? 0 : -1;
}

static int clean_up(void)
{
	document = json_unref(document);
	return 0;
}

int main(void)
{
	CU_TestInfo table[] = {
		{"each row", test_table},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo described[] = {
		{"document", test_document},
		{"size", test_size},
		{"methods", test_methods},
		{"errors", test_errors},
		{"shared schemas", test_shared_schemas},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "table of methods", .pTests = table},
		{.pName = "OpenRPC",
			.pInitFunc = set_up,
			.pCleanupFunc = clean_up,
			.pTests = described},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
