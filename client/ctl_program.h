/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all parts of gmemctl share: what it was told, and how it ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct gmem;

#define CTL_DEFAULT_SOCKET "/run/gmemd/admin.sock"

/* What the program exits with. */
enum ctl_status {
	CTL_DONE = 0,
	CTL_REFUSED = 1, /* by gmemd, or by the system */
	CTL_USAGE = 2,
	CTL_NO_DAEMON = 3,
	CTL_NOT_FOUND = 4,
};

struct ctl {
	const char *socket;
	bool json;         /* print raw results, errors too */
	bool bytes;        /* print sizes as they are */
	uint64_t count;    /* of events; 0: without end */
	struct gmem *gmem; /* NULL until the first request */
};
