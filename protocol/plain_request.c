/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain requests. See plain_request.h.
 */
#include "protocol/plain_request.h"

#include <string.h>

#include "protocol/json.h"
#include "protocol/reader.h"

static const bool of_word[256] = {
	['a' ... 'z'] = true, ['0' ... '9'] = true, ['.'] = true, ['_'] = true};

/* One of small letters, digits, dots and underscores alone. */
static bool read_word(struct reader *reader, struct json_part *ret)
{
	const char *first;

	if (!reader_next_is(reader, '"'))
		return false;
	first = reader->at;
	while (reader->at < reader->end && of_word[(unsigned char)*reader->at])
		reader->at++;
	*ret = (struct json_part){first, (size_t)(reader->at - first)};
	if (reader->at == reader->end || *reader->at != '"')
		return false;
	reader->at++;
	return true;
}

static bool is(const struct json_part *word, const char *text, size_t length)
{
	return word->length == length && memcmp(word->bytes, text, length) == 0;
}

#define IS(word, text) is(word, text, sizeof text - 1)

static bool read_method(struct reader *reader, char ret[static PLAIN_METHOD_SIZE])
{
	struct json_part word;

	if (!read_word(reader, &word) || word.length >= PLAIN_METHOD_SIZE)
		return false;
	memcpy(ret, word.bytes, word.length);
	ret[word.length] = '\0';
	return true;
}

enum { HAS_VERSION = 1, HAS_ID = 2, HAS_METHOD = 4 };

/* The bit of the member, 0 where that is not plain. */
static unsigned read_member(struct reader *reader, char *method, uint64_t *id)
{
	struct json_part name, version;

	if (!read_word(reader, &name) || !reader_next_is(reader, ':'))
		return 0;
	if (IS(&name, "method"))
		return read_method(reader, method) ? HAS_METHOD : 0;
	if (IS(&name, "id"))
		return reader_number(reader, id) ? HAS_ID : 0;
	if (IS(&name, "jsonrpc") && read_word(reader, &version))
		return IS(&version, "2.0") ? HAS_VERSION : 0;
	return 0;
}

/* The bits of all members, 0 where anything is not plain. */
static unsigned read_members(struct reader *reader, char *method, uint64_t *id)
{
	unsigned all = 0, one;

	if (!reader_next_is(reader, '{'))
		return 0;
	do {
		one = read_member(reader, method, id);
		if (one == 0 || all & one)
			return 0;
		all |= one;
	} while (reader_next_is(reader, ','));
	if (!reader_next_is(reader, '}'))
		return 0;
	return reader_is_at_end(reader) ? all : 0;
}

bool plain_request_read(const char *text, size_t length, struct plain_request *ret)
{
	struct reader reader = {text, text + length};
	uint64_t id = 0;
	unsigned members = read_members(&reader, ret->method, &id);

	if ((members & (HAS_VERSION | HAS_METHOD)) != (HAS_VERSION | HAS_METHOD))
		return false;
	ret->message = (struct request_message){
		.notification = !(members & HAS_ID), .method = ret->method};
	if (members & HAS_ID)
		ret->message.id = json_new_uint(id);
	return ret->message.notification || ret->message.id;
}
