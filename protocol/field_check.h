/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a field can hold. The same checks are made of what a packet says and of what comes another
 * way, from a ledger or a label.
 */
#pragma once

#include <stdbool.h>

#include "protocol/field_types.h"

/* Each of one value that is there. A string is to be printable UTF-8. */
bool field_string_fits(const struct field *field, const char *string);
bool field_uuid_fits(const char *string);
bool field_integer_fits(const struct field *field, uint64_t number);

/*
 * The first field that holds what fields_decode() makes of no packet, NULL where there is none.
 * Only of strings, UUIDs, numbers, enums and flags; one that may be absent may hold its default.
 */
const struct field *fields_fault(const struct field *fields, const void *parameters);

/* What it holds that is absent, and then what it holds that is null, where it may be. */
void field_set_absent(const struct field *field, void *target);
void field_set_null(const struct field *field, void *target);
