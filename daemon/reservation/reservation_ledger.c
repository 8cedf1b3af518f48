/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger of reservations. See reservation_ledger.h.
 */
#include "daemon/reservation/reservation_ledger.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/fdstore/inherited_fds.h"
#include "daemon/reservation/reservation_record.h"
#include "kernel/base/cleanup.h"
#include "kernel/store/ledger.h"

/* And the record of all of them. */
#define RECORDS_MAX (RESERVATIONS_MAX + 1)

/* What a predecessor had */

static void recover_all(struct reservations *reservations)
{
	const void *bytes;
	size_t length;

	if (ledger_get(reservations->ledger, 0, &bytes, &length) == 0) {
		struct reservations_record record = {.kind = 0};

		memcpy(&record, bytes, length < sizeof record ? length : sizeof record);
		reservations->request = record.kind == RECORD_RESERVATIONS ? record.request : 0;
	}
}

static int recover_one(struct reservations *reservations, uint32_t index)
{
	char tenant[NAME_BYTES_MAX + 1];
	struct reservation told;
	const void *bytes;
	size_t length;
	int r;

	if (ledger_get(reservations->ledger, index, &bytes, &length) < 0)
		return 0;
	if (!reservation_record_read(bytes, length, &told, tenant))
		return 0;
	told.record = index;
	r = reservations_recover(reservations, &told, tenant);
	if (r != -EBADMSG)
		return r;
	log_warning("the ledger of reservations: record %u is none that gmemd can have written, "
		    "and is dropped",
		index);
	ledger_delete(reservations->ledger, index);
	return 0;
}

static int recover(struct reservations *reservations)
{
	uint32_t end = ledger_end(reservations->ledger);
	int r = 0;

	recover_all(reservations);
	for (uint32_t index = 1; r == 0 && index < end; index++)
		r = recover_one(reservations, index);
	if (r == 0)
		ledger_commit(reservations->ledger);
	return r;
}

/* All of it */

static int open_held(struct reservations *reservations, int take_fd)
{
	int r = take_fd < 0 ? -ENOENT : ledger_open(take_fd, &reservations->ledger);

	if (r < 0) {
		fd_close(take_fd);
		return r;
	}
	if (ledger_record_size(reservations->ledger) >= RESERVATION_RECORD_SIZE)
		return recover(reservations);
	reservations->ledger = ledger_free(reservations->ledger);
	return -EPROTONOSUPPORT;
}

static int put_header(struct reservations *reservations)
{
	const struct reservations_record record = {
		.kind = RECORD_RESERVATIONS, .request = reservations->request};

	return ledger_put(reservations->ledger, 0, &record, sizeof record);
}

static int make_new(struct reservations *reservations)
{
	int r = ledger_new(
		"gmemd-reservations", RESERVATION_RECORD_SIZE, RECORDS_MAX, &reservations->ledger);

	if (r == 0)
		r = put_header(reservations);
	if (r == 0)
		ledger_commit(reservations->ledger);
	return r;
}

int reservation_ledger_open(
	struct reservations *reservations, struct fdstore *fdstore, struct inherited_fds *inherited)
{
	int r = open_held(reservations, inherited_fds_take(inherited, FDSTORE_RESERVATIONS, 0, 0));

	if (r < 0 && inheriting_lacks(r))
		return r;
	if (r < 0 && r != -ENOENT)
		log_warning("reservations could not be taken over: %s", strerror(-r));
	if (r < 0)
		r = make_new(reservations);
	if (r < 0)
		return r;
	reservations->fdstore = fdstore;
	fdstore_put_one(fdstore, FDSTORE_RESERVATIONS, 0, 0, ledger_fd(reservations->ledger));
	return 0;
}

void reservation_ledger_close(struct reservations *reservations)
{
	reservations->ledger = ledger_free(reservations->ledger);
	reservations->noted = false;
}

void reservation_ledger_drop(const struct reservations *reservations)
{
	if (reservations->ledger)
		fdstore_drop(reservations->fdstore, FDSTORE_RESERVATIONS, 0, 0);
}

/* Changes */

/* With room for the request's number, so that to commit can't fail. Of one transaction either all
 * is noted, or, before anything was, nothing. */
static int note_change(struct reservations *reservations, int r)
{
	if (r == 0)
		r = put_header(reservations);
	if (r < 0 && !reservations->noted)
		ledger_abort(reservations->ledger);
	if (r < 0)
		return -ENOMEM;
	reservations->noted = true;
	return 0;
}

int reservation_ledger_note(struct reservations *reservations, struct reservation *reservation)
{
	struct reservation_record record;
	uint32_t index = 0;
	int r;

	if (!reservations->ledger)
		return 0;
	reservation_record_write(reservation, &record);
	r = ledger_free_index(reservations->ledger, &index);
	if (r == 0)
		r = ledger_put(reservations->ledger, index, &record, sizeof record);
	r = note_change(reservations, r);
	if (r == 0)
		reservation->record = index;
	return r;
}

int reservation_ledger_forget(
	struct reservations *reservations, const struct reservation *reservation)
{
	if (!reservations->ledger || reservation->record == 0)
		return 0;
	return note_change(reservations, ledger_delete(reservations->ledger, reservation->record));
}

void reservation_ledger_commit(struct reservations *reservations)
{
	reservations->noted = false;
	if (reservations->ledger)
		ledger_commit(reservations->ledger);
}

void reservation_ledger_commit_request(struct reservations *reservations, uint64_t request)
{
	if (!reservations->noted)
		return;
	reservations->request = request;
	put_header(reservations);
	reservation_ledger_commit(reservations);
}

bool reservation_ledger_has_committed(const struct reservations *reservations, uint64_t request)
{
	return reservations && request > 0 && reservations->request == request;
}
