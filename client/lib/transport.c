/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection, its turns and its time. See transport.h.
 */
#include "client/lib/transport.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/lib/last_error.h"
#include "protocol/json.h"

/* While too many wait to be accepted. */
#define CROWD_PAUSE_MS 20

int connection_open(const char *path, int64_t until, int *ret_fd)
{
	int r;

	while ((r = packet_connect(path, ret_fd)) == -EAGAIN && connection_now_ms() < until)
		usleep(CROWD_PAUSE_MS * 1000);
	return r;
}

void connection_limit_wait(struct gmem *gmem)
{
	gmem->waits_briefly = packet_limit_wait(gmem->fd, CONNECTION_BRIEF_WAIT_MS) == 0;
}

/* Processes */

bool connection_is_own(const struct gmem *gmem)
{
	return own_process_has_mark(gmem->mark);
}

int connection_check(const struct gmem *gmem)
{
	if (connection_is_own(gmem))
		return 0;
	return last_error_own(-ECHILD,
		"this process is a child of the one that connected, whose connection and VM are "
		"not "
		"its own: a VMM that forks, to daemonise say, must do so before gmem_connect()");
}

int connection_enter(const struct gmem *gmem)
{
	last_error_clear();
	return connection_check(gmem);
}

/* Time */

int64_t connection_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void connection_note_sign(struct gmem *gmem)
{
	gmem->sign = connection_now_ms();
}

int64_t connection_patience(const struct gmem *gmem)
{
	return gmem->limit_ms > 0 ? gmem->limit_ms : CONNECTION_PATIENCE_MS;
}

int64_t connection_until_of(const struct gmem *gmem, int64_t began)
{
	int64_t sign = gmem->sign;

	return (sign > began ? sign : began) + connection_patience(gmem);
}

int64_t connection_until(const struct gmem *gmem)
{
	int64_t until = connection_until_of(gmem, gmem->began);

	return gmem->deadline > 0 && gmem->deadline < until ? gmem->deadline : until;
}

/* Turns */

static int wait_for_turn(struct gmem *gmem, int64_t until)
{
	const struct timespec time = {until / 1000, until % 1000 * 1000000};

	return -pthread_mutex_clocklock(&gmem->turn, CLOCK_MONOTONIC, &time);
}

static void begin_turn(struct gmem *gmem, int64_t began)
{
	if (gmem->depth++ == 0)
		gmem->began = began;
}

int connection_take_turn(struct gmem *gmem)
{
	int64_t began = connection_now_ms(), until;
	int r = connection_check(gmem);

	if (r < 0)
		return r;
	do {
		until = connection_until_of(gmem, began);
		r = wait_for_turn(gmem, until);
	} while (r == -ETIMEDOUT && until < connection_until_of(gmem, began));
	if (r < 0)
		return last_error_own(-ECONNRESET,
			"another thread waits for gmemd, which has given no sign for %g s",
			(double)connection_patience(gmem) / 1000);
	begin_turn(gmem, began);
	return 0;
}

void connection_take_turn_anyway(struct gmem *gmem)
{
	pthread_mutex_lock(&gmem->turn);
	begin_turn(gmem, connection_now_ms());
}

void connection_leave_turn(struct gmem *gmem)
{
	gmem->depth--;
	pthread_mutex_unlock(&gmem->turn);
}

int connection_copy_json(struct json_object *value, char **ret)
{
	size_t length;
	const char *text = json_print(value, &length);
	char *copy = text ? strdup(text) : NULL;

	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}
