/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A deadline for one system call. See deadline.h.
 */
#include "kernel/base/deadline.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* It goes on firing until it is stopped: the first may come before the call has begun to wait. */
static const struct itimerspec interval = {{0, 10000000}, {0, 10000000}};

static bool made;
static timer_t timer;

static void interrupt(int number)
{
	(void)number;
}

static int make_timer(void)
{
	/* Without SA_RESTART. */
	const struct sigaction action = {.sa_handler = interrupt};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMAX};

	event.sigev_notify_thread_id = gettid();
	if (sigaction(SIGRTMAX, &action, NULL) < 0)
		return -errno;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
		return -errno;
	made = true;
	return 0;
}

int deadline_start(void)
{
	int r = made ? 0 : make_timer();

	if (r < 0)
		return r;
	return timer_settime(timer, 0, &interval, NULL) < 0 ? -errno : 0;
}

void deadline_stop(void)
{
	const struct itimerspec never = {{0, 0}, {0, 0}};
	int number = errno;

	timer_settime(timer, 0, &never, NULL);
	errno = number;
}
