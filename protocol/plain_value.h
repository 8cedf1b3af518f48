/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain values: what nearly all requests and answers are made of, read without json-c's tokener.
 *
 * That makes a locale for each text, and goes from state to state with each character: of what a
 * short message takes to read, three quarters are its own. Strings of ASCII without escapes,
 * numbers of up to 18 digits without sign, fraction or exponent, true, false, null, and arrays and
 * objects of these can be written in one way alone, but for white space: such a text is made
 * json-c's values here. Of all else this says nothing, be it right or wrong, and the tokener reads
 * it.
 */
#pragma once

#include <stddef.h>

struct json_object;

/* The array or object that the text is, as json-c's tokener would make it. The caller owns it. NULL
 * where it is not plain, or there is no memory. */
struct json_object *plain_value_read(const char *text, size_t length);
