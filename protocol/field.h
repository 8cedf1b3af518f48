/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fields: what a method's parameter or result is, as a row of a table.
 *
 * The same rows check and decode parameters, describe them as JSON Schema (rpc.discover) and in the
 * reference, and tell gmemctl's help. A table ends with a row without a name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/error.h"

struct json_object;

enum field_type {
	FIELD_STRING,  /* const char *: min to max bytes of printable UTF-8 */
	FIELD_UUID,    /* const char *: 8-4-4-4-12 hexadecimal digits */
	FIELD_INTEGER, /* uint64_t: from min to max */
	FIELD_BOOLEAN, /* uint64_t: 0 or 1 */
	FIELD_ENUM,    /* uint64_t: the index in names */
	FIELD_FLAGS,   /* uint64_t: an array of names; bit N is names[N] */
	/* int: of a parameter the file's number in the peer's process, of a result its index among
	 * the packet's fds */
	FIELD_FD,
	/* struct field_array: min to max objects of fields. In a result with any number,
	 * and of anything where there are no fields */
	FIELD_ARRAY,
	/* In results only: */
	FIELD_OBJECT, /* fields */
	FIELD_ANY,
};

enum field_flags {
	FIELD_OPTIONAL = 1 << 0,
	FIELD_NULLABLE = 1 << 1,
	FIELD_PAGES = 1 << 2, /* a multiple of the page size */
};

/* What an integer, boolean, enum or flags field holds that is absent, without a default, or
 * null. */
#define FIELD_UNSET UINT64_MAX

/* What an array of objects is decoded into. */
struct field_array {
	void *items; /* each item_size long; NULL where there are none */
	size_t count;
};

struct field {
	const char *name;
	enum field_type type;
	unsigned flags;
	uint64_t min;
	uint64_t max;
	uint64_t default_value;     /* of an optional one; FIELD_UNSET for none */
	const char *default_string; /* of an optional string; NULL for none */
	const char *const *names;
	const struct field *fields;
	size_t offset;    /* into the method's parameters, or into the item */
	size_t item_size; /* of an array's item, decoded */
	const char *summary;
};

/*
 * Decodes params (an object; NULL counts as an empty one) into *parameters by the table. Strings
 * live as long as params, arrays until fields_release(). Absent strings are their default or NULL,
 * absent files' numbers -1. Returns 0, or the code of the error that it filled in: unknown
 * parameter, missing, of another type or out of bounds; then there is nothing to release.
 */
int fields_decode(const struct field *fields, struct json_object *params, void *parameters,
	struct rpc_error *error);

/* Called for a file that decoded parameters name: where its number is, and the parameter's name,
 * which is "memories[3].fd" in an array. 0, or what ends it. */
typedef int fields_visit_fd(int *number, const char *param, void *context);
/* Calls visit for each file that is named, in the table's order. Returns what visit does. */
int fields_each_fd(
	const struct field *fields, void *parameters, fields_visit_fd *visit, void *context);

/* Frees the arrays that were decoded. */
void fields_release(const struct field *fields, void *parameters);

/* The least that an integer field takes: min, or the first whole page from there on. */
uint64_t field_minimum(const struct field *field);

/* "an integer from 4096 to 8192, a multiple of 4096": what a field must be. Truncates to size. */
void field_expectation(const struct field *field, char *ret, size_t size);

/* JSON Schema of one field, and of an object with these. */
struct json_object *field_schema(const struct field *field);
struct json_object *fields_schema(const struct field *fields);

/* Whether the table has a field of that type at any depth. */
bool fields_have(const struct field *fields, enum field_type type);

/* Adds the names of the set bits as an array. */
void json_add_flags(
	struct json_object *object, const char *name, uint64_t flags, const char *const *names);
