/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The listening sockets: passed by the service manager under their names, or made in the runtime
 * directory.
 */
#pragma once

#include "daemon/gmemd.h"
#include "daemon/peer/peer.h"

/*
 * Listens on gmemd.sock and admin.sock. Those that the service manager has passed
 * (sd_listen_fds(3)) are used by their names, then those that a predecessor has left; the others
 * are made. Says what is wrong in the log.
 * -EADDRINUSE where somebody else listens there.
 */
int listeners_new(struct gmemd *gmemd, struct listeners **ret);
/* Their peers, of all of them. */
struct peer_list *listeners_peers(struct listeners *listeners);
/* The configuration has changed: gives the sockets that gmemd has made their modes, and ends the
 * connections that were let in while it was wrong. */
void listeners_follow_config(struct listeners *listeners);
/* At the start, before anybody is served: accepts those who wait already. */
void listeners_accept_waiting(struct listeners *listeners);
/* Or are about to. */
bool listeners_have_peers(const struct listeners *listeners);
/* Disconnects all peers and removes the sockets it made, unless a successor is to have both. Takes
 * NULL, returns NULL. */
struct listeners *listeners_free(struct listeners *listeners);
