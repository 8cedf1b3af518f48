/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The columns of a table that are asked for, by --output, and the one that it is in the order of,
 * by --sort.
 */
#pragma once

#include "client/ctl/table.h"

/* Of one table. */
#define COLUMNS_MAX 24

struct columns_chosen {
	struct column columns[COLUMNS_MAX + 1];
	const struct column *sort; /* NULL: as gmemd has them */
};

/* output: as --output has it, or NULL; usual: those without, as there. A wrong one has been
 * reported. */
enum ctl_status columns_choose(const struct ctl *ctl, const struct column *all, const char *usual,
	const char *output, struct columns_chosen *ret);

/* Which of two objects comes first, as strcmp(3): of amounts the largest, of times the earliest,
 * texts as a dictionary has them. */
int column_compare(const struct column *column, const struct json_object *left,
	const struct json_object *right);
/* The column of that title, in whatever case; NULL: there is none. */
const struct column *column_of_title(const struct column *all, const char *title, size_t length);
