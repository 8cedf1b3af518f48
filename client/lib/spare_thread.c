/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spare threads. See spare_thread.h.
 */
#include "client/lib/spare_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#define IDLE_NS 5000000

/* The thread's, and room for what the program has in thread-local storage. */
#define STACK_SIZE (256 * 1024)

/* Of the process: at most one thread waits. */
struct spare {
	pthread_mutex_t lock;
	pthread_cond_t called;
	struct spare_work *work; /* what it is called for; NULL: nothing yet */
	bool waits;
};

static const struct spare nobody = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER};
static struct spare spare = {.lock = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER};
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A child has none of its parent's threads, whatever they were at. */
static void forget_in_child(void)
{
	spare = nobody;
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_in_child);
}

static struct timespec end_of_wait(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_nsec += IDLE_NS;
	if (time.tv_nsec >= 1000000000) {
		time.tv_sec++;
		time.tv_nsec -= 1000000000;
	}
	return time;
}

/* NULL where another waits already, or nothing has come. */
static struct spare_work *wait_for_work(void)
{
	const struct timespec end = end_of_wait();
	struct spare_work *work = NULL;

	pthread_mutex_lock(&spare.lock);
	if (!spare.waits) {
		spare.waits = true;
		while (!spare.work && pthread_cond_clockwait(&spare.called, &spare.lock,
					      CLOCK_MONOTONIC, &end) == 0)
			continue;
		spare.waits = false;
		work = spare.work;
		spare.work = NULL;
	}
	pthread_mutex_unlock(&spare.lock);
	return work;
}

static bool call_spare(struct spare_work *work)
{
	bool free;

	pthread_mutex_lock(&spare.lock);
	free = spare.waits && !spare.work;
	if (free) {
		spare.work = work;
		pthread_cond_signal(&spare.called);
	}
	pthread_mutex_unlock(&spare.lock);
	return free;
}

static void *run_works(void *context)
{
	for (struct spare_work *work = context; work; work = wait_for_work())
		work->run(work->context);
	return NULL;
}

static int start_thread(struct spare_work *work)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int r;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&thread, &attributes, run_works, work);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}

int spare_thread_run(struct spare_work *work)
{
	pthread_once(&once, watch_forks);
	return call_spare(work) ? 0 : start_thread(work);
}
