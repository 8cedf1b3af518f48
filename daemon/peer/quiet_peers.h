/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quiet peers: connections that a predecessor has left, of which nothing else is known: nobody has
 * begun with a packet of theirs, owes them an answer or tells them of events.
 *
 * They wait to become peers until gmemd serves, for nobody can tell them from peers whose packets
 * nobody has read yet. But whatever looks at how many connections an owner has, has all of them
 * recovered before that.
 */
#pragma once

#include "daemon/gmemd.h"
#include "daemon/peer/peer.h"

struct quiet_peers;

/* The list is where they will be. -ENOMEM. */
int quiet_peers_new(struct gmemd *gmemd, struct peer_list *list, struct quiet_peers **ret);
/* They stay as the predecessor has left them. Takes NULL, returns NULL. */
struct quiet_peers *quiet_peers_free(struct quiet_peers *quiet);

/* Those below take NULL. */

/* False where it is none, or there is no memory: the fd stays the caller's then. */
bool quiet_peers_take(struct quiet_peers *quiet, const struct peer_entry *entry, int consume_fd);

/* Some of them; whether there are more. */
bool quiet_peers_recover_some(struct quiet_peers *quiet);
void quiet_peers_recover_all(struct quiet_peers *quiet);
bool quiet_peers_any(const struct quiet_peers *quiet);
