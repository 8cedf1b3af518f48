/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain parameters. See plain_fields.h.
 */
#include "protocol/plain_fields.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/field.h"
#include "protocol/field_check.h"
#include "protocol/reader.h"

/* Items that there is room for at first. */
#define ITEMS_FIRST 4

/* Fields of one table, at most, so that each has a bit. */
#define FIELDS_MAX 64

static bool read_object(struct reader *reader, const struct field *fields, void *parameters,
	struct plain_strings *strings);

static bool is(const struct json_part *part, const char *text)
{
	return strlen(text) == part->length && memcmp(text, part->bytes, part->length) == 0;
}

/* Strings */

static const char *keep(struct plain_strings *strings, const struct json_part *part)
{
	char *kept = strings->bytes + strings->used;

	if (part->length >= sizeof strings->bytes - strings->used)
		return NULL;
	memcpy(kept, part->bytes, part->length);
	kept[part->length] = '\0';
	strings->used += part->length + 1;
	return kept;
}

static bool read_text(struct reader *reader, const struct field *field, const char **ret,
	struct plain_strings *strings)
{
	struct json_part part;
	const char *text = reader_string(reader, &part) ? keep(strings, &part) : NULL;

	if (!text || !(field->type == FIELD_UUID ? field_uuid_fits(text)
						 : field_string_fits(field, text)))
		return false;
	*ret = text;
	return true;
}

static bool read_name(struct reader *reader, const char *const *names, uint64_t *ret_index)
{
	struct json_part part;

	if (!reader_string(reader, &part))
		return false;
	for (uint64_t i = 0; names[i]; i++) {
		if (is(&part, names[i])) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

/* Numbers */

static bool read_integer(struct reader *reader, const struct field *field, uint64_t *ret)
{
	return reader_number(reader, ret) && field_integer_fits(field, *ret);
}

static bool read_boolean(struct reader *reader, uint64_t *ret)
{
	*ret = reader_word(reader, "true");
	return *ret || reader_word(reader, "false");
}

static bool read_fd(struct reader *reader, int *ret)
{
	uint64_t number;

	if (!reader_number(reader, &number) || number > INT_MAX)
		return false;
	*ret = (int)number;
	return true;
}

static bool read_flags(struct reader *reader, const struct field *field, uint64_t *ret)
{
	uint64_t flags = 0, bit;

	if (!reader_next_is(reader, '['))
		return false;
	if (!reader_next_is(reader, ']')) {
		do {
			if (!read_name(reader, field->names, &bit) || flags & 1ull << bit)
				return false;
			flags |= 1ull << bit;
		} while (reader_next_is(reader, ','));
		if (!reader_next_is(reader, ']'))
			return false;
	}
	*ret = flags;
	return true;
}

/* Items */

/* Zeroes: nothing of it is to be released yet. */
static void *new_item(const struct field *field, struct field_array *array, size_t *room)
{
	size_t wanted = *room > 0 ? 2 * *room : ITEMS_FIRST;
	void *items;

	if (array->count == *room) {
		items = reallocarray(array->items, wanted, field->item_size);
		if (!items)
			return NULL;
		array->items = items;
		*room = wanted;
	}
	return memset(
		(char *)array->items + array->count++ * field->item_size, 0, field->item_size);
}

static bool read_item(struct reader *reader, const struct field *field, struct field_array *array,
	size_t *room, struct plain_strings *strings)
{
	void *item = array->count < field->max ? new_item(field, array, room) : NULL;

	return item && read_object(reader, field->fields, item, strings);
}

static bool read_array(struct reader *reader, const struct field *field, struct field_array *array,
	struct plain_strings *strings)
{
	size_t room = 0;

	if (!reader_next_is(reader, '['))
		return false;
	if (reader_next_is(reader, ']'))
		return field->min == 0;
	do {
		if (!read_item(reader, field, array, &room, strings))
			return false;
	} while (reader_next_is(reader, ','));
	return reader_next_is(reader, ']') && array->count >= field->min;
}

/* An array of one. */
static bool read_one(struct reader *reader, const struct field *field, struct field_array *array,
	struct plain_strings *strings)
{
	size_t room = 0;
	void *item = new_item(field, array, &room);

	return item && read_object(reader, field->fields, item, strings);
}

/* Members */

static bool read_present(struct reader *reader, const struct field *field, void *target,
	struct plain_strings *strings)
{
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_UUID:
		return read_text(reader, field, target, strings);
	case FIELD_INTEGER:
		return read_integer(reader, field, target);
	case FIELD_BOOLEAN:
		return read_boolean(reader, target);
	case FIELD_ENUM:
		return read_name(reader, field->names, target);
	case FIELD_FLAGS:
		return read_flags(reader, field, target);
	case FIELD_FD:
		return read_fd(reader, target);
	case FIELD_ARRAY:
		return read_array(reader, field, target, strings);
	case FIELD_OBJECT:
		return read_one(reader, field, target, strings);
	case FIELD_ANY:
		break;
	}
	return false;
}

static bool read_value(struct reader *reader, const struct field *field, void *target,
	struct plain_strings *strings)
{
	reader_skip_space(reader);
	if (!reader_word(reader, "null"))
		return read_present(reader, field, target, strings);
	if (field->flags & FIELD_NULLABLE)
		field_set_null(field, target);
	return field->flags & FIELD_NULLABLE;
}

/* Most members come in the table's order: *next is behind the last one. */
static const struct field *find_field(
	const struct field *fields, const struct field **next, const struct json_part *name)
{
	const struct field *field = *next;

	while (field->name && !is(name, field->name))
		field++;
	if (!field->name) {
		field = fields;
		while (field->name && !is(name, field->name))
			field++;
	}
	*next = field->name ? field + 1 : fields;
	return field->name ? field : NULL;
}

/* Each once. The bits of those that are there, by their place in the table. */
static bool read_members(struct reader *reader, const struct field *fields, void *parameters,
	struct plain_strings *strings, uint64_t *ret_there)
{
	const struct field *next = fields, *field;
	struct json_part name;

	do {
		if (!reader_string(reader, &name) || !reader_next_is(reader, ':'))
			return false;
		field = find_field(fields, &next, &name);
		if (!field || field - fields >= FIELDS_MAX ||
			*ret_there & 1ull << (field - fields) ||
			!read_value(reader, field, (char *)parameters + field->offset, strings))
			return false;
		*ret_there |= 1ull << (field - fields);
	} while (reader_next_is(reader, ','));
	return reader_next_is(reader, '}');
}

static bool are_there(const struct field *fields, uint64_t there)
{
	for (size_t i = 0; fields[i].name; i++) {
		if (!(fields[i].flags & FIELD_OPTIONAL) &&
			(i >= FIELDS_MAX || !(there & 1ull << i)))
			return false;
	}
	return true;
}

static bool read_object(struct reader *reader, const struct field *fields, void *parameters,
	struct plain_strings *strings)
{
	uint64_t there = 0;

	for (const struct field *field = fields; field->name; field++)
		field_set_absent(field, (char *)parameters + field->offset);
	if (!reader_next_is(reader, '{'))
		return false;
	if (!reader_next_is(reader, '}') &&
		!read_members(reader, fields, parameters, strings, &there))
		return false;
	return are_there(fields, there);
}

bool plain_fields_read(struct reader *reader, const struct field *fields, void *parameters,
	struct plain_strings *strings)
{
	bool is_plain = read_object(reader, fields, parameters, strings);

	if (!is_plain)
		fields_release(fields, parameters);
	return is_plain;
}
