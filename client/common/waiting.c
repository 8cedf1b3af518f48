/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for gmemd. See waiting.h.
 */
#include "client/common/waiting.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/common/waiting_reason.h"

#define SECONDS_IN_SILENCE 2

struct waiting {
	const struct waiting_plan *plan;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct timespec begun;
	int fd; /* -1: none yet */
	bool over;
};

/* Until so many seconds after the beginning, under the lock. False where the wait is over. */
static bool sleep_until(struct waiting *waiting, unsigned seconds)
{
	struct timespec until = waiting->begun;
	int r = 0;

	until.tv_sec += seconds;
	while (!waiting->over && r == 0)
		r = pthread_cond_clockwait(
			&waiting->changed, &waiting->lock, CLOCK_MONOTONIC, &until);
	return !waiting->over;
}

static void tell_waiting(const struct waiting *waiting)
{
	char reason[WAITING_REASON_MAX], message[WAITING_MESSAGE_MAX];

	waiting_reason(waiting->plan->socket, waiting->fd, reason, sizeof reason);
	snprintf(message, sizeof message, "waiting for gmemd at %s: %s", waiting->plan->socket,
		reason);
	waiting->plan->tell(waiting->plan->context, /* given_up= */ false, message);
}

static void give_up(const struct waiting *waiting)
{
	char reason[WAITING_REASON_MAX], message[WAITING_MESSAGE_MAX];

	waiting_reason(waiting->plan->socket, waiting->fd, reason, sizeof reason);
	snprintf(message, sizeof message, "%s: no answer in %u s: %s", waiting->plan->socket,
		waiting->plan->limit, reason);
	waiting->plan->tell(waiting->plan->context, /* given_up= */ true, message);
	_exit(waiting->plan->status);
}

/* Nobody who has its answer meanwhile is ended: the lock is held. */
static void *watch_gmemd(void *context)
{
	struct waiting *waiting = context;
	const struct waiting_plan *plan = waiting->plan;
	unsigned limit = plan->limit;

	pthread_mutex_lock(&waiting->lock);
	if ((limit == 0 || limit > SECONDS_IN_SILENCE) && sleep_until(waiting, SECONDS_IN_SILENCE))
		tell_waiting(waiting);
	while (limit > 0 && sleep_until(waiting, limit)) {
		if (!plan->patient || !waiting_is_received(waiting->fd))
			give_up(waiting);
		limit++;
	}
	pthread_mutex_unlock(&waiting->lock);
	return NULL;
}

/* Signals are for the thread that waits. */
static int start_waiting(struct waiting *waiting)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&waiting->thread, NULL, watch_gmemd, waiting);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static struct waiting *waiting_free(struct waiting *waiting)
{
	pthread_cond_destroy(&waiting->changed);
	pthread_mutex_destroy(&waiting->lock);
	free(waiting);
	return NULL;
}

struct waiting *waiting_begin(const struct waiting_plan *plan)
{
	struct waiting *waiting = malloc(sizeof *waiting);

	if (!waiting)
		return NULL;
	*waiting = (struct waiting){.plan = plan, .fd = -1};
	pthread_mutex_init(&waiting->lock, NULL);
	pthread_cond_init(&waiting->changed, NULL);
	clock_gettime(CLOCK_MONOTONIC, &waiting->begun);
	return start_waiting(waiting) == 0 ? waiting : waiting_free(waiting);
}

void waiting_at(struct waiting *waiting, int fd)
{
	if (!waiting)
		return;
	pthread_mutex_lock(&waiting->lock);
	waiting->fd = fd;
	pthread_mutex_unlock(&waiting->lock);
}

struct waiting *waiting_end(struct waiting *waiting)
{
	if (!waiting)
		return NULL;
	pthread_mutex_lock(&waiting->lock);
	waiting->over = true;
	pthread_cond_signal(&waiting->changed);
	pthread_mutex_unlock(&waiting->lock);
	pthread_join(waiting->thread, NULL);
	return waiting_free(waiting);
}
