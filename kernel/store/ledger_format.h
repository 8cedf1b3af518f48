/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The format of a ledger's file: a header, then cells.
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
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

struct ledger_cell {
	uint64_t sequence; /* of the transaction that wrote it */
	uint64_t tag; /* a checksum over 13 bits of length over 19 bits of the record's index */
	unsigned char bytes[];
};

/* In the place of a length. */
#define LEDGER_TOMBSTONE 0
#define LEDGER_FREE      8191

/* Sizes are bytes. */
uint64_t ledger_file_length(uint32_t record_size, uint32_t capacity);
uint64_t ledger_cell_size(uint32_t record_size);
/* Whether a ledger can be of that record size and capacity. */
bool ledger_sizes_valid(uint32_t record_size, uint32_t capacity);

/* The header of an empty ledger. */
struct ledger_header ledger_header_new(uint32_t version, uint32_t record_size, uint32_t capacity);
/* The file's first bytes, of which the header is whole, and the file as long as it says. Errors are
 * ledger_open()'s; what is returned is worth nothing then. */
int ledger_beginning_read(int fd, void *ret, size_t size);
/* How many cells were ever used, and the number of the last transaction that counts. */
uint32_t ledger_header_end(const struct ledger_header *header);
uint64_t ledger_header_committed(const struct ledger_header *header);
/* Each by one store. */
void ledger_header_set_end(struct ledger_header *header, uint32_t end);
void ledger_header_commit(struct ledger_header *header, uint64_t sequence);

uint32_t ledger_tag_index(uint64_t tag);
uint32_t ledger_tag_length(uint64_t tag);

/* Whether it is as it was written, with an index and a length that there can be. */
bool ledger_cell_whole(const struct ledger_cell *cell, uint32_t record_size, uint32_t capacity);
/* Writes all of it. From the first store on nobody takes it for a committed one. */
void ledger_cell_write(struct ledger_cell *cell, uint64_t sequence, uint32_t index,
	const void *bytes, size_t length);
/* A committed one. */
void ledger_cell_free(struct ledger_cell *cell);
/* A pending one: as if it had never been used. */
void ledger_cell_erase(struct ledger_cell *cell);
