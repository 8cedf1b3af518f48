/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disposal: closing files of peers that gmemd does not keep.
 *
 * close(2) can wait for whoever made the file: for a FUSE file system's server, for a socket that
 * lingers, for what is freed with the last reference. So it is an errand, and its user can have but
 * a few of them under way.
 */
#pragma once

#include "daemon/gmemd.h"
#include "protocol/packet.h"

/* Whether the user's earlier disposals leave room for another. */
bool disposal_has_room(struct gmemd *gmemd, uid_t uid);

struct disposal;

/*
 * Closes what it can of what the list still owns at once, and takes the rest over, to be closed by
 * disposal_start(). NULL where nothing is left. Where there is no memory, or no room, NULL with
 * what the list still owns.
 */
struct disposal *disposal_new(struct gmemd *gmemd, uid_t uid, struct fd_list *fds);
/* Closes them, and frees it once that is done. Takes NULL, returns NULL. */
struct disposal *disposal_start(struct disposal *disposal);

/* Closes one file. */
void disposal_close_one(struct gmemd *gmemd, uid_t uid, int take_fd);
