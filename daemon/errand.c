/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errands. See errand.h.
 */
#include "daemon/errand.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "kernel/cleanup.h"

/* What one needs is a few KiB of stack; the least that a thread gets may be more. */
#define STACK_SIZE (256 * 1024)

static void *run(void *context)
{
	struct errand *errand = context;

	errand->work(errand);
	eventfd_write(errand->finished, 1);
	return NULL;
}

static void errand_clear(struct errand *errand)
{
	if (errand->event)
		event_free(errand->event);
	errand->finished = fd_close(errand->finished);
}

static void errand_end(struct errand *errand)
{
	pthread_join(errand->thread, NULL);
	errand_clear(errand);
	errand->done(errand);
}

static void finished(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	errand_end(context);
}

static int errand_run(struct event_base *base, struct errand *errand)
{
	pthread_attr_t attributes;
	int r;

	errand->event = event_new(base, errand->finished, EV_READ, finished, errand);
	if (!errand->event || event_add(errand->event, NULL) < 0)
		return -ENOMEM;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	r = pthread_create(&errand->thread, &attributes, run, errand);
	pthread_attr_destroy(&attributes);
	return -r;
}

int errand_start(struct event_base *base, struct errand *errand)
{
	int r;

	errand->event = NULL;
	errand->finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (errand->finished < 0)
		return -errno;
	r = errand_run(base, errand);
	if (r < 0)
		errand_clear(errand);
	return r;
}

bool errand_wait(struct errand *errand, int milliseconds)
{
	struct pollfd event = {.fd = errand->finished, .events = POLLIN};

	if (poll(&event, 1, milliseconds) <= 0)
		return false;
	errand_end(errand);
	return true;
}
