/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for the keeper: who may begin, who waits, and what the start and the end wait for. See
 * fdstore.h and internal.h.
 */
#include <poll.h>

#include "daemon/fdstore/internal.h"

/* Requests that wait for their answers: where more than these do, no request of a peer's begins
 * that would put something. Past it there is room for what those that have begun will put. */
#define UNANSWERED_MAX (KEEPER_POSTED_MAX - 32)

#define WAITING_STEP_MS 10

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
			TAILQ_EMPTY(&fdstore->table.urgent)))
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

/* Serves the keeper alone. */
static void wait_while(struct fdstore *fdstore,
	bool (*waits)(const struct fdstore *fdstore, const void *context), const void *context,
	unsigned milliseconds)
{
	int64_t until = fdstore_now_ms() + milliseconds;

	fdstore_send_all(fdstore);
	while (fdstore_serves(fdstore) && waits(fdstore, context) && fdstore_now_ms() < until) {
		struct pollfd event = {.fd = keeper_fd(fdstore->keeper), .events = POLLIN};

		poll(&event, 1, WAITING_STEP_MS);
		if (fdstore_take_answers(fdstore) < 0)
			return; /* known to the loop, if there is another turn of it */
		fdstore_send_all(fdstore);
	}
}

static bool has_unsent(const struct fdstore *fdstore, const void *context)
{
	(void)context;
	return !TAILQ_EMPTY(&fdstore->table.urgent) || !TAILQ_EMPTY(&fdstore->table.rest);
}

void fdstore_await_sent(struct fdstore *fdstore, unsigned milliseconds)
{
	if (fdstore)
		wait_while(fdstore, has_unsent, NULL, milliseconds);
}

static bool is_asked(const struct fdstore *fdstore, const void *acceptance)
{
	(void)fdstore;
	return ((const struct fdstore_acceptance *)acceptance)->asked;
}

void fdstore_accept_wait(struct fdstore *fdstore, const struct fdstore_acceptance *acceptance)
{
	wait_while(fdstore, is_asked, acceptance, STALLED_MS);
}
