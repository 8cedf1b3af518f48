/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What json-c lets pass even when it is strict: single quotes, NaN, Infinity, control characters,
 * illegal UTF-8 and NUL in strings, leading zeroes and missing digits in numbers. And depth,
 * counted exactly. Reference: RFC 8259.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Arrays and objects within each other. */
#define JSON_DEPTH_MAX 16

/* What a text has, of which a parser may not keep all: where two members have one name, or where it
 * has no memory. */
struct lexical_counts {
	size_t members; /* of all objects */
	size_t values;  /* all of them, those within others too */
};

/* What is wrong (a constant), NULL where nothing of that is. The structure is json-c's to check. */
const char *lexical_fault(const char *text, size_t length, struct lexical_counts *ret_counts);

/* The characters of numbers. */
extern const bool lexical_of_number[256];

/* Whether the bytes are UTF-8 as JSON has it. */
bool lexical_is_utf8(const char *text, size_t length);
