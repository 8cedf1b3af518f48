/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A keeper's client that waits. See keeper_waiting.h.
 */
#include "tests/lib/keeper_waiting.h"

#include <errno.h>
#include <time.h>

#define TRIES_MAX 100

/* Where very many are posted it waits for their answers. */
static int post_waiting(struct keeper_client *keeper, enum keeper_operation operation,
	unsigned flags, const struct keeper_id *ids, const int *fds, uint32_t count)
{
	uint64_t serial;
	int r = keeper_post(keeper, operation, flags, ids, fds, count, &serial);

	if (r == -EAGAIN && keeper_unanswered(keeper) > 0)
		r = keeper_await_posted(keeper);
	else
		return r == -EAGAIN ? -ETIMEDOUT : r;
	return r < 0 ? r : keeper_post(keeper, operation, flags, ids, fds, count, &serial);
}

static int post_batches(struct keeper_client *keeper, enum keeper_operation operation,
	unsigned flags, const struct keeper_id *ids, const int *fds, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i += KEEPER_BATCH) {
		size_t left = count - i;

		r = post_waiting(keeper, operation, flags, ids + i, fds ? fds + i : NULL,
			left < KEEPER_BATCH ? (uint32_t)left : KEEPER_BATCH);
	}
	return r;
}

int keeper_post_put(struct keeper_client *keeper, const struct keeper_id *ids, const int *fds,
	size_t count, unsigned flags)
{
	return post_batches(keeper, KEEPER_PUT, flags, ids, fds, count);
}

int keeper_post_drop(struct keeper_client *keeper, const struct keeper_id *ids, size_t count)
{
	return post_batches(keeper, KEEPER_DROP, 0, ids, NULL, count);
}

/* What was posted before counts too: it awaits all. */
static int await_these(struct keeper_client *keeper, int posted)
{
	int r = keeper_await_posted(keeper);

	return posted < 0 ? posted : r;
}

int keeper_put(struct keeper_client *keeper, const struct keeper_id *ids, const int *fds,
	size_t count, unsigned flags)
{
	return await_these(keeper, keeper_post_put(keeper, ids, fds, count, flags));
}

int keeper_drop(struct keeper_client *keeper, const struct keeper_id *ids, size_t count)
{
	return await_these(keeper, keeper_post_drop(keeper, ids, count));
}

static int check_serves(const char *runtime_directory)
{
	struct keeper_client *keeper;
	int r = keeper_connect(runtime_directory, &keeper);

	if (r == 0)
		keeper_free(keeper);
	return r;
}

int keeper_start(const char *runtime_directory)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int r = check_serves(runtime_directory);
	pid_t pid;

	/* Who holds the lock may not listen yet, or not any more. */
	for (unsigned i = 0; keeper_is_missing(r) && i < TRIES_MAX; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		r = keeper_spawn(runtime_directory, &pid);
		if (r == 0)
			r = keeper_await_spawned(pid);
		if (r < 0)
			return r;
		r = check_serves(runtime_directory);
	}
	return keeper_is_missing(r) ? -ETIMEDOUT : r;
}
