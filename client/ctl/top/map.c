/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps. See map.h.
 */
#include "client/ctl/top/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/top/screen.h"
#include "protocol/error.h"
#include "protocol/json.h"

/* Of what a cell shows. */
enum cell_flags {
	CELL_BOUND = 1 << 0,
	CELL_RESIDENT = 1 << 1, /* pages of some of it at least */
	CELL_PRIVATE = 1 << 2,
	CELL_MAPPED = 1 << 3, /* through the VMM's mapping */
	CELL_LOGGED = 1 << 4,
	CELL_OWN = 1 << 5, /* the VMM's own memory */
	CELL_CHANGING = 1 << 6,
};

/* What is shown of a cell is the first that it has. */
static const struct sign {
	unsigned flags;
	const char *character;
	enum frame_style style;
	const char *name;
} signs[] = {
	{CELL_CHANGING, "?", STYLE_YELLOW, "changing"},
	{CELL_LOGGED, "L", STYLE_MAGENTA, "dirty-logged"},
	{CELL_PRIVATE | CELL_RESIDENT, "P", STYLE_CYAN, "private"},
	{CELL_PRIVATE, "p", STYLE_CYAN, "private, not resident"},
	{CELL_MAPPED, "M", STYLE_BLUE, "mapped"},
	{CELL_OWN, "o", STYLE_FAINT, "VMM's own"},
	{CELL_BOUND | CELL_RESIDENT, "#", STYLE_GREEN, "resident"},
	{CELL_BOUND, "-", STYLE_PLAIN, "bound"},
	{0, ".", STYLE_FAINT, "nothing"},
};
#define SIGNS (sizeof signs / sizeof *signs)

/* An address, and a space behind it. */
#define ADDRESS_WIDTH 13

/* As many of a memory's as gmemd tells of. */
#define PARTS 1024

/* Cells are of whole pages. */
#define CELL_MIN 4096

struct cells {
	unsigned char *flags;
	size_t count;
	uint64_t start, size; /* of the first, of each: bytes */
};

static uint64_t member(const struct json_object *object, const char *name)
{
	uint64_t number = 0;

	json_get_uint(object, name, &number);
	return number;
}

void map_open(struct map *map, const char *id)
{
	map_close(map);
	snprintf(map->id, sizeof map->id, "%s", id);
}

void map_close(struct map *map)
{
	json_unref(map->vm);
	*map = (struct map){.vm = NULL};
}

static uint64_t end_of(const struct json_object *slots)
{
	uint64_t end = 0;

	for (size_t i = 0; i < json_length(slots); i++) {
		const struct json_object *slot = json_at(slots, i);
		uint64_t to = member(slot, "guest_phys_addr") + member(slot, "memory_size");

		if (to > end)
			end = to;
	}
	return end;
}

/* Where in the memory its pages are. One that is closed meanwhile is none. */
static enum ctl_status add_memory_parts(struct ctl *ctl, struct json_object *memory)
{
	struct json_object *params = json_new_object(), *parts = NULL;
	int r;

	json_add_uint(params, "memory", member(memory, "memory"));
	json_add_uint(params, "parts", PARTS);
	r = request_try(ctl, "memory.residency", params, &parts);
	if (r < 0 && r != -EREMOTEIO)
		return report_call(ctl, r);
	if (r == 0)
		json_add(memory, "residency", parts);
	return CTL_DONE;
}

static enum ctl_status add_parts(struct ctl *ctl, struct json_object *memories)
{
	enum ctl_status status = CTL_DONE;

	for (size_t i = 0; status == CTL_DONE && i < json_length(memories); i++) {
		if (member(json_at(memories, i), "resident") > 0)
			status = add_memory_parts(ctl, json_at(memories, i));
	}
	return status;
}

enum ctl_status map_renew(struct ctl *ctl, struct map *map)
{
	struct json_object *vm = NULL;
	enum ctl_status status = request_vm_of_id(ctl, map->id, &vm);

	if (status != CTL_DONE)
		return status;
	json_unref(map->vm);
	map->vm = vm;
	map->end = end_of(json_get(vm, "slots"));
	return vm ? add_parts(ctl, json_get(vm, "memories")) : CTL_DONE;
}

/* What has it */

static void mark(struct cells *cells, uint64_t start, uint64_t size, unsigned flags)
{
	uint64_t end = start + size, cells_end = cells->start + cells->count * cells->size;
	size_t first, last;

	if (size == 0 || end <= cells->start || start >= cells_end)
		return;
	first = start > cells->start ? (size_t)((start - cells->start) / cells->size) : 0;
	last = end < cells_end ? (size_t)((end - 1 - cells->start) / cells->size)
			       : cells->count - 1;
	for (size_t i = first; i <= last; i++)
		cells->flags[i] |= (unsigned char)flags;
}

static const struct json_object *memory_of(
	const struct json_object *memories, const struct json_object *slot)
{
	uint64_t id = member(slot, "memory");

	for (size_t i = 0; i < json_length(memories); i++) {
		if (member(json_at(memories, i), "memory") == id)
			return json_at(memories, i);
	}
	return NULL;
}

static bool has_flag(const struct json_object *slot, const char *flag)
{
	const struct json_object *flags = json_get(slot, "flags");

	for (size_t i = 0; i < json_length(flags); i++) {
		if (strcmp(json_string(json_at(flags, i)), flag) == 0)
			return true;
	}
	return false;
}

static unsigned flags_of(const struct json_object *slot)
{
	unsigned flags = CELL_BOUND;

	if (!json_get(slot, "memory"))
		flags |= CELL_OWN;
	if (strcmp(json_get_string(slot, "through"), "mapping") == 0)
		flags |= CELL_MAPPED;
	if (has_flag(slot, "log_dirty_pages"))
		flags |= CELL_LOGGED;
	if (strcmp(json_get_string(slot, "state"), "bound") != 0)
		flags |= CELL_CHANGING;
	return flags;
}

/* Of a memory's parts, from its beginning, those with pages; they are all as long. */
static void mark_resident(
	struct cells *cells, const struct json_object *memory, const struct json_object *slot)
{
	const struct json_object *residency = json_get(memory, "residency");
	const struct json_object *parts = json_get(residency, "parts");
	uint64_t offset = member(slot, "guest_memfd_offset");
	uint64_t address = member(slot, "guest_phys_addr"), size = member(slot, "memory_size");
	uint64_t length = member(residency, "part_size"), pages = 0;

	for (size_t i = 0; length > 0 && i < json_length(parts); i++) {
		uint64_t from = i * length, to = from + length;

		if (!json_uint(json_at(parts, i), &pages) || pages == 0)
			continue;
		from = from > offset ? from - offset : 0;
		to = to > offset ? to - offset : 0;
		if (to > size)
			to = size;
		if (from < to)
			mark(cells, address + from, to - from, CELL_RESIDENT);
	}
}

static void mark_slots(struct cells *cells, const struct json_object *vm)
{
	const struct json_object *slots = json_get(vm, "slots");
	const struct json_object *memories = json_get(vm, "memories");

	for (size_t i = 0; i < json_length(slots); i++) {
		const struct json_object *slot = json_at(slots, i);

		mark(cells, member(slot, "guest_phys_addr"), member(slot, "memory_size"),
			flags_of(slot));
		mark_resident(cells, memory_of(memories, slot), slot);
	}
}

static void mark_private(struct cells *cells, const struct json_object *vm)
{
	const struct json_object *ranges = json_get(vm, "private_ranges");

	for (size_t i = 0; i < json_length(ranges); i++)
		mark(cells, member(json_at(ranges, i), "guest_phys_addr"),
			member(json_at(ranges, i), "size"), CELL_PRIVATE);
}

/* How it is drawn */

static const struct sign *sign_of(unsigned flags)
{
	for (size_t i = 0; i < SIGNS - 1; i++) {
		if ((flags & signs[i].flags) == signs[i].flags)
			return &signs[i];
	}
	return &signs[SIGNS - 1];
}

static void draw_line(struct frame *frame, const struct cells *cells, size_t first, size_t count)
{
	char address[32];

	snprintf(address, sizeof address, "%012" PRIx64,
		cells->start + (uint64_t)first * cells->size);
	frame_cell(frame, STYLE_FAINT, address, ADDRESS_WIDTH, /* right= */ false);
	for (size_t i = first; i < first + count; i++) {
		const struct sign *sign = sign_of(cells->flags[i]);

		frame_text(frame, sign->style, sign->character);
	}
	frame_line_end(frame);
}

/* A power of two, so that addresses are round, and all of it fits at no zoom. */
static uint64_t cell_size(const struct map *map, size_t cells)
{
	uint64_t size = CELL_MIN;

	while (cells > 0 && size * cells < map->end && size < UINT64_C(1) << 52)
		size <<= 1;
	size >>= map->zoom < 52 ? map->zoom : 52;
	return size < CELL_MIN ? CELL_MIN : size;
}

static void draw_cells(struct map *map, struct frame *frame, size_t rows)
{
	size_t columns = frame->columns > ADDRESS_WIDTH ? frame->columns - ADDRESS_WIDTH : 1;
	struct cells cells = {.count = rows * columns};
	uint64_t whole;

	cells.flags = calloc(cells.count + 1, 1);
	if (!cells.flags || rows == 0) {
		free(cells.flags);
		return;
	}
	cells.size = cell_size(map, cells.count);
	map->line = cells.size * columns;
	map->page = rows;
	whole = (map->end + map->line - 1) / map->line;
	if (map->first / map->line + rows > whole)
		map->first = whole > rows ? (whole - rows) * map->line : 0;
	map->first -= map->first % map->line;
	cells.start = map->first;
	mark_slots(&cells, map->vm);
	mark_private(&cells, map->vm);
	for (size_t row = 0; row < rows && cells.start + row * map->line < map->end; row++)
		draw_line(frame, &cells, row * columns, columns);
	free(cells.flags);
}

static void draw_head(const struct ctl *ctl, const struct map *map, struct frame *frame)
{
	static const char *const members[] = {"committed", "resident", "private"};
	char text[TEXT_SIZE], number[32];

	snprintf(text, sizeof text, "%s (%s)", json_get_string(map->vm, "name"), map->id);
	frame_text(frame, STYLE_TITLE, text);
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		text_of_value(
			ctl, TEXT_BYTES, json_get(map->vm, members[i]), number, sizeof number);
		snprintf(text, sizeof text, ", %s %s", members[i], number);
		frame_text(frame, STYLE_PLAIN, text);
	}
	frame_line_end(frame);
}

/* As many lines as it takes. */
static size_t legend_lines(size_t columns)
{
	size_t lines = 1, column = 0;

	for (size_t i = 0; i < SIGNS; i++) {
		size_t width = 2 + strlen(signs[i].name) + 2;

		if (column > 0 && column + width > columns) {
			lines++;
			column = 0;
		}
		column += width;
	}
	return lines;
}

static void draw_legend(struct frame *frame)
{
	for (size_t i = 0; i < SIGNS; i++) {
		if (frame->column > 0 &&
			frame->column + 2 + strlen(signs[i].name) + 2 > frame->columns)
			frame_line_end(frame);
		frame_text(frame, signs[i].style, signs[i].character);
		frame_text(frame, STYLE_PLAIN, " ");
		frame_text(frame, STYLE_FAINT, signs[i].name);
		frame_text(frame, STYLE_PLAIN, "  ");
	}
	frame_line_end(frame);
}

static void draw_foot(const struct map *map, struct frame *frame)
{
	char text[TEXT_SIZE], size[32];

	text_of_size(map->line, size, sizeof size);
	snprintf(text, sizeof text, "a line is %s; + - closer, Esc back", size);
	frame_text(frame, STYLE_FAINT, text);
}

/* On a small terminal the legend is in the help alone. */
static bool has_legend(const struct frame *frame)
{
	return frame->rows >= 16 && frame->columns >= 60;
}

void map_draw(const struct ctl *ctl, struct map *map, struct frame *frame)
{
	size_t below = 1 + (has_legend(frame) ? legend_lines(frame->columns) : 0);

	draw_head(ctl, map, frame);
	if (map->end == 0) {
		frame_text(frame, STYLE_FAINT, "nothing is bound");
		frame_line_end(frame);
	} else if (frame_rows_left(frame) > below) {
		draw_cells(map, frame, frame_rows_left(frame) - below);
	}
	frame_leave(frame, below);
	if (has_legend(frame))
		draw_legend(frame);
	draw_foot(map, frame);
}

/* By so many lines; map_draw() keeps it within what there is. */
static void scroll(struct map *map, int64_t lines)
{
	uint64_t bytes = (uint64_t)(lines < 0 ? -lines : lines) * map->line;

	if (lines < 0)
		map->first = map->first > bytes ? map->first - bytes : 0;
	else
		map->first = map->end - map->first > bytes ? map->first + bytes : map->end;
}

static void zoom(struct map *map, int by)
{
	if (by > 0 && map->line > 0 && map->zoom < 40)
		map->zoom++;
	if (by < 0 && map->zoom > 0)
		map->zoom--;
}

bool map_key(struct map *map, int key)
{
	int64_t page = map->page > 1 ? (int64_t)map->page - 1 : 1;

	if (key == KEY_ESCAPE || key == KEY_BACKSPACE || key == KEY_LEFT)
		map_close(map);
	else if (key == '+' || key == '=')
		zoom(map, 1);
	else if (key == '-')
		zoom(map, -1);
	else if (key == KEY_UP || key == 'k')
		scroll(map, -1);
	else if (key == KEY_DOWN || key == 'j')
		scroll(map, 1);
	else if (key == KEY_PAGE_UP)
		scroll(map, -page);
	else if (key == KEY_PAGE_DOWN || key == ' ')
		scroll(map, page);
	else if (key == KEY_HOME || key == 'g')
		map->first = 0;
	else if (key == KEY_END || key == 'G')
		map->first = map->end;
	else
		return false;
	return true;
}
