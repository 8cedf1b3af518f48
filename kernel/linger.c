/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lingering. See linger.h.
 */
#include "kernel/linger.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kernel/cleanup.h"

#define PATIENCE_NANOSECONDS 1000000

static timer_t timer;
static bool have_timer;

static void awake(int number)
{
	(void)number;
}

int linger_set_up(void)
{
	struct sigaction action = {.sa_handler = awake, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};

	event._sigev_un._tid = gettid();
	if (sigaction(SIGALRM, &action, NULL) < 0 ||
		timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
		return -errno;
	have_timer = true;
	return 0;
}

static void set_timer(long nanoseconds)
{
	const struct itimerspec times = {
		.it_interval = {.tv_nsec = nanoseconds}, .it_value = {.tv_nsec = nanoseconds}};

	if (have_timer)
		timer_settime(timer, 0, &times, NULL);
}

void linger_begin(void)
{
	set_timer(PATIENCE_NANOSECONDS);
}

void linger_end(void)
{
	set_timer(0);
}

static bool is_socket(int fd)
{
	int type;
	socklen_t size = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

int linger_close(int fd)
{
	if (!is_socket(fd))
		return fd_close(fd);
	linger_begin();
	fd_close(fd);
	linger_end();
	return -1;
}
