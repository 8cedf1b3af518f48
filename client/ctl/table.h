/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables and lists of facts, from JSON, on stdout.
 */
#pragma once

#include "client/ctl/text.h"
#include "protocol/methods.h"

/* One member of the objects that are shown. A list of columns ends with one without a member. */
struct column {
	const char *member;
	const char *title;
	enum text_kind kind;
};

/* A table that a verb prints, for help. A list of them ends with one without columns. */
struct table {
	const char *title;
	const struct column *columns;
	enum method_number method; /* whose result has the objects, in the array of that name */
	const char *array;
	const char *member, *summary; /* of a column of gmemctl's own */
};

/* Whether what is printed to stdout is to have colours. */
bool table_colours(void);
/* One line for each object of the array; "none" where there are none, or nothing where there are to
 * be no headings. */
enum ctl_status print_table(
	const struct ctl *ctl, const struct column *columns, const struct json_object *rows);
/* One line for each of its members. */
void print_facts(
	const struct ctl *ctl, const struct column *columns, const struct json_object *object);
