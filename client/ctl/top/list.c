/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of VMs. See list.h.
 */
#include "client/ctl/top/list.h"

#include <stdlib.h>
#include <string.h>

#include "client/ctl/top/screen.h"
#include "protocol/json.h"

/* In the order in which they are shown; rank: those with a higher one go first where there is no
 * room. */
static const struct {
	struct column column;
	unsigned rank;
} columns[] = {
	{{"name", "NAME", TEXT_PLAIN}, 0},
	{{"tenant", "TENANT", TEXT_PLAIN}, 6},
	{{"pid", "PID", TEXT_NUMBER}, 5},
	{{"state", "STATE", TEXT_STATE}, 3},
	{{"opened", "AGE", TEXT_AGE}, 7},
	{{"committed", "COMMITTED", TEXT_BYTES}, 1},
	{{"resident", "RESIDENT", TEXT_BYTES}, 1},
	{{"private", "PRIVATE", TEXT_BYTES}, 4},
	{{"rate", "RATE/S", TEXT_PLAIN}, 2},
	{{"unit", "UNIT", TEXT_PLAIN}, 8},
};
#define COLUMNS (sizeof columns / sizeof *columns)
#define RANKS   9

/* Of a text so much is measured. Of names so much is shown before any column is left out, or before
 * one that is seldom looked at is: those from SELDOM on. */
#define TEXT_MAX       32
#define NAME_MIN       8
#define NAME_PREFERRED 20
#define SELDOM         3

/* Before each line, whether it is selected. */
#define GUTTER 2

/* Around the rows: the summary, the titles; the keys. */
#define LINES_ABOVE 2
#define LINES_BELOW 1

struct widths {
	size_t of[COLUMNS]; /* 0: it is not shown */
};

static bool is_right(size_t i)
{
	enum text_kind kind = columns[i].column.kind;

	return kind != TEXT_PLAIN && kind != TEXT_STATE;
}

static void cell_text(
	const struct ctl *ctl, size_t i, const struct json_object *vm, char ret[static TEXT_SIZE])
{
	text_of_value(ctl, columns[i].column.kind, json_get(vm, columns[i].column.member), ret,
		TEXT_SIZE);
}

static size_t sum(const struct widths *widths)
{
	size_t all = GUTTER;

	for (size_t i = 0; i < COLUMNS; i++)
		all += widths->of[i] > 0 ? widths->of[i] + (i > 0) : 0;
	return all;
}

/* What there is room for. */
static void choose_columns(struct widths *widths, size_t room)
{
	size_t name = widths->of[0];

	for (unsigned rank = RANKS; rank-- > 1;) {
		size_t least = rank >= SELDOM ? NAME_PREFERRED : NAME_MIN;

		widths->of[0] = name < least ? name : least;
		for (size_t i = 0; i < COLUMNS && sum(widths) > room; i++) {
			if (columns[i].rank == rank)
				widths->of[i] = 0;
		}
	}
	while (widths->of[0] < name && sum(widths) < room)
		widths->of[0]++;
}

static void measure(const struct ctl *ctl, struct json_object *const *rows, size_t count,
	size_t room, struct widths *ret)
{
	char text[TEXT_SIZE];

	for (size_t i = 0; i < COLUMNS; i++) {
		size_t limit = is_right(i) ? room : TEXT_MAX;

		ret->of[i] = strlen(columns[i].column.title);
		for (size_t row = 0; row < count; row++) {
			size_t width;

			cell_text(ctl, i, rows[row], text);
			width = frame_width(text);
			if (width > limit)
				width = limit;
			if (width > ret->of[i])
				ret->of[i] = width;
		}
	}
	choose_columns(ret, room);
}

static void draw_title(struct frame *frame, const struct widths *widths)
{
	frame_text(frame, STYLE_PLAIN, "  ");
	for (size_t i = 0; i < COLUMNS; i++) {
		if (widths->of[i] == 0)
			continue;
		if (i > 0)
			frame_text(frame, STYLE_PLAIN, " ");
		frame_cell(frame, STYLE_TITLE, columns[i].column.title, widths->of[i], is_right(i));
	}
	frame_line_end(frame);
}

static enum frame_style style_of(size_t i, const char *text, bool selected)
{
	if (selected)
		return STYLE_SELECTED;
	if (columns[i].column.kind != TEXT_STATE)
		return STYLE_PLAIN;
	if (strcmp(text, "running") == 0)
		return STYLE_GREEN;
	return strcmp(text, "released") == 0 ? STYLE_FAINT : STYLE_YELLOW;
}

static void draw_row(const struct ctl *ctl, struct frame *frame, const struct widths *widths,
	const struct json_object *vm, bool selected)
{
	enum frame_style between = selected ? STYLE_SELECTED : STYLE_PLAIN;
	char text[TEXT_SIZE];

	frame_text(frame, between, selected ? "> " : "  ");
	for (size_t i = 0; i < COLUMNS; i++) {
		if (widths->of[i] == 0)
			continue;
		cell_text(ctl, i, vm, text);
		if (i > 0)
			frame_text(frame, between, " ");
		frame_cell(frame, style_of(i, text, selected), text, widths->of[i], is_right(i));
	}
	frame_line_end(frame);
}

/* The one that was, wherever it is now; or who is at its place. */
static void follow_selected(struct list *list, struct json_object *const *rows)
{
	for (size_t i = 0; list->selected[0] && i < list->count; i++) {
		if (strcmp(json_get_string(rows[i], "vm"), list->selected) == 0) {
			list->at = i;
			return;
		}
	}
	if (list->at >= list->count)
		list->at = list->count > 0 ? list->count - 1 : 0;
}

static void note_selected(struct list *list, struct json_object *const *rows)
{
	snprintf(list->selected, sizeof list->selected, "%s",
		list->count > 0 ? json_get_string(rows[list->at], "vm") : "");
}

/* So that the selected one is among those that are shown, and no line is empty that need not be. */
static void scroll(struct list *list)
{
	if (list->at < list->first)
		list->first = list->at;
	if (list->page > 0 && list->at >= list->first + list->page)
		list->first = list->at - list->page + 1;
	if (list->first + list->page > list->count)
		list->first = list->count > list->page ? list->count - list->page : 0;
}

static void draw_summary(const struct ctl *ctl, const struct view *view, const struct list *list,
	struct frame *frame)
{
	char text[TEXT_SIZE], part[TEXT_SIZE];

	view_summary(view, text, sizeof text);
	snprintf(part, sizeof part, ", by %s%s", orders[ctl->sort].name,
		ctl->reverse ? " reversed" : "");
	frame_text(frame, STYLE_PLAIN, text);
	frame_text(frame, STYLE_PLAIN, part);
	if (list->filter[0] && !list->editing) {
		snprintf(part, sizeof part, ", %zu fit /%s", list->count, list->filter);
		frame_text(frame, STYLE_YELLOW, part);
	}
	frame_line_end(frame);
}

static void draw_foot(const struct list *list, struct frame *frame)
{
	char text[TEXT_SIZE];

	if (list->editing) {
		snprintf(text, sizeof text, "/%s_", list->filter);
		frame_text(frame, STYLE_TITLE, text);
		return;
	}
	frame_text(frame, STYLE_FAINT, "h help, / filter, Enter map, q quit");
	if (list->count > list->page) {
		snprintf(text, sizeof text, "  %zu-%zu of %zu", list->first + 1,
			list->first + list->page, list->count);
		frame_text(frame, STYLE_PLAIN, text);
	}
}

static void draw_rows(const struct ctl *ctl, const struct list *list,
	struct json_object *const *rows, struct frame *frame)
{
	size_t shown =
		list->count - list->first < list->page ? list->count - list->first : list->page;
	struct widths widths;

	measure(ctl, rows + list->first, shown, frame->columns, &widths);
	draw_title(frame, &widths);
	for (size_t i = list->first; i < list->first + shown; i++)
		draw_row(ctl, frame, &widths, rows[i], /* selected= */ i == list->at);
	if (list->count == 0) {
		frame_text(frame, STYLE_FAINT, list->filter[0] ? "  none fits" : "  none");
		frame_line_end(frame);
	}
}

void list_draw(
	const struct ctl *ctl, const struct view *view, struct list *list, struct frame *frame)
{
	struct json_object **rows = view_rows(ctl, view, list->filter, &list->count);
	size_t left = frame_rows_left(frame);

	if (!rows)
		return;
	list->page = left > LINES_ABOVE + LINES_BELOW ? left - LINES_ABOVE - LINES_BELOW : 0;
	follow_selected(list, rows);
	note_selected(list, rows);
	scroll(list);
	draw_summary(ctl, view, list, frame);
	draw_rows(ctl, list, rows, frame);
	frame_leave(frame, LINES_BELOW);
	draw_foot(list, frame);
	free(rows);
}

/* A character may be of several bytes. */
static void delete_character(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && (text[length - 1] & 0xc0) == 0x80)
		length--;
	if (length > 0)
		text[length - 1] = '\0';
}

static bool edit_filter(struct list *list, int key)
{
	size_t length = strlen(list->filter);

	if (key == KEY_ENTER || key == KEY_ESCAPE) {
		list->editing = false;
		if (key == KEY_ESCAPE)
			list->filter[0] = '\0';
	} else if (key == KEY_BACKSPACE) {
		delete_character(list->filter);
	} else if (key >= ' ' && key < KEY_SPECIAL && length + 1 < sizeof list->filter) {
		list->filter[length] = (char)key;
		list->filter[length + 1] = '\0';
	}
	return true;
}

/* By so many lines; it stays within the list. */
static void move(const struct ctl *ctl, const struct view *view, struct list *list, ssize_t lines)
{
	struct json_object **rows = view_rows(ctl, view, list->filter, &list->count);
	ssize_t last = (ssize_t)list->count - 1, at = (ssize_t)list->at + lines;

	if (!rows)
		return;
	if (at > last)
		at = last;
	list->at = at < 0 ? 0 : (size_t)at;
	note_selected(list, rows);
	free(rows);
}

bool list_key(const struct ctl *ctl, const struct view *view, struct list *list, int key)
{
	ssize_t page = list->page > 1 ? (ssize_t)list->page - 1 : 1;
	static const ssize_t all = 1 << 30;

	if (list->editing)
		return edit_filter(list, key);
	if (key == '/')
		list->editing = true;
	else if (key == KEY_ESCAPE)
		list->filter[0] = '\0';
	else if (key == KEY_UP || key == 'k')
		move(ctl, view, list, -1);
	else if (key == KEY_DOWN || key == 'j')
		move(ctl, view, list, 1);
	else if (key == KEY_PAGE_UP)
		move(ctl, view, list, -page);
	else if (key == KEY_PAGE_DOWN || key == ' ')
		move(ctl, view, list, page);
	else if (key == KEY_HOME || key == 'g')
		move(ctl, view, list, -all);
	else if (key == KEY_END || key == 'G')
		move(ctl, view, list, all);
	else
		return false;
	return true;
}
