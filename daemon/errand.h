/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errands: what can take as long as a peer likes, done in a thread of its own, so that it delays
 * nobody else.
 *
 * An errand is the first member of what it works on. Nothing of gmemd's may be touched from work().
 */
#pragma once

#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>

struct errand {
	void (*work)(struct errand *errand); /* in the thread */
	void (*done)(struct errand
			*errand); /* in the loop, after it; frees what the errand is part of */
	pthread_t thread;
	int finished; /* an eventfd */
	struct event *event;
};

/* Starts it; work and done are set. -EAGAIN, -ENOMEM or -EMFILE where it can't be: then done is not
 * called. */
int errand_start(struct event_base *base, struct errand *errand);

/*
 * Waits milliseconds for its end. True where it has come: then done has been called, and not from
 * the loop.
 */
bool errand_wait(struct errand *errand, int milliseconds);
