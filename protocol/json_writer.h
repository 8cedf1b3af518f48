/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Short objects, written as the text that is sent: for what many answers tell and nobody looks into
 * before it is sent. Its members are numbers, and null.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct json_object;

/* More than any of them has. */
#define JSON_WRITER_SIZE 512

struct json_writer {
	size_t length; /* past the size: there was no room */
	char bytes[JSON_WRITER_SIZE];
};

void json_writer_begin(struct json_writer *writer);
/* Nothing in the name is to be escaped. */
void json_writer_uint(struct json_writer *writer, const char *name, uint64_t number);
void json_writer_null(struct json_writer *writer, const char *name);
/* The object, as json_new_text() has one. The caller owns it. NULL without memory, or room. */
struct json_object *json_writer_end(struct json_writer *writer);
