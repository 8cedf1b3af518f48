/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scrape: asking gmemd once for all that is told of it, without waiting for it, by a connection
 * of its own.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct scrape;

struct scrape_plan {
	const char *socket; /* gmemd's, for operators */
	bool vms;           /* tell of each VM, too */
	bool count;         /* have pages of all VMs counted, which takes time for each page */
	/* The text; it is the callee's. why: what has failed, and the text says that gmemd is not
	 * up; NULL: nothing. text NULL: without memory. The scrape is gone. */
	void (*done)(void *context, char *take_text, size_t length, const char *why);
	void *context;
};

/* The plan is copied; done may be called before it returns. -ENOMEM. */
int scrape_begin(
	struct event_base *base, const struct scrape_plan *plan, struct scrape **ret_scrape);
/* Before it is done. Takes NULL, returns NULL. */
struct scrape *scrape_free(struct scrape *scrape);
