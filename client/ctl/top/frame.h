/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames: what the terminal shows, made line by line and shown at once. Nothing is ever wider or
 * higher than the terminal is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum frame_style {
	STYLE_PLAIN,
	STYLE_TITLE,
	STYLE_SELECTED,
	STYLE_FAINT,
	STYLE_RED,
	STYLE_GREEN,
	STYLE_YELLOW,
	STYLE_BLUE,
	STYLE_MAGENTA,
	STYLE_CYAN,
};

struct frame {
	FILE *file;
	char *bytes;
	size_t length;
	size_t rows, columns; /* of the terminal */
	size_t row, column;   /* of what comes next */
	bool colours;
};

/* -ENOMEM. */
int frame_begin(struct frame *frame, size_t rows, size_t columns);
/* Shows it. */
void frame_end(struct frame *frame);

/* How many lines there are still. */
size_t frame_rows_left(const struct frame *frame);
/* Columns that text takes on a terminal. */
size_t frame_width(const char *text);

/* In the line that there is; text is cut at the width, and padded, to the right or to the left. */
void frame_cell(
	struct frame *frame, enum frame_style style, const char *text, size_t width, bool right);
/* As wide as it is. */
void frame_text(struct frame *frame, enum frame_style style, const char *text);
/* The line is done; what is right of it is empty. */
void frame_line_end(struct frame *frame);
/* Empty lines, until so many are left. */
void frame_leave(struct frame *frame, size_t rows);
