/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fields described as JSON Schema. See field.h.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol/field.h"
#include "protocol/json.h"

static const char *schema_type(enum field_type type)
{
	switch (type) {
	case FIELD_STRING:
	case FIELD_UUID:
	case FIELD_ENUM:
		return "string";
	case FIELD_INTEGER:
	case FIELD_FD:
		return "integer";
	case FIELD_BOOLEAN:
		return "boolean";
	case FIELD_FLAGS:
	case FIELD_ARRAY:
		return "array";
	case FIELD_OBJECT:
		return "object";
	case FIELD_ANY:
		break;
	}
	return NULL;
}

static void add_type(struct json_object *schema, const struct field *field)
{
	const char *type = schema_type(field->type);

	if (type && field->flags & FIELD_NULLABLE) {
		struct json_object *types = json_add_array(schema, "type");

		json_append_string(types, type);
		json_append_string(types, "null");
	} else if (type) {
		json_add_string(schema, "type", type);
	}
}

static void add_names(struct json_object *schema, const char *const *names, bool nullable)
{
	struct json_object *values = json_add_array(schema, "enum");

	for (size_t i = 0; names[i]; i++)
		json_append_string(values, names[i]);
	if (nullable)
		json_append(values, NULL);
}

static void add_default(struct json_object *schema, const struct field *field)
{
	uint64_t value = field->default_value;

	if (!(field->flags & FIELD_OPTIONAL) || value == FIELD_UNSET)
		return;
	if (field->default_string)
		json_add_string(schema, "default", field->default_string);
	if (field->type == FIELD_INTEGER)
		json_add_uint(schema, "default", value);
	if (field->type == FIELD_BOOLEAN)
		json_add_bool(schema, "default", value);
	if (field->type == FIELD_ENUM)
		json_add_string(schema, "default", field->names[value]);
	if (field->type == FIELD_FLAGS)
		json_add_flags(schema, "default", value, field->names);
}

static void add_integer_bounds(
	struct json_object *schema, const struct field *field, enum schema_detail detail)
{
	uint64_t minimum = field_minimum(field);

	if (minimum > 0 || detail == SCHEMA_FULL)
		json_add_uint(schema, "minimum", minimum);
	if (field->max > 0)
		json_add_uint(schema, "maximum", field->max);
	if (field->flags & FIELD_PAGES)
		json_add_uint(schema, "multipleOf", (uint64_t)sysconf(_SC_PAGESIZE));
}

#define SHARED_SCHEMAS "#/components/schemas/"

static struct json_object *reference_to(const char *shared)
{
	struct json_object *schema = json_new_object();
	char reference[64];

	snprintf(reference, sizeof reference, SHARED_SCHEMAS "%s", shared);
	json_add_string(schema, "$ref", reference);
	return schema;
}

/* Beside a reference JSON Schema takes no other word. */
static struct json_object *reference_of(const struct field *field)
{
	struct json_object *schema, *either;

	if (!(field->flags & FIELD_NULLABLE))
		return reference_to(field->shared);
	schema = json_new_object();
	either = json_add_array(schema, "oneOf");
	json_append(either, reference_to(field->shared));
	json_add_string(json_append_object(either), "type", "null");
	return schema;
}

static void add_items(
	struct json_object *schema, const struct field *field, enum schema_detail detail)
{
	if (field->max > 0) {
		json_add_uint(schema, "minItems", field->min);
		json_add_uint(schema, "maxItems", field->max);
	}
	if (field->shared && detail == SCHEMA_BRIEF)
		json_add(schema, "items", reference_to(field->shared));
	else if (field->fields)
		json_add(schema, "items", fields_schema(field->fields, detail));
}

static void add_bounds(
	struct json_object *schema, const struct field *field, enum schema_detail detail)
{
	bool nullable = field->flags & FIELD_NULLABLE;

	if (field->type == FIELD_STRING && field->max > 0) {
		json_add_uint(schema, "minLength", field->min);
		json_add_uint(schema, "maxLength", field->max);
	} else if (field->type == FIELD_UUID) {
		json_add_string(schema, "format", "uuid");
	} else if (field->type == FIELD_INTEGER) {
		add_integer_bounds(schema, field, detail);
	} else if (field->type == FIELD_FD) {
		json_add_bool(schema, "x-fd", true);
	} else if (field->type == FIELD_ENUM) {
		add_names(schema, field->names, nullable);
	} else if (field->type == FIELD_FLAGS) {
		json_add_bool(schema, "uniqueItems", true);
		add_names(json_add_object(schema, "items"), field->names, false);
	} else if (field->type == FIELD_ARRAY) {
		add_items(schema, field, detail);
	}
}

/* *ret_count: how many there are. */
static bool are_all_required(const struct field *fields, uint64_t *ret_count)
{
	bool all = true;

	*ret_count = 0;
	for (const struct field *field = fields; field->name; field++) {
		all = all && !(field->flags & FIELD_OPTIONAL);
		(*ret_count)++;
	}
	return all;
}

/* In brief, that all of them must be there is said by how many there are. */
static void add_required(
	struct json_object *schema, const struct field *fields, enum schema_detail detail)
{
	struct json_object *required;
	uint64_t count;

	if (are_all_required(fields, &count) && detail == SCHEMA_BRIEF) {
		json_add_uint(schema, "minProperties", count);
		return;
	}
	required = json_add_array(schema, "required");
	for (const struct field *field = fields; field->name; field++) {
		if (!(field->flags & FIELD_OPTIONAL))
			json_append_string(required, field->name);
	}
}

/* An object's members are those of the schema itself. */
static void add_members(
	struct json_object *schema, const struct field *fields, enum schema_detail detail)
{
	struct json_object *properties = json_add_object(schema, "properties");

	for (const struct field *field = fields; field->name; field++)
		json_add(properties, field->name, field_schema(field, detail));
	add_required(schema, fields, detail);
	json_add_bool(schema, "additionalProperties", false);
}

struct json_object *field_schema(const struct field *field, enum schema_detail detail)
{
	struct json_object *schema;

	if (field->shared && field->type == FIELD_OBJECT && detail == SCHEMA_BRIEF)
		return reference_of(field);
	schema = json_new_object();
	add_type(schema, field);
	if (field->summary && detail == SCHEMA_FULL)
		json_add_string(schema, "description", field->summary);
	add_bounds(schema, field, detail);
	add_default(schema, field);
	if (field->type == FIELD_OBJECT && field->fields)
		add_members(schema, field->fields, detail);
	return schema;
}

struct json_object *fields_schema(const struct field *fields, enum schema_detail detail)
{
	struct json_object *schema = json_new_object();

	json_add_string(schema, "type", "object");
	add_members(schema, fields, detail);
	return schema;
}
