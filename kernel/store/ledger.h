/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ledger: records in a memfd that outlive their writer, whole, wherever it was killed.
 *
 * Whoever opens it after a SIGKILL between any two instructions sees what the last transaction has
 * committed and nothing of a later one, however many records either has changed. A transaction
 * writes each record that it changes into a cell that is free, tagged with the transaction's
 * sequence number, and commits by one aligned 8-byte store of that number into the header; then the
 * cells are freed that held those records before. Of a record's cells the current one is the one
 * with the highest sequence number that is committed; a checksum over it finds what was changed
 * otherwise.
 *
 * Records have an index below the capacity and a length up to the record size; both limits are set
 * when the ledger is made. Only pages of cells that were ever used take memory, so the capacity
 * costs nothing: the file is as long as it needs to be from the start, and sealed so. A record
 * costs 16 + record size bytes, and so do as many cells as the largest transaction has changed; the
 * header 64. Beside that an open ledger costs 14 to 17 bytes for each record. One that was made
 * before is not mapped until it is first changed: until then it costs a copy of what it has.
 *
 * One writer at a time; who reads beside it opens it again to see what was committed since.
 * Functions return 0 or a negative errno and write outputs only on success.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/store/ledger_limits.h"

struct ledger;

/*
 * An empty one. name shows in /proc and need not be unique. record_size is a multiple of 8. -EINVAL
 * past a limit.
 */
int ledger_new(const char *name, uint32_t record_size, uint32_t capacity, struct ledger **ret);
/* The same of a version, from LEDGER_VERSION_FIRST, which ledger_new()'s are of, to _LAST. */
int ledger_new_of(uint32_t version, const char *name, uint32_t record_size, uint32_t capacity,
	struct ledger **ret);

/*
 * One that was made before, maybe by an earlier version of this code. fd belongs to the ledger
 * where it succeeds. Writes nothing. -EBADMSG where it is none, not whole or of an earlier version;
 * -EPROTONOSUPPORT where a later version has made it, in a format that this one doesn't know.
 */
int ledger_open(int fd, struct ledger **ret);
/* Whoever opens one has a copy of a short one, until this or a change maps the file in its place:
 * to be called once its records have been read. -ENOMEM, and then all stays as it was. */
int ledger_drop_copy(struct ledger *ledger);

/* Drops a transaction that was not committed. Takes NULL, returns NULL. */
struct ledger *ledger_free(struct ledger *ledger);

/* Owned by the ledger. */
int ledger_fd(const struct ledger *ledger);
uint32_t ledger_record_size(const struct ledger *ledger);
uint32_t ledger_capacity(const struct ledger *ledger);
uint32_t ledger_version(const struct ledger *ledger);
/* No record has an index that is not below this: where a walk through all of them ends. */
uint32_t ledger_end(const struct ledger *ledger);

/*
 * The record as committed; valid until it is changed for the second time, or, of a ledger that was
 * opened, until ledger_drop_copy() or any change. A length smaller than
 * expected is how the record of an earlier writer looks that has grown since. -ENOENT where there
 * is none.
 */
int ledger_get(
	const struct ledger *ledger, uint32_t index, const void **ret_bytes, size_t *ret_length);
/* Whether the record's first two bytes are that number: false is certain, true is not, for nothing
 * else of it is looked at, as by ledger_get(). */
bool ledger_may_begin_with(const struct ledger *ledger, uint32_t index, uint16_t number);

/* The same of the record as it is to be, with what was put since the last commit; valid until it is
 * changed. */
int ledger_get_put(
	const struct ledger *ledger, uint32_t index, const void **ret_bytes, size_t *ret_length);

/*
 * What is put and deleted until ledger_commit() or ledger_abort() is one transaction; the last
 * about a record counts. length is 1 up to the record size. -EINVAL past a limit. -ENOMEM.
 */
int ledger_put(struct ledger *ledger, uint32_t index, const void *bytes, size_t length);
/* Deleting what is not there is no error. */
int ledger_delete(struct ledger *ledger, uint32_t index);
void ledger_commit(struct ledger *ledger);
void ledger_abort(struct ledger *ledger);

/*
 * An index that has no record, neither committed nor in this transaction; the lower ones first, so
 * that few pages are used. It stays free until something is put there. -ENOSPC where there is none.
 */
int ledger_free_index(struct ledger *ledger, uint32_t *ret_index);
