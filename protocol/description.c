/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fields in words. See description.h.
 */
#include "protocol/description.h"

#include <stdio.h>
#include <string.h>

#include "protocol/json.h"

#define PATH_BYTES_MAX 256

void field_kind(const struct field *field, char *ret, size_t size)
{
	const char *kind = NULL;

	if (field->type == FIELD_STRING)
		kind = "a string";
	else if (field->type == FIELD_INTEGER)
		kind = "an integer";
	else if (field->type == FIELD_FD)
		kind = "the index of a file descriptor in the packet";
	else if (field->type == FIELD_ARRAY && field->fields)
		kind = "an array of objects";
	if (kind)
		snprintf(ret, size, "%s%s", kind, field->flags & FIELD_NULLABLE ? ", or null" : "");
	else
		field_expectation(field, ret, size);
}

/* The default's JSON is what the schema says. */
void field_default(const struct field *field, char *ret, size_t size)
{
	struct json_object *schema = field_schema(field, SCHEMA_BRIEF);
	struct json_object *value = json_get(schema, "default");
	const char *text = value ? json_print(value, NULL) : "";

	snprintf(ret, size, "%s", text ? text : "");
	json_unref(schema);
}

struct walk {
	void (*each)(const char *path, const struct field *field, void *context);
	void *context;
	char path[PATH_BYTES_MAX];
};

static void walk_fields(struct walk *walk, const struct field *fields)
{
	size_t length = strlen(walk->path);
	size_t room = sizeof walk->path - length;

	for (const struct field *field = fields; field && field->name; field++) {
		snprintf(walk->path + length, room, "%s%s", length > 0 ? "." : "", field->name);
		walk->each(walk->path, field, walk->context);
		if (field->type == FIELD_ARRAY)
			strncat(walk->path, "[]", sizeof walk->path - strlen(walk->path) - 1);
		walk_fields(walk, field->fields);
		walk->path[length] = '\0';
	}
}

void fields_walk(const struct field *fields,
	void (*each)(const char *path, const struct field *field, void *context), void *context)
{
	struct walk walk = {.each = each, .context = context};

	walk_fields(&walk, fields);
}
