/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verifications. See verification.h.
 */
#include "daemon/verification.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/cleanup.h"

/* What one needs is a few KiB of stack; the least that a thread gets may be more. */
#define STACK_SIZE (256 * 1024)

struct job {
	struct gmemd *gmemd;
	struct verification verification;
	verification_done *done;
	pthread_t thread;
	int finished; /* an eventfd */
	struct event *event;
};

static void *verify(void *context)
{
	struct job *job = context;
	struct verification *verification = &job->verification;

	verification->reason = "the mailbox's mapping could not be read";
	verification->result = mapping_verify(
		verification->trap.thread, &verification->expected, &verification->reason);
	eventfd_write(job->finished, 1);
	return NULL;
}

static void job_free(struct job *job)
{
	if (job->event)
		event_free(job->event);
	fd_close(job->finished);
	free(job);
}

static void finished(evutil_socket_t fd, short what, void *context)
{
	struct job *job = context;

	(void)fd;
	(void)what;
	pthread_join(job->thread, NULL);
	job->done(job->gmemd, &job->verification);
	job_free(job);
}

static int job_run(struct job *job)
{
	pthread_attr_t attributes;
	int r;

	job->finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->finished < 0)
		return -errno;
	job->event = event_new(job->gmemd->base, job->finished, EV_READ, finished, job);
	if (!job->event || event_add(job->event, NULL) < 0)
		return -ENOMEM;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	r = pthread_create(&job->thread, &attributes, verify, job);
	pthread_attr_destroy(&attributes);
	return -r;
}

int verification_start(
	struct gmemd *gmemd, const struct verification *verification, verification_done *done)
{
	struct job *job = calloc(1, sizeof *job);
	int r;

	if (!job)
		return -ENOMEM;
	job->gmemd = gmemd;
	job->verification = *verification;
	job->done = done;
	job->finished = -1;
	r = job_run(job);
	if (r < 0)
		job_free(job);
	return r;
}
