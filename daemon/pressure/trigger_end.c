/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ends of triggers. See trigger_end.h.
 */
#include "daemon/pressure/trigger_end.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

struct ended {
	STAILQ_ENTRY(ended) link;
	struct pressure_trigger trigger;
};

static struct {
	pthread_mutex_t lock;
	STAILQ_HEAD(, ended) waiting;
	bool has_thread;
} ends = {.lock = PTHREAD_MUTEX_INITIALIZER, .waiting = STAILQ_HEAD_INITIALIZER(ends.waiting)};

/* NULL where there is none, and then the thread is as good as gone. */
static struct ended *next(void)
{
	struct ended *ended;

	pthread_mutex_lock(&ends.lock);
	ended = STAILQ_FIRST(&ends.waiting);
	if (ended)
		STAILQ_REMOVE_HEAD(&ends.waiting, link);
	else
		ends.has_thread = false;
	pthread_mutex_unlock(&ends.lock);
	return ended;
}

static void *close_all(void *context)
{
	struct ended *ended;

	while ((ended = next())) {
		pressure_trigger_close(&ended->trigger);
		free(ended);
	}
	return context;
}

static bool start_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, close_all, NULL) != 0)
		return false;
	pthread_detach(thread);
	return true;
}

/* Under the lock. Without a thread they wait for one that comes with the next. */
static void enqueue(struct ended *ended)
{
	STAILQ_INSERT_TAIL(&ends.waiting, ended, link);
	if (!ends.has_thread)
		ends.has_thread = start_thread();
}

void trigger_end(struct pressure_trigger *trigger)
{
	struct ended *ended = trigger->file >= 0 ? malloc(sizeof *ended) : NULL;

	if (!ended) {
		pressure_trigger_close(trigger);
		return;
	}
	ended->trigger = *trigger;
	*trigger = (struct pressure_trigger){-1, -1};
	pthread_mutex_lock(&ends.lock);
	enqueue(ended);
	pthread_mutex_unlock(&ends.lock);
}
