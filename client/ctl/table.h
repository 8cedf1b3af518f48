/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables and lists of facts, from JSON, on stdout.
 */
#pragma once

#include "client/ctl/text.h"

/* One member of the objects that are shown. A list of columns ends with one without a member. */
struct column {
	const char *member;
	const char *title;
	enum text_kind kind;
};

/* One line for each object of the array; "none" where there are none. */
enum ctl_status print_table(
	const struct ctl *ctl, const struct column *columns, const struct json_object *rows);
/* One line for each of its members. */
void print_facts(
	const struct ctl *ctl, const struct column *columns, const struct json_object *object);
