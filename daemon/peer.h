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
#include "daemon/handler.h"

struct peer;

TAILQ_HEAD(peer_list, peer);

/*
 * A peer on the list, who is told by the connection. Consumes fd even on failure. -EDQUOT where its
 * user has too many, -ESRCH where it is gone already.
 */
int peer_new(
	struct gmemd *gmemd, struct peer_list *list, enum method_access access, int consume_fd);
void peers_free(struct peer_list *list);
