/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON values, so that nothing outside this folder needs to know json-c.
 *
 * A value is json-c's reference-counted object. json_add_… and json_append_… give the child to its
 * parent; a child that they return is borrowed from it. What lacks something for want of memory
 * can't be printed, nor can the whole that it is part of, and to NULL nothing is added: so what
 * builds an answer need not check each step, but for the whole itself. Integers
 * are exact over the whole of int64_t and uint64_t; one that is read and lies beyond becomes the
 * nearest of theirs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/lexical.h"

struct json_object;

/*
 * Parses exactly one value: strict, valid UTF-8, at most JSON_DEPTH_MAX deep, nothing before or
 * behind it but white space, no NUL in a string. NULL where text is anything else, with what is
 * wrong in *ret_why (a constant). The caller owns it.
 */
struct json_object *json_parse(const char *text, size_t length, const char **ret_why);
/* What is wrong there where nothing is wrong with the text. */
extern const char json_no_memory[];
struct json_object *json_ref(struct json_object *value);
/* Takes NULL, returns NULL. */
struct json_object *json_unref(struct json_object *value);

/* The value as one line, or indented for people. Lives as long as the value and until it is printed
 * again. NULL without memory. */
const char *json_print(struct json_object *value, size_t *ret_length);
const char *json_print_pretty(struct json_object *value);

/*
 * The same value with strings and names of members that a terminal shows and does nothing else of:
 * see text_copy_printable(). Takes value; the result is the caller's.
 */
struct json_object *json_make_printable(struct json_object *take_value);

/*
 * A value of a text that is JSON already, made of parts, each with its length; it can only be
 * printed or be part of what is printed. NULL without memory.
 */
struct json_part {
	const char *bytes;
	size_t length;
};
struct json_object *json_new_text(const struct json_part *parts, size_t count);

/* A number as text, which ends where digits does. */
#define JSON_DIGITS_MAX 20
struct json_part json_digits(uint64_t number, char digits[static JSON_DIGITS_MAX]);

/* Whether the text can be nothing but an array. */
bool json_begins_array(const char *text, size_t length);
/*
 * The elements of an array, by their texts within its own: as many as there is room for, and how
 * many there are. It is as strict as json_parse(), and takes a part of its time and no memory.
 * False where the text is anything else, with what is wrong in *ret_why (a constant).
 */
bool json_split(const char *text, size_t length, struct json_part *parts, size_t room,
	size_t *ret_count, const char **ret_why);
/* The same of an object: its members, each by its name's text, quotes and escapes and all, and its
 * value's. */
struct json_member {
	struct json_part name, value;
};
bool json_split_object(const char *text, size_t length, struct json_member *members, size_t room,
	size_t *ret_count, const char **ret_why);
/* Whether the part is that text. */
bool json_part_is(const struct json_part *part, const char *text);

struct json_object *json_new_object(void);
struct json_object *json_new_array(void);
struct json_object *json_new_uint(uint64_t number);
struct json_object *json_new_string(const char *string);

void json_add(struct json_object *object, const char *name, struct json_object *take_value);
/* The same of one that can't be null: NULL is for want of memory. */
void json_add_made(struct json_object *object, const char *name, struct json_object *take_made);
/* Adds null where string is NULL. */
void json_add_string(struct json_object *object, const char *name, const char *string);
void json_add_uint(struct json_object *object, const char *name, uint64_t number);
void json_add_int(struct json_object *object, const char *name, int64_t number);
void json_add_bool(struct json_object *object, const char *name, bool value);
void json_add_null(struct json_object *object, const char *name);
struct json_object *json_add_object(struct json_object *object, const char *name);
struct json_object *json_add_array(struct json_object *object, const char *name);
void json_append(struct json_object *array, struct json_object *take_value);
void json_append_made(struct json_object *array, struct json_object *take_made);
struct json_object *json_append_object(struct json_object *array);
void json_append_string(struct json_object *array, const char *string);

bool json_is_object(const struct json_object *value);
bool json_is_array(const struct json_object *value);
bool json_is_string(const struct json_object *value);
bool json_is_integer(const struct json_object *value);
bool json_is_number(const struct json_object *value);
bool json_is_bool(const struct json_object *value);

/* A member, borrowed; NULL where there is none or it is null. */
struct json_object *json_get(const struct json_object *object, const char *name);
/* Whether there is such a member, be it null. */
bool json_has(const struct json_object *object, const char *name);
/* Members by type; false, "" or 0 through *ret untouched where there is none of that type. */
const char *json_get_string(const struct json_object *object, const char *name);
bool json_get_uint(const struct json_object *object, const char *name, uint64_t *ret);
bool json_get_int(const struct json_object *object, const char *name, int64_t *ret);
bool json_get_bool(const struct json_object *object, const char *name);

const char *json_string(const struct json_object *value);
/* False where the value is no integer from 0 to UINT64_MAX. */
bool json_uint(const struct json_object *value, uint64_t *ret);
/* Beyond int64_t, the nearest that it has. */
bool json_int(const struct json_object *value, int64_t *ret);
bool json_boolean(const struct json_object *value);

size_t json_length(const struct json_object *array);
struct json_object *json_at(const struct json_object *array, size_t index);

/* Calls each(name, value, context) for the members in their order; stops at the first that returns
 * false. */
bool json_each(struct json_object *object,
	bool (*each)(const char *name, struct json_object *value, void *context), void *context);
