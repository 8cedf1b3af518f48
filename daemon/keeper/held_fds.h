/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the keeper holds: fds by their ids, up to a limit. All of it is in memory and in the fds
 * themselves; the service manager's fd store has duplicates of those that were put with
 * KEEPER_STORE, for the keeper's own restart.
 */
#pragma once

#include <poll.h>
#include <stddef.h>

#include "daemon/keeper/protocol.h"
#include "kernel/base/tree.h"

struct held {
	RB_ENTRY(held) link;
	struct keeper_id id;
	int fd;
	unsigned flags; /* of enum keeper_flag: that it was put with */
};

RB_HEAD(held_tree, held);

struct held_fds {
	struct held_tree tree;
	size_t count, limit;
	size_t n_lives; /* of those with KEEPER_LIFE */
};

void held_fds_init(struct held_fds *holding, size_t limit);
/* Closes all. What the service manager has stored stays there. */
void held_fds_clear(struct held_fds *holding);

/* Takes all of the fds over, which are -1 then, or, where it fails, none. flags: of enum
 * keeper_flag. -EMFILE past the limit, -ENOMEM. */
int held_fds_put(struct held_fds *holding, const struct keeper_id *ids, int *fds, unsigned count,
	unsigned flags);
/* Accepts a connection at a listening socket that it holds, and holds it as an id, unless it holds
 * one as that already. *ret_fd stays the holding's. -EAGAIN where none waits, -ENOENT where it
 * holds no such socket, -EMFILE. */
int held_fds_accept(struct held_fds *holding, const struct keeper_id *listener,
	const struct keeper_id *connection, int *ret_fd);
void held_fds_drop(struct held_fds *holding, const struct keeper_id *id);

/* What to wait for, of n_lives of them: the ends of processes. Returns how many there are. */
size_t held_fds_lives(const struct held_fds *holding, struct pollfd *events);
/* Drops what is of processes that have ended. */
void held_fds_drop_ended(struct held_fds *holding);

/* The first one after an id, or of all where it is NULL. NULL where there is none. */
const struct held *held_fds_after(const struct held_fds *holding, const struct keeper_id *id);
/* The one after that. */
const struct held *held_fds_next(const struct held *held);

/* Takes over a fd that the service manager gave back under the name that it was stored by. -EINVAL
 * where it is no such name. */
int held_fds_restore(struct held_fds *holding, const char *name, int fd);
