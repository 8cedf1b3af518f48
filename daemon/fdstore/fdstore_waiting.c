/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the start and the end of gmemd wait for. See fdstore.h and fdstore_internal.h.
 */
#include <poll.h>

#include "daemon/fdstore/fdstore_internal.h"

#define WAITING_STEP_MS 10

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
	return fdstore_table_queue_from((struct fdstore_table *)&fdstore->table, FDSTORE_URGENT);
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

void fdstore_leave(struct fdstore *fdstore)
{
	fdstore->left = true;
}

bool fdstore_is_left(const struct fdstore *fdstore)
{
	return fdstore && fdstore->left;
}
