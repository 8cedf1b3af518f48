/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger: what was committed is there again when it is opened again, and nothing else; whatever
 * was written over the file, opening and reading it harms nobody.
 *
 * An input is operations, each a byte with what it needs behind it.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/store/ledger.h"
#include "kernel/store/ledger_format.h"
#include "tests/fuzz/fuzz.h"

#define SIZE     16
#define RECORDS  8
#define CAPACITY 16
#define FILE_MAX 4096

enum operation { PUT, DELETE, COMMIT, ABORT, REOPEN, WRITE, CELL, OPERATIONS };

struct trial {
	struct ledger *ledger;
	bool spoiled; /* the file was written by others */
	/* By length, 0: none. As committed, and as they will be. */
	size_t committed[RECORDS], lengths[RECORDS];
	uint8_t committed_bytes[RECORDS][SIZE], bytes[RECORDS][SIZE];
};

static void put(struct trial *trial, struct fuzz_input *input)
{
	uint32_t index = fuzz_byte(input);
	size_t length = fuzz_byte(input) % (SIZE + 2);
	uint8_t bytes[SIZE + 2];
	int r;

	fuzz_fill(input, bytes, sizeof bytes);
	r = ledger_put(trial->ledger, index % (CAPACITY + 1), bytes, length);
	index %= CAPACITY + 1;
	FUZZ_CHECK(
		trial->spoiled || (r == 0) == (index < CAPACITY && length >= 1 && length <= SIZE));
	if (r < 0 || index >= RECORDS)
		return;
	trial->lengths[index] = length;
	memcpy(trial->bytes[index], bytes, length);
}

static void commit(struct trial *trial)
{
	ledger_commit(trial->ledger);
	memcpy(trial->committed, trial->lengths, sizeof trial->lengths);
	memcpy(trial->committed_bytes, trial->bytes, sizeof trial->bytes);
}

static void give_up(struct trial *trial)
{
	memcpy(trial->lengths, trial->committed, sizeof trial->lengths);
	memcpy(trial->bytes, trial->committed_bytes, sizeof trial->bytes);
}

static void check(const struct trial *trial)
{
	const void *bytes;
	size_t length;

	for (uint32_t i = 0; i < ledger_end(trial->ledger); i++) {
		if (ledger_get(trial->ledger, i, &bytes, &length) == 0)
			FUZZ_CHECK(length >= 1 && length <= ledger_record_size(trial->ledger));
	}
	for (uint32_t i = 0; i < RECORDS && !trial->spoiled; i++) {
		int r = ledger_get(trial->ledger, i, &bytes, &length);

		FUZZ_CHECK(r == (trial->committed[i] > 0 ? 0 : -ENOENT));
		FUZZ_CHECK(r < 0 || (length == trial->committed[i] &&
					    memcmp(bytes, trial->committed_bytes[i], length) == 0));
	}
}

/* What its writer had not committed is gone. False where it is no ledger any more. */
static bool reopen(struct trial *trial)
{
	int fd = dup(ledger_fd(trial->ledger)), r;

	give_up(trial);
	trial->ledger = ledger_free(trial->ledger);
	r = ledger_open(fd, &trial->ledger);
	FUZZ_CHECK(r == 0 || trial->spoiled);
	if (r < 0)
		close(fd);
	return r == 0;
}

static uint8_t *map(const struct trial *trial)
{
	void *file = mmap(
		NULL, FILE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, ledger_fd(trial->ledger), 0);

	FUZZ_CHECK(file != MAP_FAILED);
	return file;
}

/* Anywhere in what there is of it. */
static void write_bytes(struct trial *trial, struct fuzz_input *input)
{
	size_t length = ledger_file_length(SIZE, CAPACITY);
	size_t at = fuzz_number(input) % (length - 8);
	uint8_t *file = map(trial);

	fuzz_fill(input, file + at, 8);
	munmap(file, FILE_MAX);
	trial->spoiled = true;
}

/* A whole cell, with the right checksum, that says anything. */
static void write_cell(struct trial *trial, struct fuzz_input *input)
{
	uint8_t *file = map(trial), bytes[SIZE];
	size_t at =
		sizeof(struct ledger_header) + fuzz_byte(input) % CAPACITY * ledger_cell_size(SIZE);
	uint64_t sequence = fuzz_number(input) % 64;
	uint32_t index = fuzz_byte(input);
	size_t length = fuzz_byte(input) % (SIZE + 1);

	fuzz_fill(input, bytes, sizeof bytes);
	ledger_cell_write((struct ledger_cell *)(file + at), sequence, index, bytes, length);
	munmap(file, FILE_MAX);
	trial->spoiled = true;
}

static bool carry_out(struct trial *trial, struct fuzz_input *input)
{
	uint32_t index;

	switch ((enum operation)(fuzz_byte(input) % OPERATIONS)) {
	case PUT:
		put(trial, input);
		return true;
	case DELETE:
		index = fuzz_byte(input) % CAPACITY;
		ledger_delete(trial->ledger, index);
		if (index < RECORDS)
			trial->lengths[index] = 0;
		return true;
	case COMMIT:
		commit(trial);
		return true;
	case ABORT:
		ledger_abort(trial->ledger);
		give_up(trial);
		return true;
	case WRITE:
		write_bytes(trial, input);
		return reopen(trial);
	case CELL:
		write_cell(trial, input);
		return reopen(trial);
	default:
		return reopen(trial);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	struct trial trial = {.spoiled = false};
	int fd = fuzz_free_fd();
	bool is_one = true;

	FUZZ_CHECK(ledger_new("fuzz", SIZE, CAPACITY, &trial.ledger) == 0);
	FUZZ_CHECK(ledger_file_length(SIZE, CAPACITY) <= FILE_MAX);
	while (is_one && input.left > 0) {
		is_one = carry_out(&trial, &input);
		if (is_one)
			check(&trial);
	}
	ledger_free(trial.ledger);
	FUZZ_CHECK(fuzz_free_fd() == fd);
	return 0;
}
