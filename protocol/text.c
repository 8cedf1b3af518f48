/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that others have written. See text.h.
 */
#include "protocol/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A character as \u{10FFFF}, with its NUL. */
#define ESCAPED_SIZE 12

size_t text_character_length(const char *at, const char *end)
{
	const unsigned char *bytes = (const unsigned char *)at;
	unsigned char first = bytes[0];
	size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || length > (size_t)(end - at))
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xf0 && bytes[1] < 0x90))
		return 0;
	if ((first == 0xed && bytes[1] >= 0xa0) || (first == 0xf4 && bytes[1] >= 0x90))
		return 0;
	return length;
}

static uint32_t character_number(const char *at, size_t length)
{
	static const unsigned char of_first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t number = (unsigned char)at[0] & of_first[length];

	for (size_t i = 1; i < length; i++)
		number = number << 6 | ((unsigned char)at[i] & 0x3f);
	return number;
}

/*
 * Unicode's categories Cc, Zl and Zp, its interlinear annotations, and its properties
 * Bidi_Control and Default_Ignorable_Code_Point (15.0), in order.
 */
static const struct {
	uint32_t first, last;
} unprintable[] = {
	{0x0000, 0x001f},
	{0x007f, 0x009f},
	{0x00ad, 0x00ad},
	{0x034f, 0x034f},
	{0x061c, 0x061c},
	{0x115f, 0x1160},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x200b, 0x200f},
	{0x2028, 0x202e},
	{0x2060, 0x206f},
	{0x3164, 0x3164},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffb},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
};

static bool is_printable(uint32_t character)
{
	for (size_t i = 0; i < sizeof unprintable / sizeof *unprintable; i++) {
		if (character >= unprintable[i].first && character <= unprintable[i].last)
			return false;
	}
	return true;
}

/* What is printed for the first character of the text; *ret_length is how long that is there. */
static size_t next_character(const char *text, const char *end, bool for_terminal,
	char ret[static ESCAPED_SIZE], size_t *ret_length)
{
	size_t length = text_character_length(text, end);
	uint32_t number;

	*ret_length = length > 0 ? length : 1;
	if (length == 0) {
		ret[0] = '?';
		return 1;
	}
	number = character_number(text, length);
	if (for_terminal && !is_printable(number))
		return (size_t)snprintf(ret, ESCAPED_SIZE, "\\u{%" PRIX32 "}", number);
	memcpy(ret, text, length);
	return length;
}

static void copy(const char *text, bool for_terminal, char *ret, size_t size)
{
	const char *end = text + strlen(text);
	char character[ESCAPED_SIZE];
	size_t used = 0, length, read;

	for (; text < end; text += read) {
		length = next_character(text, end, for_terminal, character, &read);
		if (used + length >= size)
			break;
		memcpy(ret + used, character, length);
		used += length;
	}
	ret[used] = '\0';
}

void text_copy(const char *text, char *ret, size_t size)
{
	copy(text, /* for_terminal= */ false, ret, size);
}

void text_copy_printable(const char *text, char *ret, size_t size)
{
	copy(text, /* for_terminal= */ true, ret, size);
}

/* Two of UTF-16 where one can't say it. */
static size_t write_json_escape(uint32_t number, char *ret)
{
	if (number < 0x10000)
		return (size_t)sprintf(ret, "\\u%04" PRIx32, number);
	number -= 0x10000;
	return (size_t)sprintf(ret, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + (number >> 10),
		0xdc00 + (number & 0x3ff));
}

char *text_escape_json(const char *json)
{
	const char *end = json + strlen(json);
	char *escaped = malloc(6 * (size_t)(end - json) + 1), *to = escaped;
	size_t length;
	uint32_t number;

	for (; escaped && json < end; json += length) {
		length = text_character_length(json, end);
		number = length > 0 ? character_number(json, length) : '?';
		if (number != '\n' && !is_printable(number))
			to += write_json_escape(number, to);
		else
			to = mempcpy(to, length > 0 ? json : "?", length > 0 ? length : 1);
		length = length > 0 ? length : 1;
	}
	if (escaped)
		*to = '\0';
	return escaped;
}
