/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all parts of gmemctl share: what it was told, and how it ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct gmem;

#define CTL_DEFAULT_SOCKET "/run/gmemd/admin.sock"

#define CTL_ANY UINT64_MAX

#define CTL_TTL 600000

#define CTL_TIMEOUT     30
#define CTL_TIMEOUT_MAX 86400

/* What the program exits with. Interrupted by a signal, 128 and its number. */
enum ctl_status {
	CTL_DONE = 0,
	CTL_REFUSED = 1, /* by gmemd, or by the system */
	CTL_USAGE = 2,
	CTL_NO_DAEMON = 3,
	CTL_NOT_FOUND = 4,
};

enum ctl_sort {
	SORT_COMMITTED,
	SORT_RESIDENT,
	SORT_PRIVATE,
	SORT_RATE,
	SORT_NAME,
	SORT_AGE,
	SORT_TENANT,
	SORTS
};

/* Which VMs are shown: all that fit. NULL, CTL_ANY: all. */
struct ctl_filter {
	const char *name, *tenant, *state, *unit; /* patterns of fnmatch(3) */
	uint64_t pid;
};

struct ctl {
	const char *socket;
	bool json;          /* print raw results, errors too */
	bool verbatim;      /* strings stay what gmemd has sent: they are printed as JSON alone */
	bool bytes;         /* print sizes as they are */
	uint64_t count;     /* of events, of views; 0: without end */
	const char *memory; /* by id or name; NULL: all of a VM's */
	uint64_t node;      /* whose memories alone; CTL_ANY: all */
	uint64_t threads;   /* CTL_ANY: gmemd's choice */
	bool populate;
	bool force;            /* what a guest may be using, too */
	uint64_t milliseconds; /* between two views */
	uint64_t ttl;          /* milliseconds until what is reserved lapses */
	const char *sort_by;   /* as it was said; NULL: it was not */
	enum ctl_sort sort;    /* of top */
	bool reverse;          /* the other way round */
	const char *output;    /* columns, by their names; NULL: the usual ones */
	bool no_headings;
	bool watch;
	bool vms; /* in metrics, each of them too */
	struct ctl_filter filter;
	uint64_t timeout;  /* seconds to wait for an answer; 0: for ever */
	bool patient;      /* waits for what gmemd has received */
	struct gmem *gmem; /* NULL until the first request */
};
