/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fd store sends to the keeper. See fdstore_internal.h.
 */
#include "daemon/fdstore/fdstore_internal.h"

#include <errno.h>
#include <time.h>

#include "daemon/base/log.h"

/* How many requests may wait for their answers, of what can wait. */
#define UNANSWERED_REST_MAX 64
/* With too many files on their way. */
#define RETRY_MS 100

static const struct timeval retry_pause = {.tv_usec = RETRY_MS * 1000};

int64_t fdstore_now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

bool fdstore_serves(const struct fdstore *fdstore)
{
	return fdstore->keeper && keeper_fault(fdstore->keeper) == 0 &&
	       keeper_report(fdstore->keeper);
}

int fdstore_post(struct fdstore *fdstore, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, uint32_t count, uint64_t *ret_serial)
{
	int r;

	stage_begin(fdstore->stages, STAGE_KEEP);
	if (keeper_unanswered(fdstore->keeper) == 0)
		fdstore->heard = fdstore_now_ms();
	r = keeper_post(fdstore->keeper, operation, flags, ids, fds, count, ret_serial);
	stage_end(fdstore->stages, STAGE_KEEP, r);
	return r;
}

/* The end of the connection is told by an event. */
void fdstore_wait_for_room(struct fdstore *fdstore, int r)
{
	bool awaits_answer = r == -EAGAIN && keeper_unanswered(fdstore->keeper) > 0;

	if (!awaits_answer && keeper_fault(fdstore->keeper) == 0)
		event_add(fdstore->retry, &retry_pause);
}

static int send_next(struct fdstore *fdstore, struct fdstore_queue *queue)
{
	struct fdstore_batch batch;
	uint64_t serial;
	int r;

	fdstore_table_next(queue, &batch);
	r = fdstore_post(fdstore, batch.operation, batch.flags, batch.ids,
		batch.operation == KEEPER_PUT ? batch.fds : NULL, batch.count, &serial);
	if (r == 0) {
		fdstore_table_posted(&fdstore->table, queue, batch.count, serial);
	} else if (r == -EBADF) {
		log_error("a file was closed that gmemd-keeper was still to hold");
		fdstore_table_skip(&fdstore->table, queue, batch.count);
		r = 0;
	} else {
		fdstore_wait_for_room(fdstore, r);
	}
	return r;
}

int fdstore_send_urgent(struct fdstore *fdstore)
{
	struct fdstore_queue *urgent = &fdstore->table.queues[FDSTORE_URGENT];
	int r = 0;

	while (r == 0 && !TAILQ_EMPTY(urgent))
		r = send_next(fdstore, urgent);
	return r;
}

int fdstore_send_rest(struct fdstore *fdstore)
{
	struct fdstore_table *table = &fdstore->table;
	struct fdstore_queue *queue;
	int r = 0;

	while (r == 0 && (queue = fdstore_table_queue_from(table, FDSTORE_DROPS))) {
		if (keeper_unanswered(fdstore->keeper) >= UNANSWERED_REST_MAX ||
			table->n_posted_files >= fdstore->files_max)
			return -EAGAIN;
		r = send_next(fdstore, queue);
	}
	return r;
}
