/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signs of gmemd. See sign.h.
 */
#include "client/lib/sign.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "client/lib/last_error.h"
#include "kernel/base/cleanup.h"

/* Shares of what a silence may last: until it is asked for a sign, and asked again where that could
 * not be done. */
#define ASK_SHARE   2
#define RETRY_SHARE 8

/* A question for a sign, on a connection of its own. */
struct question {
	struct gmem *gmem;
	int fd;     /* -1: not asked */
	int64_t at; /* when to ask */
};

static void ask_later(struct question *question, int share)
{
	question->fd = fd_close(question->fd);
	question->at = connection_now_ms() + connection_patience(question->gmem) / share;
}

static void ask(struct question *question)
{
	static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
	const char *path = question->gmem->path;

	if (!path || connection_open(path, /* until= */ 0, &question->fd) < 0 ||
		packet_send(question->fd, MSG_DONTWAIT, ping, strlen(ping), NULL, 0) < 0)
		ask_later(question, RETRY_SHARE);
}

/* Whatever it answers. */
static void hear_answer(struct question *question)
{
	char byte;
	ssize_t length = recv(question->fd, &byte, sizeof byte, MSG_DONTWAIT);

	if (length < 0 && errno == EAGAIN)
		return;
	if (length > 0)
		connection_note_sign(question->gmem);
	ask_later(question, length > 0 ? ASK_SHARE : RETRY_SHARE);
}

static int clamped(int64_t milliseconds)
{
	if (milliseconds < 0)
		return 0;
	return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

static int64_t until_of(const struct gmem *gmem, const struct awaited *awaited)
{
	int64_t until = connection_until_of(gmem, awaited->began);

	return awaited->deadline > 0 && awaited->deadline < until ? awaited->deadline : until;
}

/* -EAGAIN: to go on waiting. */
static int wait_a_while(struct question *question, const struct awaited *awaited)
{
	struct gmem *gmem = question->gmem;
	int64_t now = connection_now_ms(), until = until_of(gmem, awaited);
	bool to_ask = question->fd < 0 && question->at < until;
	struct pollfd files[] = {{.fd = awaited->fd, .events = awaited->events},
		{.fd = question->fd, .events = POLLIN}};

	if (poll(files, 2, clamped((to_ask ? question->at : until) - now)) < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (files[0].revents)
		return 0;
	if (files[1].revents)
		hear_answer(question);
	now = connection_now_ms();
	if (now >= until_of(gmem, awaited))
		return -ETIMEDOUT;
	if (question->fd < 0 && now >= question->at)
		ask(question);
	return -EAGAIN;
}

int sign_wait(struct gmem *gmem, const struct awaited *awaited)
{
	struct question question = {.gmem = gmem, .fd = -1};
	int r;

	ask_later(&question, ASK_SHARE);
	do
		r = wait_a_while(&question, awaited);
	while (r == -EAGAIN);
	fd_close(question.fd);
	if (r == -ETIMEDOUT)
		last_error_own(r, "gmemd has given no sign for %g s",
			(double)connection_patience(gmem) / 1000);
	return r;
}
