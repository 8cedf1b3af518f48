/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Splitting: an array's text into those of its elements, without making values of them. See json.h.
 */
#include <string.h>

#include "protocol/json.h"
#include "protocol/lexical.h"

/* Of a text whose characters, numbers and depth are known to be right. */
struct reader {
	const char *at, *end;
};

static bool skip_value(struct reader *reader);

static bool is_next(const struct reader *reader, char character)
{
	return reader->at < reader->end && *reader->at == character;
}

static void skip_space(struct reader *reader)
{
	static const bool space[256] = {[' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true};

	while (reader->at < reader->end && space[(unsigned char)*reader->at])
		reader->at++;
}

/* With the white space behind it. */
static bool skip_character(struct reader *reader, char character)
{
	if (!is_next(reader, character))
		return false;
	reader->at++;
	skip_space(reader);
	return true;
}

static bool skip_word(struct reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return false;
	reader->at += length;
	return true;
}

static bool skip_escape(struct reader *reader)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	if (!strchr("\"\\/bfnrtu", *reader->at))
		return false;
	if (*reader->at++ != 'u')
		return true;
	if (reader->end - reader->at < 4)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (!strchr(digits, *reader->at++))
			return false;
	}
	return true;
}

/* It has an end. */
static bool skip_string(struct reader *reader)
{
	if (!is_next(reader, '"'))
		return false;
	reader->at++;
	while (*reader->at != '"') {
		if (*reader->at++ == '\\' && !skip_escape(reader))
			return false;
	}
	reader->at++;
	return true;
}

static bool skip_number(struct reader *reader)
{
	static const bool first[256] = {['-'] = true, ['0' ... '9'] = true};

	if (reader->at == reader->end || !first[(unsigned char)*reader->at])
		return false;
	while (reader->at < reader->end && lexical_of_number[(unsigned char)*reader->at])
		reader->at++;
	return true;
}

static bool skip_name(struct reader *reader)
{
	if (!skip_string(reader))
		return false;
	skip_space(reader);
	return skip_character(reader, ':');
}

/* What is between a bracket, or brace, and the other. */
static bool skip_list(struct reader *reader, char end, bool named)
{
	if (skip_character(reader, end))
		return true;
	do {
		if ((named && !skip_name(reader)) || !skip_value(reader))
			return false;
	} while (skip_character(reader, ','));
	return skip_character(reader, end);
}

/* With the white space behind it. */
static bool skip_value(struct reader *reader)
{
	bool is;

	if (skip_character(reader, '['))
		return skip_list(reader, ']', false);
	if (skip_character(reader, '{'))
		return skip_list(reader, '}', true);
	if (is_next(reader, '"'))
		is = skip_string(reader);
	else
		is = skip_word(reader, "true") || skip_word(reader, "false") ||
		     skip_word(reader, "null") || skip_number(reader);
	skip_space(reader);
	return is;
}

static bool split_elements(
	struct reader *reader, struct json_part *parts, size_t room, size_t *count)
{
	if (!skip_character(reader, '['))
		return false;
	if (skip_character(reader, ']'))
		return true;
	do {
		const char *first = reader->at;

		if (!skip_value(reader))
			return false;
		if (*count < room)
			parts[*count] = (struct json_part){first, (size_t)(reader->at - first)};
		(*count)++;
	} while (skip_character(reader, ','));
	return skip_character(reader, ']');
}

bool json_begins_array(const char *text, size_t length)
{
	struct reader reader = {text, text + length};

	skip_space(&reader);
	return is_next(&reader, '[');
}

bool json_split(const char *text, size_t length, struct json_part *parts, size_t room,
	size_t *ret_count, const char **ret_why)
{
	struct reader reader = {text, text + length};
	struct lexical_counts counts; /* each part's are compared where it is parsed */
	size_t count = 0;

	*ret_why = lexical_fault(text, length, &counts);
	if (*ret_why)
		return false;
	skip_space(&reader);
	if (!split_elements(&reader, parts, room, &count) || reader.at < reader.end) {
		*ret_why = reader.at < reader.end ? "unexpected character" : "it ends too early";
		return false;
	}
	*ret_count = count;
	return true;
}
