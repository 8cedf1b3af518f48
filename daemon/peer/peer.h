/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peers: one connection each, from accept to its end.
 *
 * A peer is read one packet at a time, in turn with all others, and not at all while an answer to
 * it could not be sent: so what it makes gmemd hold is one answer, a bounded number of events, and
 * a bounded number of fds on their way.
 */
#pragma once

#include "daemon/gmemd.h"
#include "daemon/request/request.h"

struct peer;

TAILQ_HEAD(peer_list, peer);

/*
 * A peer on the list, who is told by the connection. The entry is what of it is noted, and at the
 * keeper. Consumes both the fd and what is noted even on failure. -EDQUOT where its user has too
 * many, -ESRCH where it is gone already.
 */
int peer_new(struct gmemd *gmemd, struct peer_list *list, const struct peer_entry *entry,
	int consume_fd);
/* The same for one that a predecessor had. */
int peer_recover(struct gmemd *gmemd, struct peer_list *list, const struct peer_entry *entry,
	int consume_fd);
/* What a predecessor owed out of turn: once all that it had are on the list. */
void peers_answer_inherited(const struct peer_list *list);
/* gmemd knows by now whom its configuration lets in: ends those who were let in before that. */
void peers_end_provisional(const struct peer_list *list);
void peers_free(struct peer_list *list);
