/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scheduler: whose turn it is in the loop.
 *
 * What a peer can make gmemd do is work of its owner's, and waits for that owner's turn (share.h).
 * A turn lasts until its time is over or its owner has no more work; work that takes longer looks
 * whether it is over and goes on in the next one. After some turns the loop looks for new events
 * again, so that whoever has asked meanwhile waits for few others' turns, and not for their work.
 *
 * Releasing VMs whose process has ended, and operators' work, have shares of their own beside all
 * that users do. What is only a step of gmemd's own (a signal, what a thread or the keeper has
 * done) is no work: it is an event with SCHEDULER_FIRST as its priority.
 */
#pragma once

#include <event2/event.h>

#include "daemon/owner/owner.h"

/* Priorities of the event base: scheduler_new() is for one with these. */
enum scheduler_priority {
	SCHEDULER_FIRST,
	SCHEDULER_DEFAULT, /* events have this one, unless told otherwise */
	SCHEDULER_PRIORITIES
};

struct scheduler;

struct work {
	struct share_work share;
	struct owner *owner; /* not owned; there for as long as the work waits */
	void (*run)(struct work *work);
};

/* Both must outlive it. -ENOMEM. */
int scheduler_new(struct event_base *base, struct owners *owners, struct scheduler **ret);
/* Work that waits is never run then. Takes NULL, returns NULL. */
struct scheduler *scheduler_free(struct scheduler *scheduler);

/* Has the work run once, in a turn of its owner's, after all that waits of that owner already. Work
 * that waits already stays where it is. */
void scheduler_ready(struct scheduler *scheduler, struct work *work);
/* The same, before all that waits of its owner: it was begun in an earlier turn. */
void scheduler_go_on(struct scheduler *scheduler, struct work *work);
/* The same of the release of a VM whose process has ended. */
void scheduler_ready_to_release(struct scheduler *scheduler, struct work *work);
/* The work is not run. It need not be waiting. */
void scheduler_forget(struct work *work);
bool scheduler_has(const struct work *work);

/* Whether the turn that is under way has lasted long enough. False outside of a turn, and for
 * NULL. */
bool scheduler_turn_is_over(const struct scheduler *scheduler);
