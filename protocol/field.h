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
#include "protocol/field_types.h"

struct json_object;

/*
 * Decodes params (an object; NULL counts as an empty one) into *parameters by the table. Strings
 * live as long as params, arrays until fields_release(). Absent strings are their default or NULL,
 * absent files' numbers -1. Returns 0, or the code of the error that it filled in: unknown
 * parameter, missing, of another type or out of bounds; then there is nothing to release.
 */
int fields_decode(const struct field *fields, struct json_object *params, void *parameters,
	struct rpc_error *error);

/* Frees the arrays that were decoded. */
void fields_release(const struct field *fields, void *parameters);

/* The least that an integer field takes: min, or the first whole page from there on. */
uint64_t field_minimum(const struct field *field);

/* "an integer from 4096 to 8192, a multiple of 4096": what a field must be. Truncates to size. */
void field_expectation(const struct field *field, char *ret, size_t size);

/* JSON Schema of one field, and of an object with these; brief: without what the field is in words,
 * and that an integer isn't negative. */
enum schema_detail { SCHEMA_BRIEF, SCHEMA_FULL };
struct json_object *field_schema(const struct field *field, enum schema_detail detail);
struct json_object *fields_schema(const struct field *fields, enum schema_detail detail);

/* Whether the table has a field of that type at any depth. */
bool fields_have(const struct field *fields, enum field_type type);

/* Adds the names of the set bits as an array. */
void json_add_flags(
	struct json_object *object, const char *name, uint64_t flags, const char *const *names);
