/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a table of fields says of each: its type, its bounds, where it is decoded to.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

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
	/* fields. Of a parameter struct field_array, with none where it is absent, or one */
	FIELD_OBJECT,
	FIELD_ANY, /* in results only */
};

enum field_flags {
	FIELD_OPTIONAL = 1 << 0,
	FIELD_NULLABLE = 1 << 1,
	FIELD_PAGES = 1 << 2, /* a multiple of the page size */
};

/* What an integer, boolean, enum or flags field holds that is absent, without a default, or
 * null. */
#define FIELD_UNSET UINT64_MAX

/* What an array of objects, or an object, is decoded into. */
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
	/* The schema that an object of these fields, or an array of such, refers to in a brief
	 * description, as one of several; NULL: it has its own. See shared_schemas. */
	const char *shared;
	size_t offset;    /* into the method's parameters, or into the item */
	size_t item_size; /* of an array's item, decoded */
	const char *summary;
};
