/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain requests. See plain_request.h.
 */
#include "protocol/plain_request.h"

#include <string.h>

#include "protocol/field.h"
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

enum { HAS_VERSION = 1, HAS_ID = 2, HAS_METHOD = 4, HAS_PARAMETERS = 8 };

/* What is being read, and the bits of what was. */
struct reading {
	struct reader reader;
	struct plain_request *request;
	union method_parameters *parameters;
	uint64_t id;
	unsigned has;
};

/* Behind their method: that tells what they are. */
static bool read_parameters(struct reading *reading)
{
	struct plain_request *request = reading->request;
	const struct method *method =
		reading->has & HAS_METHOD ? method_by_name(request->method) : NULL;

	if (!method || !plain_fields_read(&reading->reader, method->parameters, reading->parameters,
			       &request->strings))
		return false;
	request->decoded = method->parameters;
	return true;
}

/* The bit of the member, 0 where that is not plain. */
static unsigned read_member(struct reading *reading)
{
	struct reader *reader = &reading->reader;
	struct json_part name, version;

	if (!read_word(reader, &name) || !reader_next_is(reader, ':'))
		return 0;
	if (IS(&name, "method"))
		return read_method(reader, reading->request->method) ? HAS_METHOD : 0;
	if (IS(&name, "id"))
		return reader_number(reader, &reading->id) ? HAS_ID : 0;
	if (IS(&name, "params"))
		return !reading->request->decoded && read_parameters(reading) ? HAS_PARAMETERS : 0;
	if (IS(&name, "jsonrpc") && read_word(reader, &version))
		return IS(&version, "2.0") ? HAS_VERSION : 0;
	return 0;
}

static bool read_members(struct reading *reading)
{
	unsigned one;

	if (!reader_next_is(&reading->reader, '{'))
		return false;
	do {
		one = read_member(reading);
		if (one == 0 || reading->has & one)
			return false;
		reading->has |= one;
	} while (reader_next_is(&reading->reader, ','));
	return reader_next_is(&reading->reader, '}') && reader_is_at_end(&reading->reader);
}

static bool take_message(const struct reading *reading, struct request_message *ret)
{
	if (!(reading->has & HAS_VERSION) || !(reading->has & HAS_METHOD))
		return false;
	*ret = (struct request_message){
		.notification = !(reading->has & HAS_ID), .method = reading->request->method};
	if (reading->has & HAS_ID)
		ret->id = json_new_uint(reading->id);
	return ret->notification || ret->id;
}

bool plain_request_read(const char *text, size_t length, union method_parameters *parameters,
	struct plain_request *ret)
{
	struct reading reading = {
		.reader = {text, text + length}, .request = ret, .parameters = parameters};

	ret->decoded = NULL;
	ret->strings.used = 0;
	if (read_members(&reading) && take_message(&reading, &ret->message))
		return true;
	if (ret->decoded)
		fields_release(ret->decoded, parameters);
	memset(parameters, 0, sizeof *parameters);
	return false;
}
