/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ledgers. See ledger.h, and ledger_format.h for what is in the file.
 *
 * A record is never written over. What a transaction changes it writes beside what there is, and
 * one store in the header makes all of it count. The order of the stores, of a transaction that
 * changes record 7, which is in cell 2, with cell 5 free:
 *
 *  1. cell 5's sequence becomes committed + 1: whoever opens the file takes it for pending from
 *     then on. Its bytes follow, and last its tag, with a checksum.
 *     (ledger_put(), ledger_delete(); as often as there are records to change.)
 *  2. the header's committed becomes committed + 1, one aligned 8-byte store. (ledger_commit().)
 *  3. the tag of cell 2 says that it is free. A deleted record's new cell is a tombstone, which is
 *     freed after what it supersedes: else the old record would come back.
 *
 *  | killed before   | who opens the file finds                                        |
 *  | 1 is done       | cell 5 free, torn or pending: none of them counts; record 7 old |
 *  | 2 is done       | cell 5 whole, and pending: record 7 as it was                   |
 *  | 3 is done       | both committed: the higher sequence counts, record 7 is new     |
 *  | the next        | cell 5 current, cell 2 free                                     |
 *
 * Opening writes nothing, so that it can be killed, too, and that two may look. Before it writes
 * for the first time, a new writer erases what is pending and frees what is superseded
 * (free_leftovers()); each of these is one store, and can be done again.
 *
 * What the processor may reorder matters to nobody: of a writer that is killed another process
 * sees all stores, or a first part of them in their order. The fences keep the compiler to it.
 */
#include "kernel/store/ledger.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "kernel/store/ledger_format.h"

/* What is mapped of a file with few cells: a whole number of pages of any size that there is. */
#define WINDOW (64u << 10)

/* A record's cells, each plus one; 0: none. */
struct ledger_entry {
	uint32_t current, pending;
};

struct numbers {
	uint32_t *of;
	uint32_t count, room;
};

struct ledger {
	int fd;
	struct ledger_header *header; /* as much of the file is behind it */
	uint64_t length;
	bool copied;  /* header is a copy: nothing is mapped before anything is changed */
	void *window; /* what was mapped of it before; NULL: nothing */
	uint32_t record_size, capacity; /* what the header said when it was checked */
	uint32_t cells_end;             /* those from here on were never used */
	uint64_t committed;
	struct ledger_entry *entries;
	uint32_t n_entries, entries_room;
	struct numbers free_cells; /* has room for all below cells_end */
	struct numbers changed; /* indexes, since the last commit; a few of them more than once */
	uint32_t lowest_free;   /* no record below is free */
	bool leftovers;         /* a writer before may have left what it didn't finish */
};

static struct ledger_cell *cell_at(const struct ledger *ledger, uint32_t cell)
{
	uint64_t offset = cell * ledger_cell_size(ledger->record_size);

	return (struct ledger_cell *)((unsigned char *)(ledger->header + 1) + offset);
}

/* How many of them end in the first bytes of the file. */
static uint64_t cells_within(const struct ledger *ledger, uint64_t length)
{
	return (length - sizeof *ledger->header) / ledger_cell_size(ledger->record_size);
}

static bool cell_whole(const struct ledger *ledger, const struct ledger_cell *cell)
{
	return ledger_cell_whole(cell, ledger->record_size, ledger->capacity);
}

/* Numbers */

static int numbers_reserve(struct numbers *numbers, uint32_t room)
{
	uint32_t *of;

	if (room <= numbers->room)
		return 0;
	room += room / 4;
	of = reallocarray(numbers->of, room, sizeof *of);
	if (!of)
		return -ENOMEM;
	numbers->of = of;
	numbers->room = room;
	return 0;
}

static void numbers_push(struct numbers *numbers, uint32_t number)
{
	numbers->of[numbers->count++] = number;
}

/* The entry of that index exists from then on. */
static int entries_reserve(struct ledger *ledger, uint32_t index)
{
	struct ledger_entry *entries = ledger->entries;
	uint32_t room = index + 1 + index / 4;

	if (index >= ledger->entries_room) {
		entries = reallocarray(entries, room, sizeof *entries);
		if (!entries)
			return -ENOMEM;
		memset(entries + ledger->entries_room, 0,
			(room - ledger->entries_room) * sizeof *entries);
		ledger->entries = entries;
		ledger->entries_room = room;
	}
	if (index >= ledger->n_entries)
		ledger->n_entries = index + 1;
	return 0;
}

/* Making */

static int map_file(int fd, uint64_t length, struct ledger *ledger)
{
	void *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED)
		return -errno;
	ledger->header = bytes;
	ledger->length = length;
	return 0;
}

static uint64_t whole_length(const struct ledger *ledger)
{
	return ledger_file_length(ledger->record_size, ledger->capacity);
}

static struct ledger *ledger_allocate(uint32_t record_size, uint32_t capacity)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);

	if (!ledger)
		return NULL;
	ledger->fd = -1;
	ledger->record_size = record_size;
	ledger->capacity = capacity;
	return ledger;
}

/* With those cells in reach that were used. Where they are few all of the file is not mapped, which
 * would have page tables of its own. */
static int ledger_map(int fd, struct ledger *ledger)
{
	uint64_t length = whole_length(ledger);

	if (length > WINDOW && ledger->cells_end <= cells_within(ledger, WINDOW))
		length = WINDOW;
	return map_file(fd, length, ledger);
}

/* Who has been given a place in the window may look there still: it stays as it is. */
static int reach_cell(struct ledger *ledger, uint32_t cell)
{
	void *window = ledger->header;
	int r;

	if (cell < cells_within(ledger, ledger->length))
		return 0;
	r = map_file(ledger->fd, whole_length(ledger), ledger);
	if (r == 0)
		ledger->window = window;
	return r;
}

int ledger_new_of(uint32_t version, const char *name, uint32_t record_size, uint32_t capacity,
	struct ledger **ret)
{
	cleanup_fd int fd = -1;
	struct ledger *ledger = NULL;
	int r;

	if (!ledger_sizes_valid(record_size, capacity))
		return -EINVAL;
	r = memory_file_create_memfd(name, ledger_file_length(record_size, capacity), &fd);
	if (r < 0)
		return r;
	ledger = ledger_allocate(record_size, capacity);
	if (!ledger)
		return -ENOMEM;
	r = ledger_map(fd, ledger);
	if (r < 0) {
		free(ledger);
		return r;
	}
	*ledger->header = ledger_header_new(version, record_size, capacity);
	ledger->fd = fd;
	fd = -1; /* handed over */
	*ret = ledger;
	return 0;
}

int ledger_new(const char *name, uint32_t record_size, uint32_t capacity, struct ledger **ret)
{
	return ledger_new_of(LEDGER_VERSION_FIRST, name, record_size, capacity, ret);
}

static void let_go(struct ledger *ledger)
{
	if (ledger->copied)
		free(ledger->header);
	else if (ledger->header)
		munmap(ledger->header, ledger->length);
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return NULL;
	let_go(ledger);
	if (ledger->window)
		munmap(ledger->window, WINDOW);
	fd_close(ledger->fd);
	free(ledger->entries);
	free(ledger->free_cells.of);
	free(ledger->changed.of);
	free(ledger);
	return NULL;
}

/* Opening */

static int read_committed(struct ledger *ledger, uint32_t number)
{
	const struct ledger_cell *cell = cell_at(ledger, number), *other;
	uint32_t index = ledger_tag_index(cell->tag);
	struct ledger_entry *entry;
	int r;

	if (!cell_whole(ledger, cell))
		return -EBADMSG;
	if (ledger_tag_length(cell->tag) == LEDGER_FREE)
		return 0;
	r = entries_reserve(ledger, index);
	if (r < 0)
		return r;
	entry = &ledger->entries[index];
	other = entry->current > 0 ? cell_at(ledger, entry->current - 1) : NULL;
	if (other && other->sequence == cell->sequence)
		return -EBADMSG;
	if (!other || other->sequence < cell->sequence)
		entry->current = number + 1;
	return 0;
}

static int read_cells(struct ledger *ledger)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < ledger->cells_end; i++) {
		const struct ledger_cell *cell = cell_at(ledger, i);

		if (cell->sequence == 0)
			r = cell->tag == 0 ? 0 : -EBADMSG;
		else if (cell->sequence <= ledger->committed)
			r = read_committed(ledger, i);
		else
			r = cell->sequence == ledger->committed + 1 ? 0 : -EBADMSG;
	}
	return r;
}

/* What the first read of a file takes: mostly all that was used of it. */
union beginning {
	struct ledger_header header;
	unsigned char bytes[4096];
};

/* Who takes over thousands of ledgers, to read each once, reads them faster than it maps them and
 * has their pages brought in. */
static int copy_file(int fd, const union beginning *beginning, size_t used, struct ledger *ledger)
{
	size_t first = used < sizeof *beginning ? used : sizeof *beginning;
	cleanup_free unsigned char *copy = malloc(used);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, beginning, first);
	if (used > first &&
		pread(fd, copy + first, used - first, (off_t)first) != (ssize_t)(used - first))
		return -EIO;
	ledger->header = (void *)copy;
	ledger->length = used;
	ledger->copied = true;
	copy = NULL; /* handed over */
	return 0;
}

static int reach_file(int fd, const union beginning *beginning, struct ledger *ledger)
{
	uint64_t used = sizeof beginning->header +
			ledger->cells_end * ledger_cell_size(ledger->record_size);

	return used <= WINDOW ? copy_file(fd, beginning, used, ledger) : ledger_map(fd, ledger);
}

int ledger_open(int fd, struct ledger **ret)
{
	union beginning beginning;
	const struct ledger_header *header = &beginning.header;
	struct ledger *ledger;
	int r;

	r = ledger_beginning_read(fd, &beginning, sizeof beginning);
	if (r < 0)
		return r;
	ledger = ledger_allocate(header->record_size, header->capacity);
	if (!ledger)
		return -ENOMEM;
	ledger->cells_end = ledger_header_end(header);
	ledger->committed = ledger_header_committed(header);
	ledger->leftovers = true;
	r = reach_file(fd, &beginning, ledger);
	if (r == 0)
		r = read_cells(ledger);
	if (r < 0) {
		ledger_free(ledger);
		return r;
	}
	ledger->fd = fd;
	*ret = ledger;
	return 0;
}

/* Reading */

int ledger_fd(const struct ledger *ledger)
{
	return ledger->fd;
}

uint32_t ledger_record_size(const struct ledger *ledger)
{
	return ledger->record_size;
}

uint32_t ledger_capacity(const struct ledger *ledger)
{
	return ledger->capacity;
}

uint32_t ledger_version(const struct ledger *ledger)
{
	return ledger->header->version;
}

uint32_t ledger_end(const struct ledger *ledger)
{
	return ledger->n_entries;
}

/* number: the cell's plus one, or 0. */
static int read_cell(const struct ledger *ledger, uint32_t index, uint32_t number,
	const void **ret_bytes, size_t *ret_length)
{
	const struct ledger_cell *cell;

	if (number == 0)
		return -ENOENT;
	cell = cell_at(ledger, number - 1);
	/* Of a copy, which nobody else can change, it was found out when it was made. */
	if ((!ledger->copied && !cell_whole(ledger, cell)) ||
		ledger_tag_index(cell->tag) != index || ledger_tag_length(cell->tag) == LEDGER_FREE)
		return -EBADMSG;
	if (ledger_tag_length(cell->tag) == LEDGER_TOMBSTONE)
		return -ENOENT;
	*ret_bytes = cell->bytes;
	*ret_length = ledger_tag_length(cell->tag);
	return 0;
}

int ledger_get(
	const struct ledger *ledger, uint32_t index, const void **ret_bytes, size_t *ret_length)
{
	uint32_t current = index < ledger->n_entries ? ledger->entries[index].current : 0;

	return read_cell(ledger, index, current, ret_bytes, ret_length);
}

bool ledger_may_begin_with(const struct ledger *ledger, uint32_t index, uint16_t number)
{
	uint32_t current = index < ledger->n_entries ? ledger->entries[index].current : 0;
	uint16_t first;

	if (current == 0 || ledger->record_size < sizeof first)
		return false;
	memcpy(&first, cell_at(ledger, current - 1)->bytes, sizeof first);
	return first == number;
}

int ledger_get_put(
	const struct ledger *ledger, uint32_t index, const void **ret_bytes, size_t *ret_length)
{
	uint32_t pending = index < ledger->n_entries ? ledger->entries[index].pending : 0;

	if (pending == 0)
		return ledger_get(ledger, index, ret_bytes, ret_length);
	return read_cell(ledger, index, pending, ret_bytes, ret_length);
}

/* Writing */

static bool is_current(const struct ledger *ledger, uint32_t number)
{
	uint64_t tag = cell_at(ledger, number)->tag;
	uint32_t index = ledger_tag_index(tag);

	return ledger_tag_length(tag) != LEDGER_FREE && index < ledger->n_entries &&
	       ledger->entries[index].current == number + 1;
}

/* Erases what is pending and frees what is superseded; then tombstones. */
static void free_leftovers(struct ledger *ledger)
{
	for (uint32_t i = 0; i < ledger->cells_end; i++) {
		struct ledger_cell *cell = cell_at(ledger, i);

		if (cell->sequence > ledger->committed)
			ledger_cell_erase(cell);
		else if (cell->sequence > 0 && !is_current(ledger, i))
			ledger_cell_free(cell);
	}
	for (uint32_t i = 0; i < ledger->n_entries; i++) {
		uint32_t current = ledger->entries[i].current;
		struct ledger_cell *cell = current > 0 ? cell_at(ledger, current - 1) : NULL;

		if (!cell || ledger_tag_length(cell->tag) != LEDGER_TOMBSTONE)
			continue;
		ledger_cell_free(cell);
		ledger->entries[i].current = 0;
	}
}

int ledger_drop_copy(struct ledger *ledger)
{
	void *copy = ledger->header;
	int r = ledger->copied ? ledger_map(ledger->fd, ledger) : 0;

	if (r < 0 || !ledger->copied)
		return r;
	ledger->copied = false;
	free(copy);
	return 0;
}

/* To be done before anything is written. */
static int begin_change(struct ledger *ledger)
{
	int r;

	if (!ledger->leftovers)
		return 0;
	r = numbers_reserve(&ledger->free_cells, ledger->cells_end);
	if (r == 0)
		r = ledger_drop_copy(ledger);
	if (r < 0)
		return r;
	free_leftovers(ledger);
	for (uint32_t i = ledger->cells_end; i-- > 0;) {
		if (!is_current(ledger, i))
			numbers_push(&ledger->free_cells, i);
	}
	ledger->leftovers = false;
	return 0;
}

static int take_cell(struct ledger *ledger, uint32_t *ret_cell)
{
	int r;

	if (ledger->free_cells.count > 0) {
		*ret_cell = ledger->free_cells.of[--ledger->free_cells.count];
		return 0;
	}
	r = numbers_reserve(&ledger->free_cells, ledger->cells_end + 1);
	if (r == 0)
		r = reach_cell(ledger, ledger->cells_end);
	if (r < 0)
		return r;
	*ret_cell = ledger->cells_end++;
	ledger_header_set_end(ledger->header, ledger->cells_end);
	return 0;
}

/* The record's pending cell, a new one where it has none. */
static int pending_cell(struct ledger *ledger, uint32_t index, struct ledger_cell **ret)
{
	struct ledger_entry *entry;
	uint32_t cell;
	int r = entries_reserve(ledger, index);

	if (r == 0)
		r = numbers_reserve(&ledger->changed, ledger->changed.count + 1);
	if (r < 0)
		return r;
	entry = &ledger->entries[index];
	if (entry->pending == 0) {
		r = take_cell(ledger, &cell);
		if (r < 0)
			return r;
		numbers_push(&ledger->changed, index);
		entry->pending = cell + 1;
	}
	*ret = cell_at(ledger, entry->pending - 1);
	return 0;
}

static int write_cell(struct ledger *ledger, uint32_t index, const void *bytes, size_t length)
{
	struct ledger_cell *cell;
	int r = pending_cell(ledger, index, &cell);

	if (r == 0)
		ledger_cell_write(cell, ledger->committed + 1, index, bytes, length);
	return r;
}

int ledger_put(struct ledger *ledger, uint32_t index, const void *bytes, size_t length)
{
	int r;

	if (index >= ledger->capacity || length == 0 || length > ledger->record_size)
		return -EINVAL;
	r = begin_change(ledger);
	return r < 0 ? r : write_cell(ledger, index, bytes, length);
}

static void drop_pending(struct ledger *ledger, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entries[index];

	if (entry->pending == 0)
		return;
	ledger_cell_erase(cell_at(ledger, entry->pending - 1));
	numbers_push(&ledger->free_cells, entry->pending - 1);
	entry->pending = 0;
	if (index < ledger->lowest_free)
		ledger->lowest_free = index;
}

int ledger_delete(struct ledger *ledger, uint32_t index)
{
	int r;

	if (index >= ledger->capacity)
		return -EINVAL;
	r = begin_change(ledger);
	if (r < 0 || index >= ledger->n_entries)
		return r;
	if (ledger->entries[index].current > 0)
		return write_cell(ledger, index, NULL, LEDGER_TOMBSTONE);
	drop_pending(ledger, index);
	return 0;
}

/* Its pending cell is committed. */
static void supersede(struct ledger *ledger, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entries[index];

	if (entry->pending == 0)
		return;
	if (entry->current > 0) {
		ledger_cell_free(cell_at(ledger, entry->current - 1));
		numbers_push(&ledger->free_cells, entry->current - 1);
	}
	entry->current = entry->pending;
	entry->pending = 0;
	if (ledger_tag_length(cell_at(ledger, entry->current - 1)->tag) != LEDGER_TOMBSTONE)
		return;
	ledger_cell_free(cell_at(ledger, entry->current - 1));
	numbers_push(&ledger->free_cells, entry->current - 1);
	entry->current = 0;
	if (index < ledger->lowest_free)
		ledger->lowest_free = index;
}

void ledger_commit(struct ledger *ledger)
{
	if (ledger->changed.count == 0)
		return;
	ledger->committed++;
	ledger_header_commit(ledger->header, ledger->committed);
	for (uint32_t i = 0; i < ledger->changed.count; i++)
		supersede(ledger, ledger->changed.of[i]);
	ledger->changed.count = 0;
}

void ledger_abort(struct ledger *ledger)
{
	for (uint32_t i = 0; i < ledger->changed.count; i++)
		drop_pending(ledger, ledger->changed.of[i]);
	ledger->changed.count = 0;
}

/* Neither committed nor to be committed next. */
static bool is_free(const struct ledger *ledger, uint32_t index)
{
	return index >= ledger->n_entries ||
	       (ledger->entries[index].current == 0 && ledger->entries[index].pending == 0);
}

int ledger_free_index(struct ledger *ledger, uint32_t *ret_index)
{
	int r = begin_change(ledger);

	if (r < 0)
		return r;
	while (ledger->lowest_free < ledger->capacity && !is_free(ledger, ledger->lowest_free))
		ledger->lowest_free++;
	if (ledger->lowest_free == ledger->capacity)
		return -ENOSPC;
	*ret_index = ledger->lowest_free;
	return 0;
}
