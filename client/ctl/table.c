/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables and lists of facts. See table.h.
 */
#include "client/ctl/table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>

#include "client/ctl/report.h"
#include "protocol/json.h"

static bool right_aligned(enum text_kind kind)
{
	return kind == TEXT_NUMBER || kind == TEXT_BYTES || kind == TEXT_HEX;
}

static int add_columns(struct libscols_table *table, const struct column *columns)
{
	for (; columns->member; columns++) {
		int flags = right_aligned(columns->kind) ? SCOLS_FL_RIGHT : 0;

		if (!scols_table_new_column(table, columns->title, 0, flags))
			return -ENOMEM;
	}
	return 0;
}

static int add_row(const struct ctl *ctl, struct libscols_table *table,
	const struct column *columns, const struct json_object *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char text[TEXT_SIZE];

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; columns[i].member; i++) {
		text_of_value(
			ctl, columns[i].kind, json_get(row, columns[i].member), text, sizeof text);
		if (scols_line_set_data(line, i, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int fill_line(const struct ctl *ctl, struct libscols_table *table,
	const struct column *columns, const struct json_object *rows)
{
	int r = add_columns(table, columns);

	for (size_t i = 0; r == 0 && i < json_length(rows); i++)
		r = add_row(ctl, table, columns, json_at(rows, i));
	return r == 0 ? scols_print_table(table) : r;
}

enum ctl_status print_table(
	const struct ctl *ctl, const struct column *columns, const struct json_object *rows)
{
	struct libscols_table *table;
	int r = -ENOMEM;

	if (json_length(rows) == 0) {
		puts("none");
		return CTL_DONE;
	}
	table = scols_new_table();
	if (table)
		r = fill_line(ctl, table, columns, rows);
	scols_unref_table(table);
	return r < 0 ? report_system(ctl, "printing a table", r) : CTL_DONE;
}

void print_facts(
	const struct ctl *ctl, const struct column *columns, const struct json_object *object)
{
	char text[TEXT_SIZE];

	for (; columns->member; columns++) {
		text_of_value(
			ctl, columns->kind, json_get(object, columns->member), text, sizeof text);
		printf("%-10s %s\n", columns->title, text);
	}
}
