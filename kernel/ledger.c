/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ledgers. See ledger.h.
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
#define LEDGER_VERSION 1
#define LEDGER_SEALS   (F_SEAL_SHRINK | F_SEAL_GROW)

struct ledger_header {
	uint64_t magic;
	uint32_t version;
	uint32_t record_size;
	uint32_t capacity;
	uint32_t end;       /* records from here on were never touched */
	uint64_t committed; /* the sequence number of the last transaction that counts */
	uint32_t checksum;  /* of what never changes */
	uint32_t reserved[7];
};

/* All zeroes is a record that never was. */
struct ledger_copy {
	uint64_t sequence;
	uint32_t checksum;
	uint32_t length; /* 0: deleted */
	unsigned char bytes[];
};

_Static_assert(sizeof(struct ledger_header) == 64, "file format");
_Static_assert(sizeof(struct ledger_copy) == 16, "file format");

struct ledger {
	int fd;
	struct ledger_header *header; /* the whole file is mapped behind it */
	uint64_t length;
	uint32_t record_size, capacity; /* what the header said when it was checked */
	uint32_t lowest_free;           /* no record below is free */
	bool leftovers;                 /* a writer before may have left what it didn't commit */
	bool changed;                   /* since the last commit */
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

static uint32_t copy_checksum(const struct ledger_copy *copy, uint32_t index, uint64_t sequence)
{
	uint64_t hash = mix(mix(LEDGER_MAGIC, sequence), (uint64_t)index << 32 | copy->length);

	return (uint32_t)mix_bytes(hash, copy->bytes, copy->length);
}

static uint32_t header_checksum(const struct ledger_header *header)
{
	uint64_t sizes = (uint64_t)header->record_size << 32 | header->capacity;

	return (uint32_t)mix(mix(header->magic, header->version), sizes);
}

/* What is written later must not be seen before it. */
static void set_sequence(struct ledger_copy *copy, uint64_t sequence)
{
	__atomic_store_n(&copy->sequence, sequence, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static uint64_t sequence_of(const struct ledger_copy *copy)
{
	return __atomic_load_n(&copy->sequence, __ATOMIC_ACQUIRE);
}

static uint64_t committed(const struct ledger *ledger)
{
	return __atomic_load_n(&ledger->header->committed, __ATOMIC_ACQUIRE);
}

/* Copies */

static uint64_t copy_stride(uint32_t record_size)
{
	return sizeof(struct ledger_copy) + record_size;
}

static struct ledger_copy *copy_at(const struct ledger *ledger, uint32_t index, unsigned which)
{
	uint64_t offset = (2 * (uint64_t)index + which) * copy_stride(ledger->record_size);

	return (struct ledger_copy *)((unsigned char *)(ledger->header + 1) + offset);
}

static bool is_committed(const struct ledger *ledger, const struct ledger_copy *copy)
{
	uint64_t sequence = sequence_of(copy);

	return sequence != 0 && sequence <= committed(ledger);
}

static bool is_pending(const struct ledger *ledger, const struct ledger_copy *copy)
{
	return sequence_of(copy) > committed(ledger);
}

/* The one that a transaction writes, 0 or 1: not the current one. */
static unsigned other_of(const struct ledger *ledger, uint32_t index)
{
	const struct ledger_copy *first = copy_at(ledger, index, 0);
	const struct ledger_copy *second = copy_at(ledger, index, 1);

	if (!is_committed(ledger, first) || !is_committed(ledger, second))
		return is_committed(ledger, first);
	return sequence_of(first) > sequence_of(second);
}

/* NULL where the record was never committed. */
static const struct ledger_copy *current_copy(const struct ledger *ledger, uint32_t index)
{
	const struct ledger_copy *copy;

	if (index >= ledger_end(ledger))
		return NULL;
	copy = copy_at(ledger, index, 1 - other_of(ledger, index));
	return is_committed(ledger, copy) ? copy : NULL;
}

static bool copy_whole(const struct ledger *ledger, const struct ledger_copy *copy, uint32_t index)
{
	return copy->length <= ledger->record_size &&
	       copy->checksum == copy_checksum(copy, index, copy->sequence);
}

/* Making */

static uint64_t file_length(uint32_t record_size, uint32_t capacity)
{
	return sizeof(struct ledger_header) + 2ull * capacity * copy_stride(record_size);
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
		.capacity = capacity};
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

static int check_header(int fd, const struct ledger_header *header)
{
	uint64_t size;
	int r;

	/* Before all else: a later version may check otherwise. */
	if (header->version > LEDGER_VERSION)
		return -EPROTONOSUPPORT;
	if (header->version == 0 || header->checksum != header_checksum(header))
		return -EBADMSG;
	if (!sizes_valid(header->record_size, header->capacity) || header->end > header->capacity)
		return -EBADMSG;
	r = memory_file_size(fd, &size);
	if (r < 0)
		return r;
	return size == file_length(header->record_size, header->capacity) ? 0 : -EBADMSG;
}

/* Nothing that is committed is ever written again in place, so even the older copy is whole. */
static bool copy_plausible(const struct ledger *ledger, uint32_t index, unsigned which)
{
	const struct ledger_copy *copy = copy_at(ledger, index, which);
	uint64_t sequence = sequence_of(copy);

	if (sequence == 0)
		return copy->checksum == 0 && copy->length == 0;
	if (!is_pending(ledger, copy))
		return copy_whole(ledger, copy, index);
	return sequence == committed(ledger) + 1 &&
	       !is_pending(ledger, copy_at(ledger, index, 1 - which));
}

static bool records_whole(const struct ledger *ledger)
{
	uint64_t latest = 0;

	for (uint32_t i = 0; i < 2 * ledger_end(ledger); i++) {
		const struct ledger_copy *copy = copy_at(ledger, i / 2, i % 2);

		if (!copy_plausible(ledger, i / 2, i % 2))
			return false;
		if (!is_pending(ledger, copy) && sequence_of(copy) > latest)
			latest = sequence_of(copy);
	}
	/* The last transaction has changed something. */
	return latest == committed(ledger);
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
	if (!records_whole(ledger)) {
		ledger_free(ledger);
		return -EBADMSG;
	}
	ledger->fd = fd;
	ledger->leftovers = true;
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
	uint32_t end = __atomic_load_n(&ledger->header->end, __ATOMIC_ACQUIRE);

	return end < ledger->capacity ? end : ledger->capacity;
}

int ledger_get(
	const struct ledger *ledger, uint32_t index, const void **ret_bytes, size_t *ret_length)
{
	const struct ledger_copy *copy = current_copy(ledger, index);

	if (!copy)
		return -ENOENT;
	if (!copy_whole(ledger, copy, index))
		return -EBADMSG;
	if (copy->length == 0)
		return -ENOENT;
	*ret_bytes = copy->bytes;
	*ret_length = copy->length;
	return 0;
}

/* Writing */

/* Makes what is not committed look as if it had never been written. */
static void drop_pending(struct ledger *ledger)
{
	for (uint32_t i = 0; i < 2 * ledger_end(ledger); i++) {
		struct ledger_copy *copy = copy_at(ledger, i / 2, i % 2);

		if (!is_pending(ledger, copy))
			continue;
		copy->checksum = 0;
		copy->length = 0;
		__atomic_store_n(&copy->sequence, 0, __ATOMIC_RELEASE);
	}
	ledger->lowest_free = 0;
	ledger->leftovers = false;
	ledger->changed = false;
}

/* The sequence number comes first: from then on nobody takes the copy for an older one. */
static void write_copy(struct ledger *ledger, uint32_t index, const void *bytes, size_t length)
{
	struct ledger_copy *copy = copy_at(ledger, index, other_of(ledger, index));
	uint64_t sequence = committed(ledger) + 1;

	set_sequence(copy, sequence);
	copy->length = (uint32_t)length;
	if (length > 0)
		memcpy(copy->bytes, bytes, length);
	copy->checksum = copy_checksum(copy, index, sequence);
	ledger->changed = true;
}

int ledger_put(struct ledger *ledger, uint32_t index, const void *bytes, size_t length)
{
	if (index >= ledger->capacity || length == 0 || length > ledger->record_size)
		return -EINVAL;
	if (ledger->leftovers)
		drop_pending(ledger);
	if (index >= ledger_end(ledger))
		__atomic_store_n(&ledger->header->end, index + 1, __ATOMIC_RELEASE);
	write_copy(ledger, index, bytes, length);
	return 0;
}

/* Neither committed nor to be committed next. */
static bool is_free(const struct ledger *ledger, uint32_t index)
{
	const struct ledger_copy *current = current_copy(ledger, index);
	const struct ledger_copy *other;

	if (current && current->length > 0)
		return false;
	if (index >= ledger_end(ledger))
		return true;
	other = copy_at(ledger, index, other_of(ledger, index));
	return !is_pending(ledger, other) || other->length == 0;
}

int ledger_delete(struct ledger *ledger, uint32_t index)
{
	if (index >= ledger->capacity)
		return -EINVAL;
	if (ledger->leftovers)
		drop_pending(ledger);
	if (is_free(ledger, index))
		return 0;
	write_copy(ledger, index, NULL, 0);
	if (index < ledger->lowest_free)
		ledger->lowest_free = index;
	return 0;
}

void ledger_commit(struct ledger *ledger)
{
	if (!ledger->changed)
		return;
	__atomic_store_n(&ledger->header->committed, committed(ledger) + 1, __ATOMIC_RELEASE);
	ledger->changed = false;
}

void ledger_abort(struct ledger *ledger)
{
	if (ledger->changed)
		drop_pending(ledger);
}

int ledger_free_index(struct ledger *ledger, uint32_t *ret_index)
{
	if (ledger->leftovers)
		drop_pending(ledger);
	while (ledger->lowest_free < ledger->capacity && !is_free(ledger, ledger->lowest_free))
		ledger->lowest_free++;
	if (ledger->lowest_free == ledger->capacity)
		return -ENOSPC;
	*ret_index = ledger->lowest_free;
	return 0;
}
