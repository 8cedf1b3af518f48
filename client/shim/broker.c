/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread that talks to gmemd. See broker.h.
 */
#include "client/shim/broker.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>

#include "client/lib/last_error.h"
#include "client/lib/transport.h"
#include "client/lib/vm_state.h"
#include "client/shim/book.h"
#include "client/shim/say.h"
#include "client/shim/settings.h"

/* Until it is said that something waits, and said again. */
#define SAID_AFTER_S 2
#define SAID_EVERY_S 60

/* Where gmemd is gone and nobody asks for anything: to try again. */
#define IDLE_PAUSE_MS 1000

struct queued {
	STAILQ_ENTRY(queued) link;
	struct job *job;
	int result;
	bool posted; /* nobody waits for it: both are the thread's to free */
	bool done;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t done;
	STAILQ_HEAD(, queued) queue;
	int wake; /* an eventfd */
	bool started;
	/* The thread's. */
	const struct settings *settings;
	struct gmem *gmem;
	struct gmem_vm *vm;
} broker = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
	.queue = STAILQ_HEAD_INITIALIZER(broker.queue),
	.wake = -1,
};

static __thread bool is_this_thread;

bool broker_is_this_thread(void)
{
	return is_this_thread;
}

struct gmem_vm *broker_vm(void)
{
	return broker.vm;
}

int broker_connection(void)
{
	return broker.gmem ? broker.gmem->fd : -1;
}

void broker_files(int ret[static BROKER_FILES])
{
	ret[0] = broker.wake;
	ret[1] = broker.vm ? broker.vm->fd : -1;
	ret[2] = broker.vm ? broker.vm->opening.kvm_fd : -1;
	ret[3] = broker.vm ? broker.vm->opening.mailbox_fd : -1;
}

/* The thread */

int broker_open_vm(void *unused)
{
	int r = 0;

	(void)unused;
	if (!broker.gmem)
		r = gmem_connect(broker.settings->socket, &broker.gmem);
	if (r == 0)
		gmem_set_reconnect_limit(broker.gmem,
			broker.settings->timeout_ms > 0 ? broker.settings->timeout_ms : UINT_MAX);
	if (r == 0)
		r = gmem_vm_open(broker.gmem, &broker.settings->vm, &broker.vm);
	return r;
}

static void run_one(struct queued *queued)
{
	struct job *job = queued->job;

	last_error_clear();
	if (broker.gmem)
		gmem_set_reconnect_limit(
			broker.gmem, job->patience_ms > 0 ? job->patience_ms : UINT_MAX);
	queued->result = job->run(job->context);
	if (queued->result >= 0)
		return;
	snprintf(job->message, sizeof job->message, "%s", gmem_last_message());
	if (job->message[0] == '\0')
		snprintf(job->message, sizeof job->message, "%s", strerror(-queued->result));
	snprintf(job->reason, sizeof job->reason, "%s", last_error_details()->reason);
}

static struct queued *take_next(void)
{
	struct queued *queued;

	pthread_mutex_lock(&broker.lock);
	queued = STAILQ_FIRST(&broker.queue);
	if (queued)
		STAILQ_REMOVE_HEAD(&broker.queue, link);
	pthread_mutex_unlock(&broker.lock);
	return queued;
}

static void finish_posted(struct queued *take_queued)
{
	if (take_queued->result < 0)
		say("%s: %s", take_queued->job->what, take_queued->job->message);
	free(take_queued->job);
	free(take_queued);
}

static void run_all(void)
{
	struct queued *queued;

	while ((queued = take_next())) {
		run_one(queued);
		if (queued->posted) {
			finish_posted(queued);
			continue;
		}
		pthread_mutex_lock(&broker.lock);
		queued->done = true;
		pthread_cond_broadcast(&broker.done);
		pthread_mutex_unlock(&broker.lock);
	}
}

/* A VM that has nothing to ask is known to the next gmemd all the same. */
static void stay_known(bool *lost)
{
	*lost = gmem_dispatch(broker.gmem) < 0;
}

static void *serve(void *unused)
{
	eventfd_t count;
	bool lost = false;

	(void)unused;
	is_this_thread = true;
	for (;;) {
		struct pollfd files[] = {{.fd = broker.wake, .events = POLLIN},
			{.fd = broker.gmem && !lost ? gmem_fd(broker.gmem) : -1, .events = POLLIN}};

		if (poll(files, 2, lost ? IDLE_PAUSE_MS : -1) < 0)
			continue;
		if (files[0].revents)
			eventfd_read(broker.wake, &count);
		run_all();
		if (broker.gmem && (lost || files[1].revents))
			stay_known(&lost);
	}
	return NULL;
}

static int start_thread(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int r;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&thread, &attributes, serve, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}

int broker_start(const struct settings *settings)
{
	int r;

	if (broker.started)
		return 0;
	broker.settings = settings;
	if (broker.wake < 0)
		broker.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (broker.wake < 0)
		return -errno;
	r = start_thread();
	broker.started = r == 0;
	return r;
}

/* Who asks */

static void enqueue(struct queued *queued)
{
	pthread_mutex_lock(&broker.lock);
	STAILQ_INSERT_TAIL(&broker.queue, queued, link);
	pthread_mutex_unlock(&broker.lock);
	eventfd_write(broker.wake, 1);
}

static void say_waiting(const struct job *job, time_t waited)
{
	say("%s: waiting for gmemd, for %ld s now", job->what, (long)waited);
}

/* Under the lock. */
static void wait_until_done(struct queued *queued)
{
	struct timespec now, until;
	time_t began, waits = SAID_AFTER_S;

	clock_gettime(CLOCK_MONOTONIC, &now);
	began = now.tv_sec;
	until = now;
	until.tv_sec += waits;
	while (!queued->done) {
		if (pthread_cond_clockwait(&broker.done, &broker.lock, CLOCK_MONOTONIC, &until) !=
			ETIMEDOUT)
			continue;
		say_waiting(queued->job, until.tv_sec - began);
		until.tv_sec += SAID_EVERY_S;
	}
}

/* What gmemd has released for good has no memory any more. */
static void end_where_lost(const struct job *job)
{
	if (broker.vm && strcmp(job->reason, "gone") == 0)
		say_and_end("%s: gmemd has lost this VM for good: %s", job->what, job->message);
}

int broker_do(struct job *job)
{
	struct queued queued = {.job = job};

	job->message[0] = job->reason[0] = '\0';
	enqueue(&queued);
	pthread_mutex_lock(&broker.lock);
	wait_until_done(&queued);
	pthread_mutex_unlock(&broker.lock);
	if (queued.result < 0)
		end_where_lost(job);
	return queued.result;
}

void broker_post(int (*run)(void *context), void *context, const char *what)
{
	struct queued *queued = book_allocate(sizeof *queued);

	queued->job = book_allocate(sizeof *queued->job);
	*queued->job = (struct job){.run = run, .context = context, .what = what};
	queued->posted = true;
	enqueue(queued);
}
