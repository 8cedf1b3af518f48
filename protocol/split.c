/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Splitting: an array's text into those of its elements, and an object's into those of its members,
 * without making values of them. See json.h.
 */
#include <string.h>

#include "protocol/json.h"
#include "protocol/lexical.h"
#include "protocol/reader.h"

/* The texts' characters, numbers and depth are known to be right. */

static bool skip_value(struct reader *reader);

static bool is_next(const struct reader *reader, char character)
{
	return reader->at < reader->end && *reader->at == character;
}

/* With the white space behind it. */
static bool skip_character(struct reader *reader, char character)
{
	if (!is_next(reader, character))
		return false;
	reader->at++;
	reader_skip_space(reader);
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

/* With the colon. *ret is the name alone. */
static bool skip_name(struct reader *reader, struct json_part *ret)
{
	const char *first = reader->at;

	if (!skip_string(reader))
		return false;
	*ret = (struct json_part){first, (size_t)(reader->at - first)};
	reader_skip_space(reader);
	return skip_character(reader, ':');
}

/* What is between a bracket, or brace, and the other. */
static bool skip_list(struct reader *reader, char end, bool named)
{
	struct json_part name;

	if (skip_character(reader, end))
		return true;
	do {
		if ((named && !skip_name(reader, &name)) || !skip_value(reader))
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
	reader_skip_space(reader);
	return is;
}

/* What a list is split into: an array's elements, or an object's members. */
struct split {
	char begin, end;
	struct json_part *parts;     /* NULL: members */
	struct json_member *members; /* NULL: parts */
	size_t room, count;
};

static void keep(struct split *split, const struct json_member *one)
{
	if (split->count < split->room && split->parts)
		split->parts[split->count] = one->value;
	else if (split->count < split->room)
		split->members[split->count] = *one;
	split->count++;
}

static bool split_list(struct reader *reader, struct split *split)
{
	struct json_member one = {.name = {NULL, 0}};

	if (!skip_character(reader, split->begin))
		return false;
	if (skip_character(reader, split->end))
		return true;
	do {
		if (!split->parts && !skip_name(reader, &one.name))
			return false;
		one.value.bytes = reader->at;
		if (!skip_value(reader))
			return false;
		one.value.length = (size_t)(reader->at - one.value.bytes);
		keep(split, &one);
	} while (skip_character(reader, ','));
	return skip_character(reader, split->end);
}

bool json_part_is(const struct json_part *part, const char *text)
{
	return part->length == strlen(text) && memcmp(part->bytes, text, part->length) == 0;
}

bool json_begins_array(const char *text, size_t length)
{
	struct reader reader = {text, text + length};

	reader_skip_space(&reader);
	return is_next(&reader, '[');
}

static bool split_text(const char *text, size_t length, struct split *split, size_t *ret_count,
	const char **ret_why)
{
	struct reader reader = {text, text + length};
	struct lexical_counts counts; /* each part's are compared where it is parsed */

	*ret_why = lexical_fault(text, length, &counts);
	if (*ret_why)
		return false;
	reader_skip_space(&reader);
	if (!split_list(&reader, split) || reader.at < reader.end) {
		*ret_why = reader.at < reader.end ? "unexpected character" : "it ends too early";
		return false;
	}
	*ret_count = split->count;
	return true;
}

bool json_split(const char *text, size_t length, struct json_part *parts, size_t room,
	size_t *ret_count, const char **ret_why)
{
	struct split split = {.begin = '[', .end = ']', .parts = parts, .room = room};

	return split_text(text, length, &split, ret_count, ret_why);
}

bool json_split_object(const char *text, size_t length, struct json_member *members, size_t room,
	size_t *ret_count, const char **ret_why)
{
	struct split split = {.begin = '{', .end = '}', .members = members, .room = room};

	return split_text(text, length, &split, ret_count, ret_why);
}
