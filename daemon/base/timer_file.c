/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Timer files. See timer_file.h.
 */
#include "daemon/base/timer_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

struct timer_file {
	int fd;
	struct event *event;
	void (*due)(void *context);
	void *context;
};

static void ready(evutil_socket_t fd, short what, void *context)
{
	struct timer_file *timer = context;
	uint64_t times;

	(void)what;
	/* Unless it was set anew in between. */
	if (read(fd, &times, sizeof times) == sizeof times)
		timer->due(timer->context);
}

static int start(struct event_base *base, struct timer_file *timer)
{
	timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer->fd < 0)
		return -errno;
	timer->event = event_new(base, timer->fd, EV_READ | EV_PERSIST, ready, timer);
	if (!timer->event || event_priority_set(timer->event, 0 /* the first */) < 0 ||
		event_add(timer->event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

int timer_file_new(
	struct event_base *base, void (*due)(void *context), void *context, struct timer_file **ret)
{
	struct timer_file *timer = malloc(sizeof *timer);
	int r;

	if (!timer)
		return -ENOMEM;
	*timer = (struct timer_file){.fd = -1, .due = due, .context = context};
	r = start(base, timer);
	if (r < 0)
		timer_file_free(timer);
	else
		*ret = timer;
	return r;
}

struct timer_file *timer_file_free(struct timer_file *timer)
{
	if (!timer)
		return NULL;
	if (timer->event)
		event_free(timer->event);
	fd_close(timer->fd);
	free(timer);
	return NULL;
}

void timer_file_set(struct timer_file *timer, uint64_t microseconds)
{
	const struct itimerspec time = {.it_value = {.tv_sec = (time_t)(microseconds / 1000000),
						.tv_nsec = (long)(microseconds % 1000000) * 1000}};

	timerfd_settime(timer->fd, 0, &time, NULL);
}
