/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ledgers. See ledger.h.
 *
 * A cell says of itself what it is: of which record, how long, by which transaction. It is
 *
 *   never used   all zeroes
 *   pending      by a transaction that is not committed: as good as free for who opens the file
 *   current      the one of its record with the highest sequence number that is committed
 *   superseded   another committed one of its record, until it is freed
 *   tombstone    a record's end, current until what it supersedes is freed, then freed itself
 *   free         to be taken by a later transaction
 *
 * What a commit supersedes is freed right after it; a successor frees what a dead writer has left,
 * before it writes itself. Freeing is one store, that of the tag, so that every committed cell is
 * whole at any moment.
 */
#include "kernel/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/cleanup.h"
#include "kernel/memory_file.h"

#define LEDGER_MAGIC   0x72656764656c6d67ull /* "gmledger" */
#define LEDGER_VERSION 2
#define LEDGER_SEALS   (F_SEAL_SHRINK | F_SEAL_GROW)

struct ledger_header {
	uint64_t magic;
	uint32_t version;
	uint32_t record_size;
	uint32_t capacity;
	uint32_t end;       /* cells from here on were never used; with a check */
	uint64_t committed; /* the number of the last transaction that counts; with a check */
	uint32_t checksum;  /* of what never changes */
	uint32_t reserved[7];
};

/* Of the header's numbers that change: their bits below the check. */
#define END_BITS       21
#define COMMITTED_BITS 48

struct ledger_cell {
	uint64_t sequence; /* of the transaction that wrote it */
	uint64_t tag; /* a checksum over 13 bits of length over 19 bits of the record's index */
	unsigned char bytes[];
};

#define INDEX_BITS  19
#define LENGTH_BITS 13
/* In the place of a length. */
#define TOMBSTONE 0
#define FREE      ((1u << LENGTH_BITS) - 1)

_Static_assert(sizeof(struct ledger_header) == 64, "file format");
_Static_assert(sizeof(struct ledger_cell) == 16, "file format");
_Static_assert(LEDGER_CAPACITY_MAX <= 1u << INDEX_BITS, "file format");
_Static_assert(2 * LEDGER_CAPACITY_MAX < 1u << END_BITS, "file format");
_Static_assert(LEDGER_RECORD_SIZE_MAX < FREE, "file format");

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
	struct ledger_header *header; /* the whole file is mapped behind it */
	uint64_t length;
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

/* Checksums */

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 32;
}

static uint64_t mix_bytes(uint64_t hash, const unsigned char *bytes, size_t length)
{
	uint64_t word;

	for (; length >= sizeof word; bytes += sizeof word, length -= sizeof word) {
		memcpy(&word, bytes, sizeof word);
		hash = mix(hash, word);
	}
	word = 0;
	memcpy(&word, bytes, length);
	return mix(hash, word);
}

static uint32_t header_checksum(const struct ledger_header *header)
{
	uint64_t sizes = (uint64_t)header->record_size << 32 | header->capacity;

	return (uint32_t)mix(mix(header->magic, header->version), sizes);
}

/* A number with a check in the bits above it. */
static uint64_t checked(uint64_t number, unsigned bits)
{
	return number | mix(LEDGER_MAGIC, number) << bits;
}

static uint32_t checked_end(uint32_t end)
{
	return (uint32_t)checked(end, END_BITS);
}

static uint64_t number_in(uint64_t word, unsigned bits)
{
	return word & ((1ull << bits) - 1);
}

/* Cells */

static uint64_t cell_size(uint32_t record_size)
{
	return sizeof(struct ledger_cell) + record_size;
}

static struct ledger_cell *cell_at(const struct ledger *ledger, uint32_t cell)
{
	uint64_t offset = cell * cell_size(ledger->record_size);

	return (struct ledger_cell *)((unsigned char *)(ledger->header + 1) + offset);
}

static uint32_t tag_index(uint64_t tag)
{
	return (uint32_t)number_in(tag, INDEX_BITS);
}

static uint32_t tag_length(uint64_t tag)
{
	return (uint32_t)number_in(tag >> INDEX_BITS, LENGTH_BITS);
}

/* length may be TOMBSTONE or FREE. */
static uint64_t tag_of(
	uint64_t sequence, uint32_t index, uint32_t length, const unsigned char *bytes)
{
	uint64_t what = (uint64_t)length << INDEX_BITS | index;
	uint64_t hash = mix(mix(LEDGER_MAGIC, sequence), what);

	if (length != FREE)
		hash = mix_bytes(hash, bytes, length);
	return hash << 32 | what;
}

static bool cell_whole(const struct ledger *ledger, const struct ledger_cell *cell)
{
	uint32_t index = tag_index(cell->tag), length = tag_length(cell->tag);

	return index < ledger->capacity && (length == FREE || length <= ledger->record_size) &&
	       cell->tag == tag_of(cell->sequence, index, length, cell->bytes);
}

static void set_tag(struct ledger_cell *cell, uint64_t tag)
{
	__atomic_store_n(&cell->tag, tag, __ATOMIC_RELEASE);
}

/* What is written later must not be seen before it. */
static void set_sequence(struct ledger_cell *cell, uint64_t sequence)
{
	__atomic_store_n(&cell->sequence, sequence, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/* A committed one. */
static void cell_free(struct ledger_cell *cell)
{
	set_tag(cell, tag_of(cell->sequence, 0, FREE, NULL));
}

/* A pending one: as if it had never been used. */
static void cell_erase(struct ledger_cell *cell)
{
	set_tag(cell, 0);
	__atomic_store_n(&cell->sequence, 0, __ATOMIC_RELEASE);
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

static uint64_t file_length(uint32_t record_size, uint32_t capacity)
{
	return sizeof(struct ledger_header) + 2ull * capacity * cell_size(record_size);
}

static bool sizes_valid(uint32_t record_size, uint32_t capacity)
{
	return record_size > 0 && record_size % 8 == 0 && record_size <= LEDGER_RECORD_SIZE_MAX &&
	       capacity > 0 && capacity <= LEDGER_CAPACITY_MAX;
}

/* The fd stays the caller's. */
static int ledger_map(int fd, uint32_t record_size, uint32_t capacity, struct ledger **ret)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);
	void *bytes;

	if (!ledger)
		return -ENOMEM;
	ledger->fd = -1;
	ledger->record_size = record_size;
	ledger->capacity = capacity;
	ledger->length = file_length(record_size, capacity);
	bytes = mmap(NULL, ledger->length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED) {
		int r = -errno;

		free(ledger);
		return r;
	}
	ledger->header = bytes;
	*ret = ledger;
	return 0;
}

int ledger_new(const char *name, uint32_t record_size, uint32_t capacity, struct ledger **ret)
{
	struct ledger_header header = {.magic = LEDGER_MAGIC,
		.version = LEDGER_VERSION,
		.record_size = record_size,
		.capacity = capacity,
		.end = checked_end(0),
		.committed = checked(0, COMMITTED_BITS)};
	cleanup_fd int fd = -1;
	struct ledger *ledger;
	int r;

	if (!sizes_valid(record_size, capacity))
		return -EINVAL;
	r = memory_file_create_memfd(name, file_length(record_size, capacity), &fd);
	if (r == 0)
		r = ledger_map(fd, record_size, capacity, &ledger);
	if (r < 0)
		return r;
	header.checksum = header_checksum(&header);
	*ledger->header = header;
	ledger->fd = fd;
	fd = -1; /* handed over */
	*ret = ledger;
	return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return NULL;
	munmap(ledger->header, ledger->length);
	fd_close(ledger->fd);
	free(ledger->entries);
	free(ledger->free_cells.of);
	free(ledger->changed.of);
	free(ledger);
	return NULL;
}

/* Opening */

static int read_header(int fd, struct ledger_header *ret)
{
	struct ledger_header header;
	ssize_t length;
	int seals;

	/* A seal can't be taken back; without these the file could shrink under the mapping. */
	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & LEDGER_SEALS) != LEDGER_SEALS)
		return -EBADMSG;
	length = pread(fd, &header, sizeof header, 0);
	if (length < 0)
		return -errno;
	if (length != sizeof header || header.magic != LEDGER_MAGIC)
		return -EBADMSG;
	*ret = header;
	return 0;
}

static bool header_valid(const struct ledger_header *header)
{
	uint32_t end = (uint32_t)number_in(header->end, END_BITS);

	return header->version == LEDGER_VERSION && header->checksum == header_checksum(header) &&
	       sizes_valid(header->record_size, header->capacity) && end <= 2 * header->capacity &&
	       header->end == checked_end(end) &&
	       header->committed ==
		       checked(number_in(header->committed, COMMITTED_BITS), COMMITTED_BITS);
}

static int check_header(int fd, const struct ledger_header *header)
{
	uint64_t size;
	int r;

	/* Before all else: a later version may check otherwise. */
	if (header->version > LEDGER_VERSION)
		return -EPROTONOSUPPORT;
	if (!header_valid(header))
		return -EBADMSG;
	r = memory_file_size(fd, &size);
	if (r < 0)
		return r;
	return size == file_length(header->record_size, header->capacity) ? 0 : -EBADMSG;
}

static int read_committed(struct ledger *ledger, uint32_t number)
{
	const struct ledger_cell *cell = cell_at(ledger, number), *other;
	uint32_t index = tag_index(cell->tag);
	struct ledger_entry *entry;
	int r;

	if (!cell_whole(ledger, cell))
		return -EBADMSG;
	if (tag_length(cell->tag) == FREE)
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

int ledger_open(int fd, struct ledger **ret)
{
	struct ledger_header header = {0};
	struct ledger *ledger;
	int r;

	r = read_header(fd, &header);
	if (r == 0)
		r = check_header(fd, &header);
	if (r == 0)
		r = ledger_map(fd, header.record_size, header.capacity, &ledger);
	if (r < 0)
		return r;
	ledger->cells_end = (uint32_t)number_in(header.end, END_BITS);
	ledger->committed = number_in(header.committed, COMMITTED_BITS);
	ledger->leftovers = true;
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

uint32_t ledger_end(const struct ledger *ledger)
{
	return ledger->n_entries;
}

int ledger_get(
	const struct ledger *ledger, uint32_t index, const void **ret_bytes, size_t *ret_length)
{
	const struct ledger_cell *cell;

	if (index >= ledger->n_entries || ledger->entries[index].current == 0)
		return -ENOENT;
	cell = cell_at(ledger, ledger->entries[index].current - 1);
	if (!cell_whole(ledger, cell) || tag_index(cell->tag) != index ||
		tag_length(cell->tag) == FREE)
		return -EBADMSG;
	if (tag_length(cell->tag) == TOMBSTONE)
		return -ENOENT;
	*ret_bytes = cell->bytes;
	*ret_length = tag_length(cell->tag);
	return 0;
}

/* Writing */

static bool is_current(const struct ledger *ledger, uint32_t number)
{
	uint64_t tag = cell_at(ledger, number)->tag;
	uint32_t index = tag_index(tag);

	return tag_length(tag) != FREE && index < ledger->n_entries &&
	       ledger->entries[index].current == number + 1;
}

/* Erases what is pending and frees what is superseded; then tombstones. */
static void free_leftovers(struct ledger *ledger)
{
	for (uint32_t i = 0; i < ledger->cells_end; i++) {
		struct ledger_cell *cell = cell_at(ledger, i);

		if (cell->sequence > ledger->committed)
			cell_erase(cell);
		else if (cell->sequence > 0 && !is_current(ledger, i))
			cell_free(cell);
	}
	for (uint32_t i = 0; i < ledger->n_entries; i++) {
		uint32_t current = ledger->entries[i].current;
		struct ledger_cell *cell = current > 0 ? cell_at(ledger, current - 1) : NULL;

		if (!cell || tag_length(cell->tag) != TOMBSTONE)
			continue;
		cell_free(cell);
		ledger->entries[i].current = 0;
	}
}

/* To be done before anything is written. */
static int begin(struct ledger *ledger)
{
	int r;

	if (!ledger->leftovers)
		return 0;
	r = numbers_reserve(&ledger->free_cells, ledger->cells_end);
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
	if (r < 0)
		return r;
	*ret_cell = ledger->cells_end++;
	__atomic_store_n(&ledger->header->end, checked_end(ledger->cells_end), __ATOMIC_RELEASE);
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

/* The sequence number comes first: from then on nobody takes the cell for a committed one. */
static int write_cell(struct ledger *ledger, uint32_t index, const void *bytes, size_t length)
{
	uint64_t sequence = ledger->committed + 1;
	struct ledger_cell *cell;
	int r = pending_cell(ledger, index, &cell);

	if (r < 0)
		return r;
	set_sequence(cell, sequence);
	if (length > 0)
		memcpy(cell->bytes, bytes, length);
	set_tag(cell, tag_of(sequence, index, (uint32_t)length, cell->bytes));
	return 0;
}

int ledger_put(struct ledger *ledger, uint32_t index, const void *bytes, size_t length)
{
	int r;

	if (index >= ledger->capacity || length == 0 || length > ledger->record_size)
		return -EINVAL;
	r = begin(ledger);
	return r < 0 ? r : write_cell(ledger, index, bytes, length);
}

static void drop_pending(struct ledger *ledger, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entries[index];

	if (entry->pending == 0)
		return;
	cell_erase(cell_at(ledger, entry->pending - 1));
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
	r = begin(ledger);
	if (r < 0 || index >= ledger->n_entries)
		return r;
	if (ledger->entries[index].current > 0)
		return write_cell(ledger, index, NULL, TOMBSTONE);
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
		cell_free(cell_at(ledger, entry->current - 1));
		numbers_push(&ledger->free_cells, entry->current - 1);
	}
	entry->current = entry->pending;
	entry->pending = 0;
	if (tag_length(cell_at(ledger, entry->current - 1)->tag) != TOMBSTONE)
		return;
	cell_free(cell_at(ledger, entry->current - 1));
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
	__atomic_store_n(&ledger->header->committed, checked(ledger->committed, COMMITTED_BITS),
		__ATOMIC_RELEASE);
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
	int r = begin(ledger);

	if (r < 0)
		return r;
	while (ledger->lowest_free < ledger->capacity && !is_free(ledger, ledger->lowest_free))
		ledger->lowest_free++;
	if (ledger->lowest_free == ledger->capacity)
		return -ENOSPC;
	*ret_index = ledger->lowest_free;
	return 0;
}
