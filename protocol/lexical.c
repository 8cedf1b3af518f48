/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What json-c lets pass as JSON, and is not. See lexical.h.
 */
#include "protocol/lexical.h"

#include <string.h>

#include "protocol/text.h"

bool lexical_is_utf8(const char *text, size_t length)
{
	const char *end = text + length;

	for (size_t step; text < end; text += step) {
		step = text_character_length(text, end);
		if (step == 0)
			return false;
	}
	return true;
}

/*
 * A string's bytes from behind its first quote: returns those of its end. NULL where that is
 * missing or a character is illegal. An escaped NUL is, in a member's name too: it would end a C
 * string early, and "a\u0000b" pass for "a".
 */
static const char *skip_string(const char *at, const char *end, const char **ret_why)
{
	for (size_t length; at < end; at += length) {
		length = (unsigned char)*at < 0x80 ? 1 : text_character_length(at, end);
		*ret_why = "not UTF-8";
		if (length == 0)
			return NULL;
		*ret_why = "a string has a control character";
		if ((unsigned char)*at < 0x20)
			return NULL;
		if (*at == '"')
			return at;
		*ret_why = "a string holds NUL";
		if (end - at >= 6 && memcmp(at, "\\u0000", 6) == 0)
			return NULL;
		if (*at == '\\')
			length = 2;
	}
	*ret_why = "a string has no end";
	return NULL;
}

static const char *skip_digits(const char *at, const char *end)
{
	const char *first = at;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at > first ? at : NULL;
}

const bool lexical_of_number[256] = {
	['0' ... '9'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['e'] = true, ['E'] = true};

/* What is behind a number as RFC 8259 has it. NULL where it is none, or more of its characters
 * follow. */
static const char *skip_number(const char *at, const char *end)
{
	if (*at == '-')
		at++;
	at = at < end && *at == '0' ? at + 1 : skip_digits(at, end);
	if (at && at < end && *at == '.')
		at = skip_digits(at + 1, end);
	if (at && at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = skip_digits(at, end);
	}
	return at && at < end && lexical_of_number[(unsigned char)*at] ? NULL : at;
}

/* Structure, white space, numbers, and the letters of true, false and null. */
static const bool outside_strings[256] = {['{'] = true,
	['}'] = true,
	['['] = true,
	[']'] = true,
	[':'] = true,
	[','] = true,
	['"'] = true,
	['0' ... '9'] = true,
	['-'] = true,
	['e'] = true,
	['t'] = true,
	['r'] = true,
	['u'] = true,
	['f'] = true,
	['a'] = true,
	['l'] = true,
	['s'] = true,
	['n'] = true,
	[' '] = true,
	['\t'] = true,
	['\r'] = true,
	['\n'] = true};

/* A value begins there, or a member's name; of true, false and null with the letter that no other
 * of them has. */
static const bool begins[256] = {['{'] = true,
	['['] = true,
	['"'] = true,
	['0' ... '9'] = true,
	['-'] = true,
	['r'] = true,
	['f'] = true,
	['n'] = true};

const char *lexical_fault(const char *text, size_t length, struct lexical_counts *ret_counts)
{
	const char *end = text + length, *why;
	struct lexical_counts counts = {0, 0};
	unsigned depth = 0;

	for (const char *at = text; at < end; at++) {
		if (!outside_strings[(unsigned char)*at])
			return "unexpected character";
		counts.values += begins[(unsigned char)*at];
		counts.members += *at == ':';
		if (*at == '"' && !(at = skip_string(at + 1, end, &why)))
			return why;
		if (*at == '-' || (*at >= '0' && *at <= '9')) {
			at = skip_number(at, end);
			if (!at)
				return "a malformed number";
			at--;
		}
		if ((*at == '[' || *at == '{') && ++depth > JSON_DEPTH_MAX)
			return "nested too deep";
		if ((*at == ']' || *at == '}') && depth-- == 0)
			return "unexpected character";
	}
	counts.values -= counts.values < counts.members ? counts.values : counts.members;
	*ret_counts = counts;
	return NULL;
}
