/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain parameters: decoded from their text by their table, without making values of them.
 *
 * Where they are as they must be, and are written as most are (plain_value.h), fields_decode()
 * would do the same with the value that json_parse() makes of the text. Of all else this says
 * nothing.
 */
#pragma once

#include <stdbool.h>

#include "protocol/field_types.h"

struct reader;

/* All strings of parameters, with their NULs, at most: where they are longer they are not plain. */
#define PLAIN_STRINGS_SIZE 512

/* Where the strings of parameters are. */
struct plain_strings {
	size_t used;
	char bytes[PLAIN_STRINGS_SIZE];
};

/* What is decoded is to be released as what fields_decode() has decoded. False where the text is
 * not plain, or there is no memory: then there is nothing to release. */
bool plain_fields_read(struct reader *reader, const struct field *fields, void *parameters,
	struct plain_strings *strings);
