/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Acceptors: each accepts the connections of one listening socket.
 *
 * The keeper accepts and gives gmemd the connection, so that none ends with gmemd. It is asked for
 * one at a time, and whoever comes next need not wait for it: where it has not answered soon, gmemd
 * accepts by itself and puts the connection later. What it answers then is served as well.
 */
#pragma once

#include "daemon/fdstore/fdstore.h"
#include "daemon/gmemd.h"
#include "daemon/peer/peer.h"

struct acceptor_plan {
	const char *name; /* of the socket */
	int fd;           /* stays the caller's, and open as long as the acceptor lives */
	enum method_access access;
	struct keeper_id id; /* of the socket at the keeper */
	struct peer_list *peers;
	/* Those who wait have connected while files could be sent: see screening.h. */
	bool screened_first;
};

struct acceptor;

/* -ENOMEM. */
int acceptor_new(struct gmemd *gmemd, const struct acceptor_plan *plan, struct acceptor **ret);
/* A connection that the keeper was asked for is left to a successor. Takes NULL, returns NULL. */
struct acceptor *acceptor_free(struct acceptor *acceptor);

/* At the start, before anybody is served: accepts those who wait already. */
void acceptor_accept_waiting(struct acceptor *acceptor);

/* Whether the keeper is asked for a connection. */
bool acceptor_is_asking(const struct acceptor *acceptor);
