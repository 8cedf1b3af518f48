/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON values. See json.h.
 */
#include "protocol/json.h"

#include <json-c/json.h>
#include <string.h>

static const char *parse_fault(enum json_tokener_error error)
{
	switch (error) {
	case json_tokener_error_parse_utf8_string:
		return "not UTF-8";
	case json_tokener_continue:
		return "it ends too early";
	default:
		return json_tokener_error_desc(error);
	}
}

/* How long the UTF-8 character at at is: of the shortest form, no surrogate, at most U+10FFFF. 0 where it is none. */
static size_t utf8_length(const char *at, const char *end)
{
	const unsigned char *bytes = (const unsigned char *)at;
	unsigned char first = bytes[0];
	size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || length > (size_t)(end - at))
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xf0 && bytes[1] < 0x90))
		return 0;
	if ((first == 0xed && bytes[1] >= 0xa0) || (first == 0xf4 && bytes[1] >= 0x90))
		return 0;
	return length;
}

/*
 * A string's bytes from behind its first quote: returns those of its end. NULL where that is missing or a character is
 * illegal. An escaped NUL is, in a member's name too: it would end a C string early, and "a\u0000b" pass for "a".
 */
static const char *skip_string(const char *at, const char *end, const char **ret_why)
{
	for (size_t length; at < end; at += length) {
		length = utf8_length(at, end);
		*ret_why = "not UTF-8";
		if (length == 0)
			return NULL;
		*ret_why = "a string has a control character";
		if ((unsigned char)*at < 0x20)
			return NULL;
		if (*at == '"')
			return at;
		*ret_why = "a string holds NUL";
		if (end - at >= 6 && memcmp(at, "\\u0000", 6) == 0)
			return NULL;
		if (*at == '\\')
			length = 2;
	}
	*ret_why = "a string has no end";
	return NULL;
}

static const char *skip_digits(const char *at, const char *end)
{
	const char *first = at;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at > first ? at : NULL;
}

/* What is behind a number as RFC 8259 has it. NULL where it is none, or more of its characters follow. */
static const char *skip_number(const char *at, const char *end)
{
	if (*at == '-')
		at++;
	at = at < end && *at == '0' ? at + 1 : skip_digits(at, end);
	if (at && at < end && *at == '.')
		at = skip_digits(at + 1, end);
	if (at && at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = skip_digits(at, end);
	}
	return at && at < end && strchr("0123456789+-.eE", *at) ? NULL : at;
}

/*
 * What json-c lets pass even when it is strict: single quotes, NaN, Infinity, control characters, illegal UTF-8 and NUL in
 * strings, leading zeroes and missing digits in numbers. And depth, counted exactly.
 */
static const char *lexical_fault(const char *text, size_t length)
{
	const char *end = text + length, *why;
	unsigned depth = 0;

	for (const char *at = text; at < end; at++) {
		if (*at == '\0' || !strchr("{}[]:,\"0123456789-etrufalsn \t\r\n", *at))
			return "unexpected character";
		if (*at == '"' && !(at = skip_string(at + 1, end, &why)))
			return why;
		if (*at == '-' || (*at >= '0' && *at <= '9')) {
			at = skip_number(at, end);
			if (!at--)
				return "a malformed number";
		}
		if ((*at == '[' || *at == '{') && ++depth > JSON_DEPTH_MAX)
			return "nested too deep";
		if ((*at == ']' || *at == '}') && depth-- == 0)
			return "unexpected character";
	}
	return NULL;
}

static bool only_space(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!strchr(" \t\r\n", text[i]) || text[i] == '\0')
			return false;
	}
	return true;
}

struct json_object *json_parse(const char *text, size_t length, const char **ret_why)
{
	struct json_tokener *tokener;
	struct json_object *value;
	enum json_tokener_error error;
	size_t end;

	*ret_why = lexical_fault(text, length);
	if (*ret_why)
		return NULL;
	*ret_why = "the value is null";
	tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
	if (!tokener) {
		*ret_why = "out of memory";
		return NULL;
	}
	json_tokener_set_flags(tokener,
		JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
			JSON_TOKENER_ALLOW_TRAILING_CHARS);
	value = json_tokener_parse_ex(tokener, text, (int)length);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	/* A number ends only where something else follows; a packet has an end of its own. */
	if (error == json_tokener_continue) {
		value = json_tokener_parse_ex(tokener, "", 1);
		error = json_tokener_get_error(tokener);
		end = length;
	}
	json_tokener_free(tokener);
	if (error != json_tokener_success)
		*ret_why = parse_fault(error);
	else if (!only_space(text + end, length - end))
		*ret_why = "something follows the value";
	else
		return value;
	json_object_put(value);
	return NULL;
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

const char *json_print(struct json_object *value, size_t *ret_length)
{
	return json_object_to_json_string_length(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, ret_length);
}

const char *json_print_pretty(struct json_object *value)
{
	return json_object_to_json_string_ext(value,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
}

struct json_object *json_new_object(void)
{
	return json_object_new_object();
}

struct json_object *json_new_array(void)
{
	return json_object_new_array();
}

void json_add(struct json_object *object, const char *name, struct json_object *take_value)
{
	if (json_object_object_add(object, name, take_value) < 0)
		json_object_put(take_value);
}

void json_add_string(struct json_object *object, const char *name, const char *string)
{
	json_add(object, name, string ? json_object_new_string(string) : NULL);
}

void json_add_uint(struct json_object *object, const char *name, uint64_t number)
{
	json_add(object, name, json_object_new_uint64(number));
}

void json_add_int(struct json_object *object, const char *name, int64_t number)
{
	json_add(object, name, json_object_new_int64(number));
}

void json_add_bool(struct json_object *object, const char *name, bool value)
{
	json_add(object, name, json_object_new_boolean(value));
}

void json_add_null(struct json_object *object, const char *name)
{
	json_add(object, name, NULL);
}

struct json_object *json_add_object(struct json_object *object, const char *name)
{
	struct json_object *child = json_object_new_object();

	json_add(object, name, child);
	return child;
}

struct json_object *json_add_array(struct json_object *object, const char *name)
{
	struct json_object *child = json_object_new_array();

	json_add(object, name, child);
	return child;
}

void json_append(struct json_object *array, struct json_object *take_value)
{
	if (json_object_array_add(array, take_value) < 0)
		json_object_put(take_value);
}

struct json_object *json_append_object(struct json_object *array)
{
	struct json_object *child = json_object_new_object();

	json_append(array, child);
	return child;
}

void json_append_string(struct json_object *array, const char *string)
{
	json_append(array, json_object_new_string(string));
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
	struct json_object *member = json_get(object, name);

	if (!json_is_integer(member))
		return false;
	*ret = json_object_get_int64(member);
	return true;
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
