/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger of peers. See peer_ledger.h.
 */
#include "daemon/request/peer_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/owner/limit.h"
#include "daemon/request/peer_record.h"
#include "kernel/base/cleanup.h"
#include "kernel/store/ledger.h"

/* From one warning to the next. */
#define WARNING_SECONDS 10

struct peer_ledger {
	struct fdstore *fdstore;
	struct ledger *ledger;
	int syscall_marks_fd;
	struct syscall_marks *marks;
	uint64_t last_number;
	struct inherited_answer_tree inherited;
	uint32_t last_owed; /* its first record, while it is not known to be committed; 0: none */
	time_t warned;
};

/* As members of the one id that all of it has. */
enum { MEMBER_LEDGER, MEMBER_MARKS };

/* A record */

/* Peers may have it full for as long as they like. */
static void warn_of_no_room(struct peer_ledger *ledger, int r)
{
	time_t now = time(NULL);

	if (now - ledger->warned < WARNING_SECONDS)
		return;
	ledger->warned = now;
	log_warning("the ledger of peers is full: some answers will be lost if gmemd ends before "
		    "they are sent: %s",
		strerror(-r));
}

static int write_record(
	struct peer_ledger *ledger, uint32_t *index, const void *record, size_t length)
{
	int r = 0;

	if (fdstore_is_left(ledger->fdstore))
		return 0;
	if (*index == 0)
		r = ledger_free_index(ledger->ledger, index);
	if (r == 0)
		r = ledger_put(ledger->ledger, *index, record, length);
	if (r < 0)
		warn_of_no_room(ledger, r);
	return r;
}

/* NULL where there is another, or none. */
static const void *peer_record_at(const struct peer_ledger *ledger, uint32_t index,
	enum peer_record_kind kind, size_t *ret_length)
{
	const void *bytes;
	uint16_t found;

	if (ledger_get(ledger->ledger, index, &bytes, ret_length) < 0 || *ret_length < sizeof found)
		return NULL;
	memcpy(&found, bytes, sizeof found);
	return found == kind ? bytes : NULL;
}

static const struct owed_record *owed_at(const struct peer_ledger *ledger, uint32_t index)
{
	size_t length;
	const struct owed_record *record = peer_record_at(ledger, index, RECORD_OWED, &length);

	return record && length >= sizeof *record && owed_record_fits(record) ? record : NULL;
}

static bool peer_at(const struct peer_ledger *ledger, uint32_t index, struct peer_entry *ret)
{
	size_t length;
	const void *bytes = peer_record_at(ledger, index, RECORD_PEER, &length);

	return bytes && peer_record_read(bytes, length, ret);
}

/* What a predecessor owed */

static int inherit_answers(struct peer_ledger *ledger)
{
	int r = 0;

	for (uint32_t index = 1; r == 0 && index < ledger_end(ledger->ledger); index++) {
		const struct owed_record *record = owed_at(ledger, index);

		if (record)
			r = inherited_answer_add(&ledger->inherited, record, index);
	}
	return r;
}

bool peer_ledger_next_peer(
	const struct peer_ledger *ledger, uint32_t *position, struct peer_entry *ret)
{
	uint32_t end = ledger_end(ledger->ledger), index = *position;

	while (index < end && !peer_at(ledger, index, ret))
		index++;
	*position = index + 1;
	if (index >= end)
		return false;
	ret->record = index;
	return true;
}

void peer_ledger_take_owed(
	struct peer_ledger *ledger, uint64_t peer, struct inherited_answers *answers)
{
	inherited_answers_take(&ledger->inherited, peer, answers);
}

bool peer_ledger_owes(const struct peer_ledger *ledger, uint64_t peer)
{
	return inherited_answers_any_to(&ledger->inherited, peer);
}

void peer_ledger_delete_rest(struct peer_ledger *ledger)
{
	struct inherited_answer *answer;

	while ((answer = inherited_answer_any(&ledger->inherited))) {
		peer_ledger_delete_owed(ledger, &answer->place);
		inherited_answer_free(answer);
	}
}

/* All of it */

/* A predecessor that was killed may take a moment to end. */
#define CLAIM_MILLISECONDS 1000
#define CLAIM_PAUSE        10

/* The ledger has one writer: a lock on it ends with its process. */
static int claim_ledger(int fd)
{
	const struct timespec pause = {.tv_nsec = CLAIM_PAUSE * 1000000};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	for (unsigned waited = 0; fcntl(fd, F_SETLK, &lock) < 0; waited += CLAIM_PAUSE) {
		if (errno != EACCES && errno != EAGAIN)
			return -errno;
		if (waited >= CLAIM_MILLISECONDS)
			return -EADDRINUSE;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int open_ledger(struct peer_ledger *ledger, int take_fd)
{
	int r = take_fd < 0 ? -ENOENT : claim_ledger(take_fd);

	if (r == 0)
		r = ledger_open(take_fd, &ledger->ledger);

	if (r < 0) {
		fd_close(take_fd);
		return r;
	}
	if (ledger_record_size(ledger->ledger) >= PEER_RECORD_SIZE)
		return inherit_answers(ledger);
	ledger->ledger = ledger_free(ledger->ledger);
	return -EPROTONOSUPPORT;
}

static int open_marks(struct peer_ledger *ledger, int take_fd)
{
	int r = take_fd < 0 ? -ENOENT : syscall_marks_open(take_fd, &ledger->marks);

	if (r < 0)
		fd_close(take_fd);
	else
		ledger->syscall_marks_fd = take_fd;
	return r;
}

static int make_new(struct peer_ledger *ledger)
{
	const uint16_t record = RECORD_PEERS;
	int r = 0;

	if (!ledger->ledger)
		r = ledger_new("gmemd-peers", PEER_RECORD_SIZE, PEER_RECORDS_MAX, &ledger->ledger);
	if (r == 0)
		r = claim_ledger(ledger_fd(ledger->ledger));
	if (r == 0)
		r = ledger_put(ledger->ledger, 0, &record, sizeof record);
	if (r == 0)
		ledger_commit(ledger->ledger);
	if (r == 0 && !ledger->marks)
		r = syscall_marks_new(&ledger->syscall_marks_fd, &ledger->marks);
	return r;
}

static uint64_t first_number(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void put_to_keeper(const struct peer_ledger *ledger)
{
	fdstore_put_one(
		ledger->fdstore, FDSTORE_PEERS, 0, MEMBER_LEDGER, ledger_fd(ledger->ledger));
	fdstore_put_one(ledger->fdstore, FDSTORE_PEERS, 0, MEMBER_MARKS, ledger->syscall_marks_fd);
}

int peer_ledger_new(
	struct fdstore *fdstore, struct inherited_fds *inherited, struct peer_ledger **ret)
{
	struct peer_ledger *ledger = calloc(1, sizeof *ledger);
	int r;

	if (!ledger)
		return -ENOMEM;
	ledger->fdstore = fdstore;
	ledger->syscall_marks_fd = -1;
	ledger->last_number = first_number();
	RB_INIT(&ledger->inherited);
	r = open_ledger(ledger, inherited_fds_take(inherited, FDSTORE_PEERS, 0, MEMBER_LEDGER));
	if (r == 0)
		r = open_marks(
			ledger, inherited_fds_take(inherited, FDSTORE_PEERS, 0, MEMBER_MARKS));
	if (r < 0 && r != -ENOENT && r != -EADDRINUSE)
		log_warning("connections could not be taken over: %s", strerror(-r));
	if (r != -EADDRINUSE && !inheriting_lacks(r))
		r = make_new(ledger);
	if (r < 0) {
		peer_ledger_free(ledger);
		return r;
	}
	put_to_keeper(ledger);
	*ret = ledger;
	return 0;
}

struct peer_ledger *peer_ledger_free(struct peer_ledger *ledger)
{
	struct inherited_answer *answer;

	if (!ledger)
		return NULL;
	while ((answer = inherited_answer_any(&ledger->inherited)))
		inherited_answer_free(answer);
	ledger_free(ledger->ledger);
	syscall_marks_close(ledger->marks);
	fd_close(ledger->syscall_marks_fd);
	free(ledger);
	return NULL;
}

void peer_ledger_drop(const struct peer_ledger *ledger)
{
	fdstore_drop(ledger->fdstore, FDSTORE_PEERS, 0, MEMBER_LEDGER);
	fdstore_drop(ledger->fdstore, FDSTORE_PEERS, 0, MEMBER_MARKS);
}

struct syscall_marks *peer_ledger_marks(const struct peer_ledger *ledger)
{
	return ledger->marks;
}

uint64_t peer_ledger_next_number(struct peer_ledger *ledger)
{
	return ++ledger->last_number;
}

/* Peers */

void peer_ledger_note(struct peer_ledger *ledger, struct peer_entry *entry)
{
	struct peer_record record;

	peer_record_write(entry, &record);
	write_record(ledger, &entry->record, &record, sizeof record);
	ledger_commit(ledger->ledger);
}

void peer_ledger_forget(struct peer_ledger *ledger, struct peer_entry *entry)
{
	if (entry->record > 0 && !fdstore_is_left(ledger->fdstore))
		ledger_delete(ledger->ledger, entry->record);
	ledger_commit(ledger->ledger);
	entry->record = 0;
}

/* Answers */

static int owe_part(struct peer_ledger *ledger, const struct owed_answer *owed, uint16_t part,
	struct owed_place *place)
{
	struct owed_record record;
	uint32_t index = 0;
	int r;

	owed_record_write(owed, part, &record);
	r = write_record(ledger, &index, &record, sizeof record);
	return r < 0 ? r : owed_place_add(place, index);
}

static void confirm_record(struct peer_ledger *ledger, uint32_t index, enum owed_when when)
{
	const struct owed_record *record = owed_at(ledger, index);
	struct owed_record confirmed;

	if (!record || record->when == when)
		return;
	confirmed = *record;
	confirmed.when = (uint8_t)when;
	write_record(ledger, &index, &confirmed, sizeof confirmed);
	ledger_commit(ledger->ledger);
}

/* A VM's ledger has the number of the last request alone. */
static void confirm_last(struct peer_ledger *ledger)
{
	if (ledger->last_owed > 0)
		confirm_record(ledger, ledger->last_owed, OWED_DONE);
	ledger->last_owed = 0;
}

/* All of a place are one owner's, be it the peer's no more. */
static int charge_place(struct owed_place *place, struct owner *owner, size_t parts)
{
	int r;

	if (place->owner)
		owner = place->owner;
	r = owner_charge_many(owner, OWNER_RECORDS, parts);
	if (r == 0)
		place->owner = owner;
	return r;
}

void peer_ledger_owe(struct peer_ledger *ledger, const struct owed_answer *owed,
	struct owner *owner, struct owed_place *place)
{
	size_t parts = owed_record_parts(owed->length), before = place->count;
	int r;

	confirm_last(ledger);
	r = charge_place(place, owner, parts);
	if (r < 0) {
		warn_of_no_room(ledger, r);
		return;
	}
	for (uint16_t part = 0; r == 0 && part < parts; part++)
		r = owe_part(ledger, owed, part, place);
	if (r == 0) {
		ledger_commit(ledger->ledger);
		if (owed->when == OWED_IN_TURN)
			ledger->last_owed = place->records[before];
		return;
	}
	ledger_abort(ledger->ledger);
	place->count = before;
	owner_give_back_many(place->owner, OWNER_RECORDS, parts);
	if (before == 0)
		place->owner = NULL;
}

void peer_ledger_confirm(
	struct peer_ledger *ledger, const struct owed_place *place, enum owed_when when)
{
	if (place->count > 0)
		confirm_record(ledger, place->records[0], when);
}

void peer_ledger_delete_owed(struct peer_ledger *ledger, struct owed_place *place)
{
	for (size_t i = 0; i < place->count; i++) {
		if (place->records[i] == ledger->last_owed)
			ledger->last_owed = 0;
		if (!fdstore_is_left(ledger->fdstore))
			ledger_delete(ledger->ledger, place->records[i]);
	}
	if (place->count > 0)
		ledger_commit(ledger->ledger);
	owner_give_back_many(place->owner, OWNER_RECORDS, place->count);
	free(place->records);
	*place = (struct owed_place){.count = 0};
}
