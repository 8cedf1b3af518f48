/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing objects. See json_writer.h.
 */
#include "protocol/json_writer.h"

#include <string.h>

#include "protocol/json.h"

static void write_bytes(struct json_writer *writer, const char *bytes, size_t length)
{
	if (writer->length + length <= sizeof writer->bytes)
		memcpy(writer->bytes + writer->length, bytes, length);
	writer->length += length;
}

void json_writer_begin(struct json_writer *writer)
{
	writer->length = 0;
	write_bytes(writer, "{", 1);
}

static void write_name(struct json_writer *writer, const char *name)
{
	if (writer->length > 1)
		write_bytes(writer, ",", 1);
	write_bytes(writer, "\"", 1);
	write_bytes(writer, name, strlen(name));
	write_bytes(writer, "\":", 2);
}

void json_writer_uint(struct json_writer *writer, const char *name, uint64_t number)
{
	char digits[JSON_DIGITS_MAX];
	struct json_part part = json_digits(number, digits);

	write_name(writer, name);
	write_bytes(writer, part.bytes, part.length);
}

void json_writer_null(struct json_writer *writer, const char *name)
{
	write_name(writer, name);
	write_bytes(writer, "null", 4);
}

struct json_object *json_writer_end(struct json_writer *writer)
{
	struct json_part part = {writer->bytes, 0};

	write_bytes(writer, "}", 1);
	part.length = writer->length;
	return part.length <= sizeof writer->bytes ? json_new_text(&part, 1) : NULL;
}
