/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the keeper keeps up: who may begin, and who waits until it does. See fdstore.h and
 * fdstore_internal.h.
 */
#include "daemon/fdstore/fdstore_internal.h"

/* Requests that wait for their answers: where more than these do, no request of a peer's begins
 * that would put something. Past it there is room for what those that have begun will put. */
#define UNANSWERED_MAX (KEEPER_POSTED_MAX - 32)

static const struct timeval lateness_step = {.tv_usec = STALLED_MS * 1000 / 4};

int64_t fdstore_silence(const struct fdstore *fdstore)
{
	if (!fdstore->keeper || keeper_unanswered(fdstore->keeper) == 0)
		return 0;
	return fdstore_now_ms() - fdstore->heard;
}

enum fdstore_readiness fdstore_readiness(const struct fdstore *fdstore)
{
	if (!fdstore || !fdstore_serves(fdstore) ||
		(keeper_unanswered(fdstore->keeper) < UNANSWERED_MAX &&
			TAILQ_EMPTY(&fdstore->table.queues[FDSTORE_URGENT])))
		return FDSTORE_READY;
	return fdstore_silence(fdstore) < STALLED_MS ? FDSTORE_BEHIND : FDSTORE_STALLED;
}

void fdstore_wake_waiters(struct fdstore *fdstore)
{
	struct fdstore_waiter *waiter;

	while (fdstore_readiness(fdstore) != FDSTORE_BEHIND &&
		(waiter = TAILQ_FIRST(&fdstore->waiters))) {
		TAILQ_REMOVE(&fdstore->waiters, waiter, link);
		waiter->ready(waiter);
	}
}

/* No answer tells when it is stalled. */
void fdstore_look_for_lateness(evutil_socket_t fd, short what, void *context)
{
	struct fdstore *fdstore = context;

	(void)fd;
	(void)what;
	fdstore_wake_waiters(fdstore);
	if (!TAILQ_EMPTY(&fdstore->waiters))
		event_add(fdstore->lateness, &lateness_step);
}

void fdstore_wait(struct fdstore *fdstore, struct fdstore_waiter *waiter)
{
	TAILQ_INSERT_TAIL(&fdstore->waiters, waiter, link);
	if (!event_pending(fdstore->lateness, EV_TIMEOUT, NULL))
		event_add(fdstore->lateness, &lateness_step);
}

void fdstore_forget_waiter(struct fdstore *fdstore, struct fdstore_waiter *waiter)
{
	TAILQ_REMOVE(&fdstore->waiters, waiter, link);
}
