/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables and lists of facts. See table.h.
 */
#include "client/ctl/table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* NULL: none. */
static const char *colour_of_state(const char *state)
{
	static const struct {
		const char *state, *colour;
	} colours[] = {
		{"opening", "yellow"},
		{"pending", "yellow"},
		{"closing", "yellow"},
		{"released", "darkgray"},
		{"lingering", "darkgray"},
		{"none", "yellow"},
		{"lost", "red"},
	};

	for (size_t i = 0; i < sizeof colours / sizeof *colours; i++) {
		if (strcmp(state, colours[i].state) == 0)
			return colours[i].colour;
	}
	return NULL;
}

static int set_colour(struct libscols_line *line, size_t column, const char *state)
{
	const char *colour = colour_of_state(state);

	return colour ? scols_cell_set_color(scols_line_get_cell(line, column), colour) : 0;
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
		if (columns[i].kind == TEXT_STATE && set_colour(line, i, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* As no-color.org has it. */
bool table_colours(void)
{
	const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && (!none || !none[0]) && terminal &&
	       strcmp(terminal, "dumb") != 0;
}

static int fill_line(const struct ctl *ctl, struct libscols_table *table,
	const struct column *columns, const struct json_object *rows)
{
	int r = add_columns(table, columns);

	scols_table_enable_noheadings(table, ctl->no_headings);
	scols_table_enable_colors(table, table_colours());
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
		if (!ctl->no_headings)
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
