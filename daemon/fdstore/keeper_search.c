/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The search for a keeper. See keeper_search.h.
 */
#include "daemon/fdstore/keeper_search.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/owner/file_reserve.h"
#include "kernel/base/cleanup.h"

/* Who holds the keeper's lock may not listen yet, or not any more. */
#define STARTS_MAX 10

#define PAUSE_MS       20
#define CROWD_PAUSE_MS 100 /* where others wait for it, too */
#define REST_MS        1000
#define START_MS       5000 /* what a keeper that is started may take */

/* Until it is said that it is waited for. */
#define SILENCE_MS 1000

/* At the start */

struct wait {
	const char *runtime_directory;
	int64_t began, until; /* CLOCK_MONOTONIC, milliseconds */
	unsigned starts;
	bool said;
};

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void pause_ms(unsigned milliseconds)
{
	const struct timespec time = {.tv_nsec = (long)milliseconds * 1000000};

	nanosleep(&time, NULL);
}

static void say_for_whom(struct wait *wait)
{
	if (!wait->said)
		log_warning("waiting for gmemd-keeper at %s/" KEEPER_SOCKET
			    ", which doesn't answer: it holds what this gmemd is to take over",
			wait->runtime_directory);
	wait->said = true;
}

/* For its first answer, which says whether it serves this process. */
static int wait_for_greeting(struct wait *wait, struct keeper_client *keeper)
{
	struct keeper_packet answer;
	int r;

	while ((r = keeper_next_answer(keeper, &answer)) == -EAGAIN) {
		struct pollfd event = {.fd = keeper_fd(keeper), .events = POLLIN};
		int64_t now = now_ms();

		if (now >= wait->until)
			return -ETIMEDOUT;
		if (now >= wait->began + SILENCE_MS)
			say_for_whom(wait);
		poll(&event, 1, (int)((wait->said ? wait->until : wait->began + SILENCE_MS) - now));
	}
	return r;
}

static int start_one(struct wait *wait)
{
	pid_t pid;
	int r;

	if (wait->starts++ == STARTS_MAX)
		return -ECONNREFUSED;
	if (wait->starts > 1)
		pause_ms(PAUSE_MS);
	r = keeper_spawn(wait->runtime_directory, &pid);
	return r < 0 ? r : keeper_await_spawned(pid);
}

/* 0 where another try may do. */
static int prepare_next_try(struct wait *wait, int r)
{
	if (keeper_is_missing(r))
		return start_one(wait);
	if (r != -EAGAIN && r != -EBUSY)
		return r;
	if (now_ms() >= wait->until)
		return r == -EAGAIN ? -ETIMEDOUT : r;
	if (now_ms() >= wait->began + SILENCE_MS)
		say_for_whom(wait);
	pause_ms(CROWD_PAUSE_MS);
	return 0;
}

int keeper_search_wait(const char *runtime_directory, unsigned seconds, struct keeper_client **ret)
{
	struct wait wait = {.runtime_directory = runtime_directory, .began = now_ms()};
	struct keeper_client *keeper;
	int r = 0;

	wait.until = wait.began + seconds * 1000;
	while (r == 0) {
		r = keeper_reach(runtime_directory, &keeper);
		if (r == 0) {
			r = wait_for_greeting(&wait, keeper);
			if (r == 0) {
				*ret = keeper;
				return 0;
			}
			keeper_free(keeper);
		}
		r = prepare_next_try(&wait, r);
	}
	return r;
}

/* Later */

struct keeper_search {
	struct event_base *base;
	const char *runtime_directory;
	struct keeper_search_events events;
	struct event *timer;
	unsigned starts;
	/* What is being started. */
	pid_t pid; /* 0: nothing */
	int pidfd;
	struct event *ended;
};

static void look_again(struct keeper_search *search, unsigned milliseconds)
{
	const struct timeval pause = {milliseconds / 1000, milliseconds % 1000 * 1000};

	event_add(search->timer, &pause);
}

static void note_missing(struct keeper_search *search, int r)
{
	search->starts = 0;
	look_again(search, REST_MS);
	search->events.missed(search->events.context, r);
}

static void forget_started(struct keeper_search *search)
{
	if (search->ended)
		event_free(search->ended);
	search->ended = NULL;
	search->pidfd = fd_close(search->pidfd);
	search->pid = 0;
}

static void keeper_started(evutil_socket_t pidfd, short what, void *context)
{
	struct keeper_search *search = context;
	int status, r = -ECHILD;

	if (what & EV_TIMEOUT) {
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		event_add(search->ended, NULL);
		return;
	}
	if (waitpid(search->pid, &status, WNOHANG) > 0 && WIFEXITED(status) &&
		WEXITSTATUS(status) == EXIT_SUCCESS)
		r = 0;
	forget_started(search);
	if (r < 0)
		note_missing(search, r);
	else
		look_again(search, search->starts > 1 ? PAUSE_MS : 0);
}

static int watch_started(struct keeper_search *search)
{
	const struct timeval patience = {START_MS / 1000, START_MS % 1000 * 1000};

	search->pidfd = pidfd_open(search->pid, 0);
	if (search->pidfd < 0)
		return -errno;
	search->ended = event_new(search->base, search->pidfd, EV_READ, keeper_started, search);
	if (search->ended && event_add(search->ended, &patience) == 0)
		return 0;
	if (search->ended)
		event_free(search->ended);
	search->ended = NULL;
	search->pidfd = fd_close(search->pidfd);
	return -ENOMEM;
}

static int start_another(struct keeper_search *search)
{
	int r;

	if (search->starts++ == STARTS_MAX)
		return -ECONNREFUSED;
	r = keeper_spawn(search->runtime_directory, &search->pid);
	if (r == 0 && watch_started(search) < 0)
		look_again(search, REST_MS);
	return r;
}

/* Without a file for its pidfd its end is asked for every now and then. */
static bool is_starting(struct keeper_search *search)
{
	if (search->pid == 0 || search->ended)
		return search->pid > 0;
	if (waitpid(search->pid, NULL, WNOHANG) == 0) {
		look_again(search, REST_MS);
		return true;
	}
	forget_started(search);
	return false;
}

static void look_for_keeper(struct keeper_search *search)
{
	struct keeper_client *keeper;
	int r;

	if (is_starting(search))
		return;
	r = keeper_reach(search->runtime_directory, &keeper);
	if (r == 0) {
		search->starts = 0;
		search->events.found(search->events.context, keeper);
		return;
	}
	if (r == -EAGAIN) {
		look_again(search, CROWD_PAUSE_MS);
		return;
	}
	if (keeper_is_missing(r))
		r = start_another(search);
	if (r < 0)
		note_missing(search, r);
}

static void look_event(evutil_socket_t fd, short what, void *context)
{
	rlim_t usual = file_reserve_open();

	(void)fd;
	(void)what;
	look_for_keeper(context);
	file_reserve_close(usual);
}

int keeper_search_new(struct event_base *base, const char *runtime_directory,
	const struct keeper_search_events *events, struct keeper_search **ret)
{
	struct keeper_search *search = calloc(1, sizeof *search);

	if (!search)
		return -ENOMEM;
	*search = (struct keeper_search){.base = base,
		.runtime_directory = runtime_directory,
		.events = *events,
		.pidfd = -1};
	search->timer = event_new(base, -1, 0, look_event, search);
	if (!search->timer) {
		free(search);
		return -ENOMEM;
	}
	*ret = search;
	return 0;
}

struct keeper_search *keeper_search_free(struct keeper_search *search)
{
	if (!search)
		return NULL;
	forget_started(search);
	event_free(search->timer);
	free(search);
	return NULL;
}

void keeper_search_begin(struct keeper_search *search)
{
	look_again(search, 0);
}

void keeper_search_begin_later(struct keeper_search *search)
{
	look_again(search, REST_MS);
}
