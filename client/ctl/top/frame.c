/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames. See frame.h. Control sequences are those of ECMA-48.
 */
#include "client/ctl/top/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "client/ctl/table.h"

static const char *const styles[] = {
	[STYLE_PLAIN] = "",
	[STYLE_TITLE] = "\033[1m",
	[STYLE_SELECTED] = "\033[7m",
	[STYLE_FAINT] = "\033[2m",
	[STYLE_RED] = "\033[31m",
	[STYLE_GREEN] = "\033[32m",
	[STYLE_YELLOW] = "\033[33m",
	[STYLE_BLUE] = "\033[34m",
	[STYLE_MAGENTA] = "\033[35m",
	[STYLE_CYAN] = "\033[36m",
};

int frame_begin(struct frame *frame, size_t rows, size_t columns)
{
	*frame = (struct frame){.rows = rows, .columns = columns, .colours = table_colours()};
	frame->file = open_memstream(&frame->bytes, &frame->length);
	if (!frame->file)
		return -ENOMEM;
	fputs("\033[H", frame->file);
	return 0;
}

void frame_end(struct frame *frame)
{
	fputs("\033[J", frame->file);
	if (fclose(frame->file) == 0)
		fwrite(frame->bytes, frame->length, 1, stdout);
	fflush(stdout);
	free(frame->bytes);
}

size_t frame_rows_left(const struct frame *frame)
{
	return frame->rows - frame->row;
}

/* The next character's bytes, 0 at the end, and its width: "?" stands for what is none. */
static size_t next_character(const char *text, size_t *ret_width)
{
	wchar_t character;
	mbstate_t state = {0};
	size_t length = mbrtowc(&character, text, MB_CUR_MAX, &state);
	int width;

	if (length == (size_t)-1 || length == (size_t)-2) {
		*ret_width = 1;
		return 1;
	}
	width = wcwidth(character);
	*ret_width = width < 0 ? 1 : (size_t)width;
	return length;
}

/* How many of its bytes fit the width, and how wide these are. */
static size_t fit(const char *text, size_t width, size_t *ret_width)
{
	size_t bytes = 0, length, one;

	*ret_width = 0;
	while ((length = next_character(text + bytes, &one)) > 0 && *ret_width + one <= width) {
		bytes += length;
		*ret_width += one;
	}
	return bytes;
}

size_t frame_width(const char *text)
{
	size_t width;

	fit(text, SIZE_MAX, &width);
	return width;
}

static void put(struct frame *frame, const char *text, size_t bytes)
{
	mbstate_t state = {0};
	wchar_t character;

	for (size_t i = 0, length; i < bytes; i += length) {
		length = mbrtowc(&character, text + i, bytes - i, &state);
		if (length == (size_t)-1 || length == (size_t)-2) {
			state = (mbstate_t){0};
			length = 1;
			putc('?', frame->file);
			continue;
		}
		fwrite(text + i, length, 1, frame->file);
	}
}

static void pad(struct frame *frame, size_t width)
{
	fprintf(frame->file, "%*s", (int)width, "");
}

void frame_cell(
	struct frame *frame, enum frame_style style, const char *text, size_t width, bool right)
{
	size_t left = frame->columns - frame->column, taken, bytes;

	if (frame->row >= frame->rows)
		return;
	if (width > left)
		width = left;
	bytes = fit(text, width, &taken);
	if (frame->colours)
		fputs(styles[style], frame->file);
	if (right)
		pad(frame, width - taken);
	put(frame, text, bytes);
	if (!right)
		pad(frame, width - taken);
	if (frame->colours && style != STYLE_PLAIN)
		fputs("\033[m", frame->file);
	frame->column += width;
}

void frame_text(struct frame *frame, enum frame_style style, const char *text)
{
	frame_cell(frame, style, text, frame_width(text), /* right= */ false);
}

/* In the last column the cursor would wait for the next character, and clear that one. */
void frame_line_end(struct frame *frame)
{
	if (frame->row >= frame->rows)
		return;
	if (frame->column < frame->columns)
		fputs("\033[K", frame->file);
	frame->row++;
	frame->column = 0;
	if (frame->row < frame->rows)
		fputs("\r\n", frame->file);
}

void frame_leave(struct frame *frame, size_t rows)
{
	while (frame_rows_left(frame) > rows)
		frame_line_end(frame);
}
