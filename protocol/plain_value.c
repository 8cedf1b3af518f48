/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain values. See plain_value.h.
 */
#include "protocol/plain_value.h"

#include <json-c/json.h>
#include <string.h>

#include "protocol/json.h"
#include "protocol/lexical.h"
#include "protocol/reader.h"

/* A member's name, with its NUL, at most: longer ones are not plain. */
#define NAME_SIZE 64

static bool read_value(struct reader *reader, unsigned depth, struct json_object **ret);

static bool read_member(struct reader *reader, unsigned depth, struct json_object *object)
{
	struct json_object *value;
	char name[NAME_SIZE];
	struct json_part part;

	if (!reader_string(reader, &part) || part.length >= NAME_SIZE ||
		!reader_next_is(reader, ':') || !read_value(reader, depth, &value))
		return false;
	memcpy(name, part.bytes, part.length);
	name[part.length] = '\0';
	if (json_object_object_add(object, name, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

/* Where two members have one name, fewer are there in the end. */
static bool read_members(struct reader *reader, unsigned depth, struct json_object *object)
{
	int count = 0;

	if (reader_next_is(reader, '}'))
		return true;
	do {
		if (!read_member(reader, depth, object))
			return false;
		count++;
	} while (reader_next_is(reader, ','));
	return reader_next_is(reader, '}') && json_object_object_length(object) == count;
}

static bool read_element(struct reader *reader, unsigned depth, struct json_object *array)
{
	struct json_object *value;

	if (!read_value(reader, depth, &value))
		return false;
	if (json_object_array_add(array, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static bool read_elements(struct reader *reader, unsigned depth, struct json_object *array)
{
	if (reader_next_is(reader, ']'))
		return true;
	do {
		if (!read_element(reader, depth, array))
			return false;
	} while (reader_next_is(reader, ','));
	return reader_next_is(reader, ']');
}

static struct json_object *read_container(struct reader *reader, unsigned depth)
{
	bool is_object = reader_next_is(reader, '{');
	struct json_object *value;

	if ((!is_object && !reader_next_is(reader, '[')) || depth == JSON_DEPTH_MAX)
		return NULL;
	value = is_object ? json_object_new_object() : json_object_new_array();
	if (value && (is_object ? read_members(reader, depth + 1, value)
				: read_elements(reader, depth + 1, value)))
		return value;
	return json_unref(value);
}

static struct json_object *read_scalar(struct reader *reader)
{
	struct json_part string;
	uint64_t number;

	if (*reader->at == '"')
		return reader_string(reader, &string)
			       ? json_object_new_string_len(string.bytes, (int)string.length)
			       : NULL;
	if (reader_word(reader, "true"))
		return json_object_new_boolean(true);
	if (reader_word(reader, "false"))
		return json_object_new_boolean(false);
	return reader_number(reader, &number) ? json_object_new_int64((int64_t)number) : NULL;
}

/* null is NULL, as json-c has it. */
static bool read_value(struct reader *reader, unsigned depth, struct json_object **ret)
{
	*ret = NULL;
	reader_skip_space(reader);
	if (reader->at == reader->end)
		return false;
	if (reader_word(reader, "null"))
		return true;
	*ret = *reader->at == '{' || *reader->at == '[' ? read_container(reader, depth)
							: read_scalar(reader);
	return *ret;
}

struct json_object *plain_value_read(const char *text, size_t length)
{
	struct reader reader = {text, text + length};
	struct json_object *value = read_container(&reader, 0);

	return value && reader_is_at_end(&reader) ? value : json_unref(value);
}
