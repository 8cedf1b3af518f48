/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fields in words, for the reference and for gmemctl's help. What a parameter must be is
 * field_expectation() of field.h.
 */
#pragma once

#include <stddef.h>

#include "protocol/field.h"

/* "an array of objects, or null": what a field of a result is. Truncates to size. */
void field_kind(const struct field *field, char *ret, size_t size);

/* The value of a parameter that is left out, as JSON; "" where the table says none. Truncates. */
void field_default(const struct field *field, char *ret, size_t size);

/* Calls each for every field, one that has fields before those within it, with its path
 * ("mailbox.areas[].stride"). */
void fields_walk(const struct field *fields,
	void (*each)(const char *path, const struct field *field, void *context), void *context);
