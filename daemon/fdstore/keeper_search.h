/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The search for a keeper: one that serves is connected to, else one is started.
 *
 * At its start gmemd waits, for a keeper that is there holds what a predecessor has left. Later
 * nothing waits: connecting never does, the end of what is started is told by an event, and what
 * can't be had now is looked for again.
 */
#pragma once

#include <event2/event.h>

#include "daemon/fdstore/keeper_client.h"

/*
 * Waits until a keeper has answered. -ETIMEDOUT or -EBUSY where one is there and doesn't answer, or
 * serves others, for that long; it says in the log for whom it waits. Other errors are those of
 * keeper_await_spawned() and keeper_connect(): then nothing is held that could be had.
 */
int keeper_search_wait(const char *runtime_directory, unsigned seconds, struct keeper_client **ret);

struct keeper_search;

/* found: connected, and greeted; it may yet refuse. missed: there is none now; the search goes
 * on. */
struct keeper_search_events {
	void (*found)(void *context, struct keeper_client *take_keeper);
	void (*missed)(void *context, int error);
	void *context;
};

/* -ENOMEM. */
int keeper_search_new(struct event_base *base, const char *runtime_directory,
	const struct keeper_search_events *events, struct keeper_search **ret);
/* Takes NULL, returns NULL. What it has started goes on. */
struct keeper_search *keeper_search_free(struct keeper_search *search);

/* Begins, in the next turn of the loop. */
void keeper_search_begin(struct keeper_search *search);
/* Begins after a second: what was found was of no use. */
void keeper_search_begin_later(struct keeper_search *search);
