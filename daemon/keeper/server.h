/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serving the keeper's peers: a few connections, each request answered at once.
 *
 * Peers are the keeper's own user and root. From one that doesn't read its answers nothing more is
 * read; one that sends what is no request is disconnected, and what is held stays.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/keeper/held_fds.h"

/* A gmemd, its successor, and whoever looks at them. */
#define KEEPER_CONNECTIONS 4

struct keeper_connection {
	int fd;       /* -1: none */
	bool stalled; /* has answers to read before it is served */
};

struct keeper_server {
	struct held_fds *holding;
	int listener, signals; /* not owned */
	/* How long nobody may be connected until what is of ended processes is dropped. */
	unsigned grace_seconds;
	bool exits;              /* when it then holds nothing of one that lives */
	uint64_t last_connected; /* CLOCK_MONOTONIC, nanoseconds */
	uint64_t started;        /* CLOCK_MONOTONIC, nanoseconds */
	bool resting;            /* accepts nobody for a moment */
	struct keeper_connection connections[KEEPER_CONNECTIONS];
};

/* Returns 0 at SIGTERM, SIGINT or the end of its use, or a negative errno. */
int keeper_server_run(struct keeper_server *server);
