/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receiving events, and waiting for them. See events.h and gmem.h.
 */
#include "client/lib/events.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "client/lib/exchange.h"
#include "client/lib/kept_events.h"
#include "client/lib/last_error.h"
#include "client/lib/reconnect.h"
#include "protocol/json.h"

/* One more packet. Nobody else receives meanwhile: the caller has its turn. -EAGAIN where there is
 * none. */
static int receive_event(struct gmem *gmem)
{
	struct json_object *message = NULL;
	int r = gmem->broken ? -ECONNRESET : exchange_receive(gmem, &message);

	if (r < 0)
		return r;
	kept_events_add(gmem, message);
	fd_list_close(&gmem->packet.fds);
	json_unref(message);
	return 0;
}

static int receive_all(struct gmem *gmem)
{
	int r = 0;

	/* Not for ever, should they come faster than this. */
	for (unsigned i = 0; r == 0 && i < EVENTS_KEPT_MAX; i++)
		r = receive_event(gmem);
	if (r == -ECONNRESET)
		r = reconnect_at_once(gmem);
	return r == -EAGAIN ? 0 : r;
}

int events_receive(struct gmem *gmem)
{
	int r = connection_take_turn(gmem);

	if (r < 0)
		return r;
	r = receive_all(gmem);
	connection_leave_turn(gmem);
	return r == -ETIMEDOUT ? -ECONNRESET : r;
}

static struct kept_event *find_kind(struct gmem *gmem, const char *kind)
{
	struct kept_event *event;

	STAILQ_FOREACH (event, &gmem->events, link) {
		if (strcmp(json_get_string(event->params, "kind"), kind) == 0)
			return event;
	}
	return NULL;
}

struct json_object *events_take(struct gmem *gmem, const char *kind)
{
	struct json_object *params = NULL;
	struct kept_event *event;

	if (connection_take_turn(gmem) < 0)
		return NULL;
	event = find_kind(gmem, kind);
	if (event) {
		STAILQ_REMOVE(&gmem->events, event, kept_event, link);
		gmem->n_events--;
		params = json_ref(event->params);
	}
	connection_leave_turn(gmem);
	kept_event_free(event);
	return params;
}

/* Connecting again takes no longer than the caller waits. deadline: negative for none. */
static int reconnect_until(struct gmem *gmem, int64_t deadline)
{
	int r;

	if (!gmem->broken)
		connection_note_sign(gmem); /* its end */
	gmem->deadline = deadline < 0 ? 0 : deadline;
	r = reconnect(gmem);
	gmem->deadline = 0;
	if (r < 0 && deadline >= 0 && connection_now_ms() >= deadline)
		return -ETIMEDOUT;
	return r == -ETIMEDOUT ? -ECONNRESET : r;
}

static int set_up_signal(struct gmem *gmem)
{
	eventfd_t count;

	if (gmem->kept_signal < 0)
		gmem->kept_signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (gmem->kept_signal < 0)
		return -errno;
	eventfd_read(gmem->kept_signal, &count);
	return 0;
}

/* By who has the turn. *ret is NULL where none has come. */
static int receive_next(struct gmem *gmem, int64_t deadline, struct kept_event **ret)
{
	int r = set_up_signal(gmem);

	while (r == 0 && gmem->n_events == 0) {
		r = receive_event(gmem);
		if (r == -ECONNRESET)
			r = reconnect_until(gmem, deadline);
	}
	*ret = kept_events_pop(gmem);
	if (gmem->n_events > 0)
		kept_events_wake(gmem);
	return r == -EAGAIN ? 0 : r;
}

static int take_next(struct gmem *gmem, int64_t deadline, struct kept_event **ret)
{
	int r = connection_take_turn(gmem);

	if (r < 0)
		return r;
	r = receive_next(gmem, deadline, ret);
	connection_leave_turn(gmem);
	return r;
}

/* Another thread's call may take in the next event, too. */
static int wait_for_some(const struct gmem *gmem, int64_t deadline)
{
	struct pollfd files[] = {
		{.fd = gmem->fd, .events = POLLIN}, {.fd = gmem->kept_signal, .events = POLLIN}};
	int64_t left = deadline < 0 ? -1 : deadline - connection_now_ms();

	if (deadline >= 0 && left <= 0)
		return -ETIMEDOUT;
	if (poll(files, 2, left > INT_MAX ? INT_MAX : (int)left) < 0)
		return deadline >= 0 && errno == EINTR ? 0 : -errno;
	return 0;
}

static int await_next(struct gmem *gmem, int64_t deadline, struct kept_event **ret)
{
	int r = 0;

	while (r == 0) {
		r = take_next(gmem, deadline, ret);
		if (r < 0 || *ret)
			return r;
		r = wait_for_some(gmem, deadline);
	}
	return r;
}

int gmem_next_event(struct gmem *gmem, int timeout_ms, char **ret_event)
{
	struct kept_event *event = NULL;
	int r = connection_enter(gmem);

	if (r == 0)
		r = await_next(
			gmem, timeout_ms < 0 ? -1 : connection_now_ms() + timeout_ms, &event);
	if (r == 0)
		r = connection_copy_json(event->params, ret_event);
	kept_event_free(event);
	return last_error_complete(r, "waiting for an event");
}
