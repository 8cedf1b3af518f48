/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger of reservations: what of them outlives gmemd.
 *
 * What changes is noted at once, and committed at the end of the request under its number, as a
 * VM's ledger is; so a successor that finds the request still waiting knows whether it was done.
 * What lapses is committed by itself. Of a host that was booted anew nothing is left.
 */
#pragma once

#include "daemon/reservation/reservation.h"

struct inherited_fds;

/* A predecessor's, or a new one, put to the keeper. Says in the log what could not be taken over. 0
 * or a negative errno, as what inheriting_lacks(). */
int reservation_ledger_open(struct reservations *reservations, struct fdstore *fdstore,
	struct inherited_fds *inherited);
/* It stays as it is. */
void reservation_ledger_close(struct reservations *reservations);
/* Has the keeper drop it: there is to be no successor. */
void reservation_ledger_drop(const struct reservations *reservations);

/* The new reservation, or that it is no more. -ENOMEM: then nothing is noted. */
int reservation_ledger_note(struct reservations *reservations, struct reservation *reservation);
int reservation_ledger_forget(
	struct reservations *reservations, const struct reservation *reservation);

void reservation_ledger_commit(struct reservations *reservations);
/* The same, by the request of that number, if it has changed anything. */
void reservation_ledger_commit_request(struct reservations *reservations, uint64_t request);
/* Whether the request of that number was the last that has changed anything. reservations may be
 * NULL. */
bool reservation_ledger_has_committed(const struct reservations *reservations, uint64_t request);
