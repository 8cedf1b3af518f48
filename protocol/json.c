/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON values. See json.h.
 */
#include "protocol/json.h"

#include <errno.h>
#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/lexical.h"
#include "protocol/plain_value.h"
#include "protocol/text.h"

static const char *parse_fault(enum json_tokener_error error)
{
	return error == json_tokener_error_parse_utf8_string ? "not UTF-8"
							     : json_tokener_error_desc(error);
}

/* NULL with *ret_why where that is no value; *ret_end is behind it else. */
static struct json_object *tokenize(struct json_tokener *tokener, const char *text, size_t length,
	size_t *ret_end, const char **ret_why)
{
	struct json_object *value;
	enum json_tokener_error error;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
						JSON_TOKENER_ALLOW_TRAILING_CHARS);
	value = json_tokener_parse_ex(tokener, text, (int)length);
	error = json_tokener_get_error(tokener);
	*ret_end = json_tokener_get_parse_end(tokener);
	/* A number ends only where something else follows; a packet has an end of its own. */
	if (error == json_tokener_continue) {
		value = json_tokener_parse_ex(tokener, "", 1);
		error = json_tokener_get_error(tokener);
		*ret_end = length;
	}
	if (error == json_tokener_success)
		return value;
	*ret_why = parse_fault(error);
	return NULL;
}

/* To make one takes longer than a short message: the last that was needed waits here for the next
 * who needs one. */
static _Atomic(struct json_tokener *) spare;

static struct json_tokener *tokener_get(void)
{
	struct json_tokener *tokener = atomic_exchange(&spare, NULL);

	return tokener ? tokener : json_tokener_new_ex(JSON_DEPTH_MAX + 2);
}

static void tokener_put(struct json_tokener *tokener)
{
	json_tokener_reset(tokener);
	tokener = atomic_exchange(&spare, tokener);
	if (tokener)
		json_tokener_free(tokener);
}

static void count(const struct json_object *value, struct lexical_counts *counts)
{
	counts->values++;
	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			count(json_object_array_get_idx(value, i), counts);
	} else if (json_object_is_type(value, json_type_object)) {
		counts->members += (size_t)json_object_object_length(value);
		json_object_object_foreach((struct json_object *)value, name, member)
		{
			(void)name;
			count(member, counts);
		}
	}
}

/*
 * json-c keeps the last member of a name, others keep the first: who checks must see what who acts
 * sees. And it leaves out what it has no memory for. JSON_DEPTH_MAX bounds how deep count() goes.
 */
static const char *structure_fault(
	const struct json_object *value, const struct lexical_counts *expected)
{
	struct lexical_counts counts = {0, 0};

	count(value, &counts);
	if (counts.members != expected->members)
		return "an object has two members of one name";
	return counts.values == expected->values ? NULL : json_no_memory;
}

const char json_no_memory[] = "out of memory";

static struct json_object *parse_text(
	const char *text, size_t length, const struct lexical_counts *counts, const char **ret_why)
{
	struct json_tokener *tokener = tokener_get();
	struct json_object *value;
	size_t end;

	*ret_why = json_no_memory;
	if (!tokener)
		return NULL;
	*ret_why = "the value is null";
	errno = 0;
	value = tokenize(tokener, text, length, &end, ret_why);
	tokener_put(tokener);
	/* json-c skips the white space behind it. */
	if (value)
		*ret_why = end < length ? "something follows the value"
					: structure_fault(value, counts);
	if (value && !*ret_why)
		return value;
	if (errno == ENOMEM)
		*ret_why = json_no_memory;
	return json_unref(value);
}

/* json-c tells nobody that it had no memory. What is wrong twice is wrong. */
struct json_object *json_parse(const char *text, size_t length, const char **ret_why)
{
	struct json_object *value = plain_value_read(text, length);
	struct lexical_counts counts;

	*ret_why = NULL;
	if (value)
		return value;
	*ret_why = lexical_fault(text, length, &counts);
	if (*ret_why)
		return NULL;
	value = parse_text(text, length, &counts, ret_why);
	return value ? value : parse_text(text, length, &counts, ret_why);
}

struct json_object *json_ref(struct json_object *value)
{
	return json_object_get(value);
}

struct json_object *json_unref(struct json_object *value)
{
	json_object_put(value);
	return NULL;
}

/* What json_new_text() has: the user's data of a value of a type that has none else. */
struct text {
	size_t length;
	char bytes[];
};

static const struct text *text_of(struct json_object *value)
{
	return json_object_is_type(value, json_type_boolean) ? json_object_get_userdata(value)
							     : NULL;
}

static int print_text(struct json_object *value, struct printbuf *buffer, int level, int flags)
{
	const struct text *text = text_of(value);

	(void)level;
	(void)flags;
	return printbuf_memappend(buffer, text->bytes, (int)text->length);
}

static void free_text(struct json_object *value, void *text)
{
	(void)value;
	free(text);
}

struct json_object *json_new_text(const struct json_part *parts, size_t count)
{
	struct json_object *value = json_object_new_boolean(false);
	struct text *text;
	size_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += parts[i].length;
	text = malloc(sizeof *text + length + 1);
	if (!value || !text) {
		free(text);
		return json_unref(value);
	}
	text->length = 0;
	for (size_t i = 0; i < count; text->length += parts[i++].length)
		memcpy(text->bytes + text->length, parts[i].bytes, parts[i].length);
	text->bytes[length] = '\0';
	json_object_set_serializer(value, print_text, text, free_text);
	return value;
}

struct json_part json_digits(uint64_t number, char digits[static JSON_DIGITS_MAX])
{
	char *first = digits + JSON_DIGITS_MAX;

	do
		*--first = (char)('0' + number % 10);
	while (number /= 10);
	return (struct json_part){first, (size_t)(digits + JSON_DIGITS_MAX - first)};
}

const char *json_print(struct json_object *value, size_t *ret_length)
{
	const struct text *text = text_of(value);
	const char *bytes;

	if (text) {
		*ret_length = text->length;
		return text->bytes;
	}
	/* What it has no memory for json-c leaves out. */
	errno = 0;
	bytes = json_object_to_json_string_length(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, ret_length);
	return errno == ENOMEM ? NULL : bytes;
}

const char *json_print_pretty(struct json_object *value)
{
	return json_object_to_json_string_ext(value,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* Room for each byte as an escape. The caller frees it; NULL without memory. */
static char *new_printable(const char *text)
{
	size_t size = 6 * strlen(text) + 1;
	char *printable = malloc(size);

	if (printable)
		text_copy_printable(text, printable, size);
	return printable;
}

static struct json_object *printable_string(const char *text)
{
	char *printable = new_printable(text);
	struct json_object *string = printable ? json_object_new_string(printable) : NULL;

	free(printable);
	return string;
}

static struct json_object *printable_copy(struct json_object *value);

static struct json_object *printable_object(struct json_object *value)
{
	struct json_object *copy = json_object_new_object();

	json_object_object_foreach(value, name, member)
	{
		char *printable = new_printable(name);

		if (printable)
			json_add(copy, printable, printable_copy(member));
		free(printable);
	}
	return copy;
}

static struct json_object *printable_array(struct json_object *value)
{
	struct json_object *copy = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(value); i++)
		json_append(copy, printable_copy(json_object_array_get_idx(value, i)));
	return copy;
}

static struct json_object *printable_copy(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_string:
		return printable_string(json_object_get_string(value));
	case json_type_object:
		return printable_object(value);
	case json_type_array:
		return printable_array(value);
	default:
		return json_object_get(value);
	}
}

struct json_object *json_make_printable(struct json_object *take_value)
{
	struct json_object *copy = printable_copy(take_value);

	json_object_put(take_value);
	return copy;
}

static int print_nothing(struct json_object *value, struct printbuf *buffer, int level, int flags)
{
	(void)value;
	(void)buffer;
	(void)level;
	(void)flags;
	return -1;
}

/* Something of it is missing: it can't be printed from now on, nor what it is in. */
static void spoil(struct json_object *whole)
{
	if (whole)
		json_object_set_serializer(whole, print_nothing, NULL, NULL);
}

struct json_object *json_new_object(void)
{
	return json_object_new_object();
}

struct json_object *json_new_uint(uint64_t number)
{
	return json_object_new_uint64(number);
}

struct json_object *json_new_string(const char *string)
{
	return json_object_new_string(string);
}

struct json_object *json_new_array(void)
{
	return json_object_new_array();
}

/* Takes the value, which may be null; NULL where it is gone. */
static struct json_object *add(
	struct json_object *object, const char *name, struct json_object *take_value)
{
	if (object && json_object_object_add(object, name, take_value) == 0)
		return take_value;
	spoil(object);
	json_object_put(take_value);
	return NULL;
}

/* The same of one that can't be null, and is NULL without memory. */
static struct json_object *add_made(
	struct json_object *object, const char *name, struct json_object *take_made)
{
	if (!take_made)
		spoil(object);
	return take_made ? add(object, name, take_made) : NULL;
}

static struct json_object *append_child(struct json_object *array, struct json_object *take_value)
{
	if (array && json_object_array_add(array, take_value) == 0)
		return take_value;
	spoil(array);
	json_object_put(take_value);
	return NULL;
}

static struct json_object *append_made(struct json_object *array, struct json_object *take_made)
{
	if (!take_made)
		spoil(array);
	return take_made ? append_child(array, take_made) : NULL;
}

void json_add(struct json_object *object, const char *name, struct json_object *take_value)
{
	add(object, name, take_value);
}

void json_add_made(struct json_object *object, const char *name, struct json_object *take_made)
{
	add_made(object, name, take_made);
}

void json_add_string(struct json_object *object, const char *name, const char *string)
{
	if (string)
		add_made(object, name, json_object_new_string(string));
	else
		add(object, name, NULL);
}

void json_add_uint(struct json_object *object, const char *name, uint64_t number)
{
	add_made(object, name, json_object_new_uint64(number));
}

void json_add_int(struct json_object *object, const char *name, int64_t number)
{
	add_made(object, name, json_object_new_int64(number));
}

void json_add_bool(struct json_object *object, const char *name, bool value)
{
	add_made(object, name, json_object_new_boolean(value));
}

void json_add_null(struct json_object *object, const char *name)
{
	add(object, name, NULL);
}

struct json_object *json_add_object(struct json_object *object, const char *name)
{
	return add_made(object, name, json_object_new_object());
}

struct json_object *json_add_array(struct json_object *object, const char *name)
{
	return add_made(object, name, json_object_new_array());
}

void json_append(struct json_object *array, struct json_object *take_value)
{
	append_child(array, take_value);
}

void json_append_made(struct json_object *array, struct json_object *take_made)
{
	append_made(array, take_made);
}

struct json_object *json_append_object(struct json_object *array)
{
	return append_made(array, json_object_new_object());
}

void json_append_string(struct json_object *array, const char *string)
{
	append_made(array, json_object_new_string(string));
}

bool json_is_object(const struct json_object *value)
{
	return json_object_is_type(value, json_type_object);
}

bool json_is_array(const struct json_object *value)
{
	return json_object_is_type(value, json_type_array);
}

bool json_is_string(const struct json_object *value)
{
	return json_object_is_type(value, json_type_string);
}

bool json_is_integer(const struct json_object *value)
{
	return json_object_is_type(value, json_type_int);
}

bool json_is_number(const struct json_object *value)
{
	return json_is_integer(value) || json_object_is_type(value, json_type_double);
}

bool json_is_bool(const struct json_object *value)
{
	return json_object_is_type(value, json_type_boolean);
}

struct json_object *json_get(const struct json_object *object, const char *name)
{
	struct json_object *member = NULL;

	if (!json_is_object(object))
		return NULL;
	json_object_object_get_ex(object, name, &member);
	return member;
}

bool json_has(const struct json_object *object, const char *name)
{
	return json_is_object(object) && json_object_object_get_ex(object, name, NULL);
}

const char *json_get_string(const struct json_object *object, const char *name)
{
	struct json_object *member = json_get(object, name);

	return json_is_string(member) ? json_object_get_string(member) : "";
}

bool json_get_uint(const struct json_object *object, const char *name, uint64_t *ret)
{
	return json_uint(json_get(object, name), ret);
}

bool json_get_int(const struct json_object *object, const char *name, int64_t *ret)
{
	return json_int(json_get(object, name), ret);
}

bool json_get_bool(const struct json_object *object, const char *name)
{
	return json_boolean(json_get(object, name));
}

const char *json_string(const struct json_object *value)
{
	return json_is_string(value) ? json_object_get_string((struct json_object *)value) : "";
}

bool json_uint(const struct json_object *value, uint64_t *ret)
{
	if (!json_is_integer(value) || json_object_get_int64(value) < 0)
		return false;
	*ret = json_object_get_uint64(value);
	return true;
}

bool json_int(const struct json_object *value, int64_t *ret)
{
	if (!json_is_integer(value))
		return false;
	*ret = json_object_get_int64(value);
	return true;
}

bool json_boolean(const struct json_object *value)
{
	return json_is_bool(value) && json_object_get_boolean(value);
}

size_t json_length(const struct json_object *array)
{
	return json_is_array(array) ? json_object_array_length(array) : 0;
}

struct json_object *json_at(const struct json_object *array, size_t index)
{
	return json_object_array_get_idx(array, index);
}

bool json_each(struct json_object *object,
	bool (*each)(const char *name, struct json_object *value, void *context), void *context)
{
	if (!json_is_object(object))
		return true;
	json_object_object_foreach(object, name, value)
	{
		if (!each(name, value, context))
			return false;
	}
	return true;
}
