/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checking and decoding parameters by their table. See field.h.
 */
#include "protocol/field.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/field_check.h"
#include "protocol/json.h"

#define EXPECTATION_SIZE 256

struct decoding {
	const struct field *fields;
	const struct field
		*next; /* behind that of the last member: most come in the table's order */
	struct rpc_error *error;
	const struct decoding *outer; /* NULL: these are the parameters */
	const char *member;           /* of outer's, which these fields are of */
	bool is_item;                 /* that is an array, and they are of an item of it */
	size_t index;
};

static int decode_fields(struct decoding *decoding, struct json_object *object, void *parameters);

static void append_names(const char *const *names, const char *separator, char *ret, size_t size)
{
	for (size_t i = 0, used = strlen(ret); names[i] && used < size; i++) {
		snprintf(ret + used, size - used, "%s\"%s\"", i > 0 ? separator : "", names[i]);
		used = strlen(ret);
	}
}

uint64_t field_minimum(const struct field *field)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return field->flags & FIELD_PAGES ? (field->min + page - 1) / page * page : field->min;
}

static void expect_integer(const struct field *field, char *ret, size_t size)
{
	char alignment[64] = "";

	if (field->flags & FIELD_PAGES)
		snprintf(alignment, sizeof alignment, ", a multiple of %ld", sysconf(_SC_PAGESIZE));
	snprintf(ret, size, "an integer from %" PRIu64 " to %" PRIu64 "%s", field_minimum(field),
		field->max, alignment);
}

void field_expectation(const struct field *field, char *ret, size_t size)
{
	switch (field->type) {
	case FIELD_STRING:
		snprintf(ret, size, "a string of %" PRIu64 " to %" PRIu64 " printable bytes",
			field->min, field->max);
		break;
	case FIELD_UUID:
		snprintf(ret, size, "a UUID: 8-4-4-4-12 hexadecimal digits");
		break;
	case FIELD_INTEGER:
		expect_integer(field, ret, size);
		break;
	case FIELD_BOOLEAN:
		snprintf(ret, size, "true or false");
		break;
	case FIELD_ENUM:
		snprintf(ret, size, "one of ");
		append_names(field->names, ", ", ret, size);
		break;
	case FIELD_FLAGS:
		snprintf(ret, size, "an array, without repetition, of ");
		append_names(field->names, ", ", ret, size);
		break;
	case FIELD_FD:
		snprintf(ret, size, "the number of a file that the process has open, from 0 to %d",
			INT_MAX);
		break;
	case FIELD_OBJECT:
		snprintf(ret, size, "an object");
		break;
	case FIELD_ARRAY:
		if (field->max > 0)
			snprintf(ret, size, "an array of %" PRIu64 " to %" PRIu64 " objects",
				field->min, field->max);
		else
			snprintf(ret, size, "an array");
		break;
	case FIELD_ANY:
		snprintf(ret, size, "a value");
		break;
	}
	if (field->flags & FIELD_NULLABLE && strlen(ret) + sizeof ", or null" <= size)
		strcat(ret, ", or null");
}

static bool decode_string(const struct field *field, struct json_object *value, void *target)
{
	const char *string = json_string(value);

	if (!json_is_string(value) || !field_string_fits(field, string))
		return false;
	*(const char **)target = string;
	return true;
}

static bool decode_uuid(struct json_object *value, void *target)
{
	const char *string = json_string(value);

	if (!field_uuid_fits(string))
		return false;
	*(const char **)target = string;
	return true;
}

static bool decode_integer(const struct field *field, struct json_object *value, void *target)
{
	uint64_t number;

	if (!json_uint(value, &number) || !field_integer_fits(field, number))
		return false;
	*(uint64_t *)target = number;
	return true;
}

static bool name_index(const char *const *names, struct json_object *value, uint64_t *ret_index)
{
	for (uint64_t i = 0; json_is_string(value) && names[i]; i++) {
		if (strcmp(names[i], json_string(value)) == 0) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

static bool decode_flags(const struct field *field, struct json_object *value, void *target)
{
	uint64_t flags = 0, bit;

	if (!json_is_array(value))
		return false;
	for (size_t i = 0; i < json_length(value); i++) {
		if (!name_index(field->names, json_at(value, i), &bit) || flags & 1ull << bit)
			return false;
		flags |= 1ull << bit;
	}
	*(uint64_t *)target = flags;
	return true;
}

static bool decode_fd(struct json_object *value, void *target)
{
	uint64_t number;

	if (!json_uint(value, &number) || number > INT_MAX)
		return false;
	*(int *)target = (int)number;
	return true;
}

static bool make_items(const struct decoding *decoding, const struct field *field, size_t count,
	struct field_array *target)
{
	target->items = calloc(count, field->item_size);
	if (!target->items) {
		rpc_error_internal(decoding->error, "no memory");
		return false;
	}
	target->count = count;
	return true;
}

static struct decoding decoding_within(const struct decoding *outer, const struct field *field)
{
	return (struct decoding){.fields = field->fields,
		.error = outer->error,
		.outer = outer,
		.member = field->name,
		.is_item = field->type == FIELD_ARRAY};
}

/* The items' own faults fill the error in, which is then what counts. */
static bool decode_array(const struct decoding *decoding, const struct field *field,
	struct json_object *value, struct field_array *target)
{
	struct decoding item = decoding_within(decoding, field);
	size_t count = json_length(value);

	if (!json_is_array(value) || count < field->min || count > field->max)
		return false;
	if (count == 0)
		return true;
	if (!make_items(decoding, field, count, target))
		return false;
	for (; item.index < count; item.index++) {
		char *at = (char *)target->items + item.index * field->item_size;

		if (decode_fields(&item, json_at(value, item.index), at) < 0)
			return false;
	}
	return true;
}

/* An array of one. */
static bool decode_object(const struct decoding *decoding, const struct field *field,
	struct json_object *value, struct field_array *target)
{
	struct decoding member = decoding_within(decoding, field);

	return json_is_object(value) && make_items(decoding, field, 1, target) &&
	       decode_fields(&member, value, target->items) == 0;
}

static bool decode_value(const struct decoding *decoding, const struct field *field,
	struct json_object *value, void *target)
{
	switch (field->type) {
	case FIELD_STRING:
		return decode_string(field, value, target);
	case FIELD_UUID:
		return decode_uuid(value, target);
	case FIELD_INTEGER:
		return decode_integer(field, value, target);
	case FIELD_BOOLEAN:
		*(uint64_t *)target = json_boolean(value);
		return json_is_bool(value);
	case FIELD_ENUM:
		return name_index(field->names, value, target);
	case FIELD_FLAGS:
		return decode_flags(field, value, target);
	case FIELD_FD:
		return decode_fd(value, target);
	case FIELD_ARRAY:
		return decode_array(decoding, field, value, target);
	case FIELD_OBJECT:
		return decode_object(decoding, field, value, target);
	case FIELD_ANY:
		break;
	}
	return false;
}

/* "ranges[3]", or "changes[3].bind": what these fields are of. Truncates. */
static void append_path(const struct decoding *decoding, char path[static EXPECTATION_SIZE])
{
	size_t used;

	if (!decoding->outer)
		return;
	append_path(decoding->outer, path);
	used = strlen(path);
	snprintf(path + used, EXPECTATION_SIZE - used, "%s%s", used > 0 ? "." : "",
		decoding->member);
	used = strlen(path);
	if (decoding->is_item)
		snprintf(path + used, EXPECTATION_SIZE - used, "[%zu]", decoding->index);
}

/* "size", or "ranges[3].size" of an item; "ranges[3]" for the item itself. */
static int invalid(const struct decoding *decoding, const char *name, const char *expected)
{
	char path[EXPECTATION_SIZE] = "";
	size_t used;

	if (!decoding->outer)
		return rpc_error_invalid_param(decoding->error, name ? name : "params", expected);
	append_path(decoding, path);
	used = strlen(path);
	if (name)
		snprintf(path + used, sizeof path - used, ".%s", name);
	return rpc_error_invalid_param(decoding->error, path, expected);
}

static int decode_field(const struct decoding *decoding, const struct field *field,
	struct json_object *object, void *parameters)
{
	struct json_object *value = json_get(object, field->name);
	void *target = (char *)parameters + field->offset;
	char expected[EXPECTATION_SIZE];
	bool present = value || json_has(object, field->name);

	if (!present && field->flags & FIELD_OPTIONAL)
		return 0;
	if (present && !value && field->flags & FIELD_NULLABLE) {
		field_set_null(field, target);
		return 0;
	}
	if (value && decode_value(decoding, field, value, target))
		return 0;
	if (decoding->error->code != RPC_OK)
		return decoding->error->code;
	field_expectation(field, expected, sizeof expected);
	return invalid(decoding, field->name, expected);
}

static bool find_field(struct decoding *decoding, const char *name)
{
	const struct field *field = decoding->next;

	if (!field->name || strcmp(field->name, name) != 0)
		field = decoding->fields;
	while (field->name && strcmp(field->name, name) != 0)
		field++;
	if (field->name)
		decoding->next = field + 1;
	return field->name;
}

static void refuse_unknown(const struct decoding *decoding, const char *name)
{
	char names[EXPECTATION_SIZE] = "left out, being unknown; known:";
	size_t used;

	for (const struct field *field = decoding->fields; field->name; field++) {
		used = strlen(names);
		snprintf(names + used, sizeof names - used, "%s %s",
			field == decoding->fields ? "" : ",", field->name);
	}
	if (!decoding->fields->name)
		strcat(names, " none");
	invalid(decoding, name, names);
}

static bool known(const char *name, struct json_object *value, void *context)
{
	struct decoding *decoding = context;
	bool found = find_field(decoding, name);

	(void)value;
	if (!found)
		refuse_unknown(decoding, name);
	return found;
}

static int decode_fields(struct decoding *decoding, struct json_object *object, void *parameters)
{
	int r;

	for (const struct field *field = decoding->fields; field->name; field++)
		field_set_absent(field, (char *)parameters + field->offset);
	if (!json_is_object(object) && (object || decoding->outer))
		return invalid(decoding, NULL, "an object");
	decoding->next = decoding->fields;
	if (!json_each(object, known, decoding))
		return decoding->error->code;
	for (const struct field *field = decoding->fields; field->name; field++) {
		r = decode_field(decoding, field, object, parameters);
		if (r < 0)
			return r;
	}
	return 0;
}

void fields_release(const struct field *fields, void *parameters)
{
	for (const struct field *field = fields; field->name; field++) {
		struct field_array *array = (void *)((char *)parameters + field->offset);

		if (field->type != FIELD_ARRAY && field->type != FIELD_OBJECT)
			continue;
		for (size_t i = 0; i < array->count; i++)
			fields_release(field->fields, (char *)array->items + i * field->item_size);
		free(array->items);
		*array = (struct field_array){.count = 0};
	}
}

int fields_decode(const struct field *fields, struct json_object *params, void *parameters,
	struct rpc_error *error)
{
	struct decoding decoding = {.fields = fields, .error = error};
	int r;

	r = decode_fields(&decoding, params, parameters);
	if (r < 0)
		fields_release(fields, parameters);
	return r;
}

bool fields_have(const struct field *fields, enum field_type type)
{
	for (const struct field *field = fields; field && field->name; field++) {
		if (field->type == type || fields_have(field->fields, type))
			return true;
	}
	return false;
}

void json_add_flags(
	struct json_object *object, const char *name, uint64_t flags, const char *const *names)
{
	struct json_object *array = json_add_array(object, name);

	for (unsigned bit = 0; names[bit]; bit++) {
		if (flags & 1ull << bit)
			json_append_string(array, names[bit]);
	}
}
