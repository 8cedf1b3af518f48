/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The format of a ledger's file. See ledger_format.h.
 */
#include "kernel/store/ledger_format.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kernel/host/memory_file.h"
#include "kernel/store/ledger_limits.h"

#define LEDGER_MAGIC 0x72656764656c6d67ull /* "gmledger" */
#define LEDGER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* Of the header's numbers that change: their bits below the check. */
#define END_BITS       21
#define COMMITTED_BITS 48

#define INDEX_BITS  19
#define LENGTH_BITS 13

_Static_assert(sizeof(struct ledger_header) == 64, "file format");
_Static_assert(sizeof(struct ledger_cell) == 16, "file format");
_Static_assert(LEDGER_CAPACITY_MAX <= 1u << INDEX_BITS, "file format");
_Static_assert(2 * LEDGER_CAPACITY_MAX < 1u << END_BITS, "file format");
_Static_assert(LEDGER_FREE == (1u << LENGTH_BITS) - 1 && LEDGER_RECORD_SIZE_MAX < LEDGER_FREE,
	"file format");

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

/* The header */

uint64_t ledger_cell_size(uint32_t record_size)
{
	return sizeof(struct ledger_cell) + record_size;
}

uint64_t ledger_file_length(uint32_t record_size, uint32_t capacity)
{
	return sizeof(struct ledger_header) + 2ull * capacity * ledger_cell_size(record_size);
}

bool ledger_sizes_valid(uint32_t record_size, uint32_t capacity)
{
	return record_size > 0 && record_size % 8 == 0 && record_size <= LEDGER_RECORD_SIZE_MAX &&
	       capacity > 0 && capacity <= LEDGER_CAPACITY_MAX;
}

static int read_beginning(int fd, void *ret, size_t size)
{
	const struct ledger_header *header = ret;
	ssize_t length;
	int seals;

	/* A seal can't be taken back; without these the file could shrink under the mapping. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 && errno == EBADF)
		return -EBADF;
	if (seals < 0 || (seals & LEDGER_SEALS) != LEDGER_SEALS)
		return -EBADMSG;
	length = pread(fd, ret, size, 0);
	if (length < 0)
		return -errno;
	return length >= (ssize_t)sizeof *header && header->magic == LEDGER_MAGIC ? 0 : -EBADMSG;
}

static bool header_valid(const struct ledger_header *header)
{
	uint32_t end = (uint32_t)number_in(header->end, END_BITS);

	return header->version >= LEDGER_VERSION_FIRST &&
	       header->checksum == header_checksum(header) &&
	       ledger_sizes_valid(header->record_size, header->capacity) &&
	       end <= 2 * header->capacity && header->end == checked_end(end) &&
	       header->committed ==
		       checked(number_in(header->committed, COMMITTED_BITS), COMMITTED_BITS);
}

static int check_header(int fd, const struct ledger_header *header)
{
	uint64_t size;
	int r;

	/* Before all else: a later version may check otherwise. */
	if (header->version > LEDGER_VERSION_LAST)
		return -EPROTONOSUPPORT;
	if (!header_valid(header))
		return -EBADMSG;
	r = memory_file_size(fd, &size);
	if (r < 0)
		return r;
	return size == ledger_file_length(header->record_size, header->capacity) ? 0 : -EBADMSG;
}

int ledger_beginning_read(int fd, void *ret, size_t size)
{
	int r = read_beginning(fd, ret, size);

	return r < 0 ? r : check_header(fd, ret);
}

struct ledger_header ledger_header_new(uint32_t version, uint32_t record_size, uint32_t capacity)
{
	struct ledger_header header = {.magic = LEDGER_MAGIC,
		.version = version,
		.record_size = record_size,
		.capacity = capacity,
		.end = checked_end(0),
		.committed = checked(0, COMMITTED_BITS)};

	header.checksum = header_checksum(&header);
	return header;
}

uint32_t ledger_header_end(const struct ledger_header *header)
{
	return (uint32_t)number_in(header->end, END_BITS);
}

uint64_t ledger_header_committed(const struct ledger_header *header)
{
	return number_in(header->committed, COMMITTED_BITS);
}

void ledger_header_set_end(struct ledger_header *header, uint32_t end)
{
	__atomic_store_n(&header->end, checked_end(end), __ATOMIC_RELEASE);
}

void ledger_header_commit(struct ledger_header *header, uint64_t sequence)
{
	__atomic_store_n(&header->committed, checked(sequence, COMMITTED_BITS), __ATOMIC_RELEASE);
}

/* Cells */

uint32_t ledger_tag_index(uint64_t tag)
{
	return (uint32_t)number_in(tag, INDEX_BITS);
}

uint32_t ledger_tag_length(uint64_t tag)
{
	return (uint32_t)number_in(tag >> INDEX_BITS, LENGTH_BITS);
}

/* length may be LEDGER_TOMBSTONE or LEDGER_FREE. */
static uint64_t tag_of(
	uint64_t sequence, uint32_t index, uint32_t length, const unsigned char *bytes)
{
	uint64_t what = (uint64_t)length << INDEX_BITS | index;
	uint64_t hash = mix(mix(LEDGER_MAGIC, sequence), what);

	if (length != LEDGER_FREE)
		hash = mix_bytes(hash, bytes, length);
	return hash << 32 | what;
}

bool ledger_cell_whole(const struct ledger_cell *cell, uint32_t record_size, uint32_t capacity)
{
	uint32_t index = ledger_tag_index(cell->tag), length = ledger_tag_length(cell->tag);

	return index < capacity && (length == LEDGER_FREE || length <= record_size) &&
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

void ledger_cell_free(struct ledger_cell *cell)
{
	set_tag(cell, tag_of(cell->sequence, 0, LEDGER_FREE, NULL));
}

void ledger_cell_erase(struct ledger_cell *cell)
{
	set_tag(cell, 0);
	__atomic_store_n(&cell->sequence, 0, __ATOMIC_RELEASE);
}

void ledger_cell_write(struct ledger_cell *cell, uint64_t sequence, uint32_t index,
	const void *bytes, size_t length)
{
	set_sequence(cell, sequence);
	if (length > 0)
		memcpy(cell->bytes, bytes, length);
	set_tag(cell, tag_of(sequence, index, (uint32_t)length, cell->bytes));
}
