/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading plain JSON: what is written in the one usual way. Used by those who read that without
 * json-c's tokener (plain_request.h, plain_fields.h, plain_value.h); of all else they say nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "protocol/json.h"

/* So many digits have room in 63 bits whatever they are. */
#define READER_DIGITS_MAX 18

struct reader {
	const char *at, *end;
};

static inline void reader_skip_space(struct reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
						   *reader->at == '\r' || *reader->at == '\n'))
		reader->at++;
}

/* With the white space before it. */
static inline bool reader_next_is(struct reader *reader, char character)
{
	reader_skip_space(reader);
	if (reader->at == reader->end || *reader->at != character)
		return false;
	reader->at++;
	return true;
}

/* Behind it there is nothing but white space. */
static inline bool reader_is_at_end(struct reader *reader)
{
	reader_skip_space(reader);
	return reader->at == reader->end;
}

/* Without zeroes before it. What follows it, or does not, is not looked at. */
static inline bool reader_number(struct reader *reader, uint64_t *ret)
{
	const char *first;
	uint64_t number = 0;

	reader_skip_space(reader);
	first = reader->at;
	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9' &&
		reader->at - first < READER_DIGITS_MAX)
		number = 10 * number + (uint64_t)(*reader->at++ - '0');
	*ret = number;
	return reader->at > first && (*first != '0' || reader->at == first + 1);
}

/* What strings have that need no escape: of ASCII. */
static const bool reader_of_string[256] = {
	[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};

/* Its bytes, between the quotes. */
static inline bool reader_string(struct reader *reader, struct json_part *ret)
{
	const char *first;

	if (!reader_next_is(reader, '"'))
		return false;
	first = reader->at;
	while (reader->at < reader->end && reader_of_string[(unsigned char)*reader->at])
		reader->at++;
	*ret = (struct json_part){first, (size_t)(reader->at - first)};
	if (reader->at == reader->end || *reader->at != '"')
		return false;
	reader->at++;
	return true;
}

/* true, false or null. */
static inline bool reader_word(struct reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return false;
	reader->at += length;
	return true;
}
