/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper's listening socket: passed by the service manager as keeper.sock, with the fds that it
 * has stored, or made in the runtime directory.
 *
 * One that is made has a lock file beside it, keeper.lock, held for as long as the keeper lives. So
 * of several that start at once one serves, and a socket found there without the lock is a dead
 * keeper's.
 */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

#include "daemon/keeper/held_fds.h"

struct keeper_listener {
	int fd;
	int lock;  /* -1 where the service manager has made the socket */
	bool made; /* by us, so that we remove it */
	struct sockaddr_un address;
};

/* passed: whether to look for what the service manager passes. -EADDRINUSE where another keeper
 * serves there, or an errno of what failed. Says nothing. */
int keeper_listener_open(struct keeper_listener *listener, const char *runtime_directory,
	bool passed, struct held_fds *holding);
void keeper_listener_close(struct keeper_listener *listener);
