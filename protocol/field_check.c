/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a field can hold. See field_check.h.
 */
#include "protocol/field_check.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "protocol/lexical.h"

/* Control characters of C0 and C1 and DEL. The string is valid UTF-8. */
static bool printable(const char *string)
{
	for (const unsigned char *at = (const unsigned char *)string; *at; at++) {
		if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0))
			return false;
	}
	return true;
}

bool field_string_fits(const struct field *field, const char *string)
{
	size_t length = strlen(string);

	return length >= field->min && length <= field->max && lexical_is_utf8(string, length) &&
	       printable(string);
}

bool field_uuid_fits(const char *string)
{
	static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(string) != strlen(pattern))
		return false;
	for (size_t i = 0; pattern[i]; i++) {
		if (pattern[i] == 'x' ? !isxdigit((unsigned char)string[i]) : string[i] != '-')
			return false;
	}
	return true;
}

bool field_integer_fits(const struct field *field, uint64_t number)
{
	if (number < field->min || number > field->max)
		return false;
	return !(field->flags & FIELD_PAGES) || number % (uint64_t)sysconf(_SC_PAGESIZE) == 0;
}

static uint64_t count_names(const struct field *field)
{
	uint64_t count = 0;

	while (field->names[count])
		count++;
	return count;
}

static bool number_fits(const struct field *field, uint64_t number)
{
	if (number == FIELD_UNSET && field->flags & FIELD_NULLABLE)
		return true;
	if (number == field->default_value && field->flags & FIELD_OPTIONAL)
		return true;
	switch (field->type) {
	case FIELD_INTEGER:
		return field_integer_fits(field, number);
	case FIELD_BOOLEAN:
		return number <= 1;
	case FIELD_ENUM:
		return number < count_names(field);
	default:
		return number >> count_names(field) == 0;
	}
}

static bool text_fits(const struct field *field, const char *text)
{
	if (!text)
		return field->flags & (FIELD_OPTIONAL | FIELD_NULLABLE);
	return field->type == FIELD_UUID ? field_uuid_fits(text) : field_string_fits(field, text);
}

const struct field *fields_fault(const struct field *fields, const void *parameters)
{
	for (const struct field *field = fields; field->name; field++) {
		const void *value = (const char *)parameters + field->offset;
		bool text = field->type == FIELD_STRING || field->type == FIELD_UUID;
		bool number = field->type == FIELD_INTEGER || field->type == FIELD_BOOLEAN ||
			      field->type == FIELD_ENUM || field->type == FIELD_FLAGS;

		if (text && !text_fits(field, *(const char *const *)value))
			return field;
		if (number && !number_fits(field, *(const uint64_t *)value))
			return field;
	}
	return NULL;
}

void field_set_absent(const struct field *field, void *target)
{
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_UUID:
		*(const char **)target = field->default_string;
		break;
	case FIELD_FD:
		*(int *)target = -1;
		break;
	case FIELD_ARRAY:
	case FIELD_OBJECT:
		*(struct field_array *)target = (struct field_array){.count = 0};
		break;
	default:
		*(uint64_t *)target = field->default_value;
	}
}

void field_set_null(const struct field *field, void *target)
{
	if (field->type != FIELD_STRING && field->type != FIELD_UUID && field->type != FIELD_FD)
		*(uint64_t *)target = FIELD_UNSET;
}
