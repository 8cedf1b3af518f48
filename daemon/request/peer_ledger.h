/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger of peers: what of their connections outlives gmemd.
 *
 * It has each peer, with its subscription, and the answers that are owed: an answer is put there
 * before what it tells is committed to the ledger of the VM that it is about, under the number of
 * its request, which is committed there too. So a successor that finds the request still waiting
 * knows whether to carry it out or to answer what its predecessor would have.
 *
 * What is put here is committed at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/fdstore/inherited_fds.h"
#include "daemon/owner/owner.h"
#include "daemon/request/owed_answer.h"
#include "daemon/request/syscall_marks.h"

struct peer_ledger;

/* A predecessor's, or a new one, put to the keeper. Says in the log what could not be taken over.
 * 0 or a negative errno: -EADDRINUSE where the predecessor lives, or what inheriting_lacks(). */
int peer_ledger_new(
	struct fdstore *fdstore, struct inherited_fds *inherited, struct peer_ledger **ret);
/* Takes NULL, returns NULL. */
struct peer_ledger *peer_ledger_free(struct peer_ledger *ledger);
/* Has the keeper drop it: there is to be no successor. Where there is to be one, nothing in it
 * changes any more once fdstore_leave() was called. */
void peer_ledger_drop(const struct peer_ledger *ledger);

struct syscall_marks *peer_ledger_marks(const struct peer_ledger *ledger);
/* For a peer or a request: one that nothing had since the host booted. */
uint64_t peer_ledger_next_number(struct peer_ledger *ledger);

/* As it is now, anew or again. */
void peer_ledger_note(struct peer_ledger *ledger, struct peer_entry *entry);
void peer_ledger_forget(struct peer_ledger *ledger, struct peer_entry *entry);

/* Writes the answer to records, which are added to *place and charged to the owner. Whoever calls
 * it has committed all that the answer before this one tells: that one is marked so. Without
 * memory, or room for the owner, nothing is written, and a successor would carry the request out
 * once more: the log says so. */
void peer_ledger_owe(struct peer_ledger *ledger, const struct owed_answer *owed,
	struct owner *owner, struct owed_place *place);
/* A successor sends that answer, whatever else it finds. when: OWED_LATER once the request's packet
 * is dropped, for an answer out of turn; OWED_DONE once what the answer tells is committed, for one
 * in turn. */
void peer_ledger_confirm(
	struct peer_ledger *ledger, const struct owed_place *place, enum owed_when when);
/* The answer was sent, or its peer is gone. Empties the place. */
void peer_ledger_delete_owed(struct peer_ledger *ledger, struct owed_place *place);

/* The peers that a predecessor had, one for each call: the first from *position on, which is 0 at
 * first. False at the end. */
bool peer_ledger_next_peer(
	const struct peer_ledger *ledger, uint32_t *position, struct peer_entry *ret);
/* Moves what is owed to the peer to the list, by order. */
void peer_ledger_take_owed(
	struct peer_ledger *ledger, uint64_t peer, struct inherited_answers *answers);
/* Whether there is any that nobody has taken. */
bool peer_ledger_owes(const struct peer_ledger *ledger, uint64_t peer);
/* Of peers that are gone. */
void peer_ledger_delete_rest(struct peer_ledger *ledger);
