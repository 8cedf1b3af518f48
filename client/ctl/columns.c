/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Columns that are asked for. See columns.h.
 */
#include "client/ctl/columns.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/ctl/report.h"
#include "protocol/json.h"

const struct column *column_of_title(const struct column *all, const char *title, size_t length)
{
	for (const struct column *column = all; column->member; column++) {
		if (strlen(column->title) == length &&
			strncasecmp(column->title, title, length) == 0)
			return column;
	}
	return NULL;
}

static enum ctl_status report_column(const struct ctl *ctl, const struct column *all,
	const char *option, const char *title, size_t length)
{
	char names[256] = "";

	for (const struct column *column = all; column->member; column++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof names - used, " %s", column->title);
	}
	return report_usage(ctl, "%s: there is no column \"%.*s\"; there are%s", option,
		(int)length, title, names);
}

static bool has_column(const struct columns_chosen *chosen, const struct column *column)
{
	for (const struct column *one = chosen->columns; one->member; one++) {
		if (strcmp(one->title, column->title) == 0)
			return true;
	}
	return false;
}

/* Each once: a second time is an error, for a list that has no more than there are. */
static enum ctl_status choose(const struct ctl *ctl, const struct column *all, const char *list,
	struct columns_chosen *chosen)
{
	size_t count = 0, length;

	for (; chosen->columns[count].member; count++)
		;
	for (;; list += length + 1) {
		const struct column *column;

		length = strcspn(list, ",");
		column = column_of_title(all, list, length);
		if (!column)
			return report_column(ctl, all, "--output", list, length);
		if (has_column(chosen, column))
			return report_usage(ctl, "--output has the column %s twice", column->title);
		chosen->columns[count++] = *column;
		if (list[length] == '\0')
			return CTL_DONE;
	}
}

static enum ctl_status choose_order(
	const struct ctl *ctl, const struct column *all, struct columns_chosen *chosen)
{
	size_t length = strlen(ctl->sort_by);

	chosen->sort = column_of_title(all, ctl->sort_by, length);
	return chosen->sort ? CTL_DONE : report_column(ctl, all, "--sort", ctl->sort_by, length);
}

enum ctl_status columns_choose(const struct ctl *ctl, const struct column *all, const char *usual,
	const char *output, struct columns_chosen *ret)
{
	const char *list = output ? output : "+";
	const bool more = list[0] == '+';
	enum ctl_status status = CTL_DONE;

	*ret = (struct columns_chosen){.sort = NULL};
	if (more)
		status = choose(ctl, all, usual, ret);
	list += more;
	if (status == CTL_DONE && (list[0] || (output && !more)))
		status = choose(ctl, all, list, ret);
	if (status == CTL_DONE && ctl->sort_by)
		status = choose_order(ctl, all, ret);
	return status;
}

/* Of which the largest comes first. */
static bool is_amount(const struct column *column)
{
	return column->kind == TEXT_NUMBER || column->kind == TEXT_BYTES;
}

static bool is_time(const struct column *column)
{
	return column->kind == TEXT_AGE || column->kind == TEXT_TIME;
}

static int compare_numbers(const struct column *column, const struct json_object *left,
	const struct json_object *right)
{
	uint64_t a = 0, b = 0;

	json_get_uint(left, column->member, &a);
	json_get_uint(right, column->member, &b);
	return a > b ? 1 : -(a < b);
}

int column_compare(const struct column *column, const struct json_object *left,
	const struct json_object *right)
{
	if (is_amount(column))
		return compare_numbers(column, right, left);
	if (is_time(column))
		return compare_numbers(column, left, right);
	return strcmp(
		json_get_string(left, column->member), json_get_string(right, column->member));
}
