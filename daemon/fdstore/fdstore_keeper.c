/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fd store's keeper: its answers, its end, another one, and what is said of it. See
 * fdstore_internal.h.
 */
#include <errno.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore_internal.h"
#include "daemon/owner/file_reserve.h"
#include "daemon/owner/scheduler.h"

/* Keepers that end before they answer, until another look waits. */
#define ENDS_MAX 5

/* Answers that are read before others get their turn. */
#define ANSWERS_MAX 64

#define TICK_MS 1000

/* How long a keeper may take to answer until that is said. */
#define SAYS_STALLED_MS 1000
#define SAYS_SILENT_MS  5000 /* of one that has not answered yet: it is being started */
#define QUIET_MS        2000 /* until it is asked whether it is there */

/* Answers */

static void take_result(struct fdstore *fdstore, const struct keeper_header *header)
{
	if (header->result == -EMFILE && !fdstore->said_full)
		log_warning(
			"gmemd-keeper can hold no more: what is made now will not outlive gmemd");
	else if (header->result < 0 && header->result != -EMFILE)
		log_warning("gmemd-keeper does not hold what it is sent: %s",
			strerror(-header->result));
	if (header->operation == KEEPER_PUT)
		fdstore->said_full = header->result == -EMFILE;
	fdstore_table_answered(&fdstore->table, header->serial, header->result);
}

static void greet(struct fdstore *fdstore)
{
	fdstore->report = *keeper_report(fdstore->keeper);
	fdstore->reported = true;
	if (fdstore->said_gone || fdstore->said_missing)
		log_info("gmemd-keeper is back: what gmemd holds outlives it again");
	fdstore->said_gone = fdstore->said_missing = false;
	fdstore->n_ends = 0;
}

static void take_answer(struct fdstore *fdstore, struct keeper_packet *answer)
{
	fdstore->heard = fdstore_now_ms();
	if (fdstore->said_stalled)
		log_info("gmemd-keeper answers again");
	fdstore->said_stalled = false;
	switch (answer->message.header.operation) {
	case KEEPER_HELLO:
		greet(fdstore);
		break;
	case KEEPER_ACCEPT:
		fdstore_take_connection(fdstore, answer);
		break;
	default:
		take_result(fdstore, &answer->message.header);
	}
	keeper_packet_clear(answer);
}

int fdstore_take_answers(struct fdstore *fdstore)
{
	struct keeper_packet answer;
	int r = 0;

	stage_begin(fdstore->stages, STAGE_KEEP);
	for (unsigned i = 0; r == 0 && i < ANSWERS_MAX; i++) {
		r = keeper_next_answer(fdstore->keeper, &answer);
		if (r == 0)
			take_answer(fdstore, &answer);
	}
	r = r == -EAGAIN ? 0 : r;
	stage_end(fdstore->stages, STAGE_KEEP, r);
	return r;
}

/* Keepers */

void fdstore_disconnect(struct fdstore *fdstore)
{
	if (fdstore->answered)
		event_free(fdstore->answered);
	fdstore->answered = NULL;
	fdstore->keeper = keeper_free(fdstore->keeper);
}

/* As after gmemd's user has become another, under sockets that are still the old one's. */
static const char *explain(int r)
{
	if (r == -EACCES || r == -EPERM)
		return "its socket belongs to another user, or gmemd's user may not make one "
		       "there; if systemd made it: systemctl restart gmemd-keeper.socket";
	return strerror(-r);
}

static void say_missing(struct fdstore *fdstore, int r)
{
	if (!fdstore->said_missing)
		log_warning(
			"no gmemd-keeper: what gmemd holds will not outlive it: %s", explain(r));
	fdstore->said_missing = true;
}

static void forget_keeper(struct fdstore *fdstore)
{
	fdstore_disconnect(fdstore);
	fdstore_table_lost(&fdstore->table);
	fdstore_ask_anew(fdstore);
	fdstore->complete = fdstore->said_stalled = false;
}

/* r: of its connection. One that has never answered has refused, or was about to end. */
static void lose(struct fdstore *fdstore, int r)
{
	bool has_served = keeper_report(fdstore->keeper);

	forget_keeper(fdstore);
	if (has_served) {
		log_warning("gmemd-keeper is gone");
		fdstore->said_gone = true;
	}
	if (has_served || (keeper_is_missing(r) && fdstore->n_ends++ < ENDS_MAX)) {
		keeper_search_begin(fdstore->search);
		return;
	}
	say_missing(fdstore, r);
	keeper_search_begin_later(fdstore->search);
}

static void answered(evutil_socket_t fd, short what, void *context)
{
	struct fdstore *fdstore = context;
	bool accepting = !TAILQ_EMPTY(&fdstore->acceptances);
	rlim_t usual;
	int r;

	(void)fd;
	(void)what;
	/* A connection may come with it, for which there was room when it was asked for. */
	usual = accepting ? file_reserve_open() : 0;
	r = fdstore_take_answers(fdstore);
	if (accepting)
		file_reserve_close(usual);
	if (r < 0)
		lose(fdstore, r);
	else
		fdstore_send_all(fdstore);
	fdstore_wake_waiters(fdstore);
}

static int watch_keeper(struct fdstore *fdstore)
{
	fdstore->answered = event_new(
		fdstore->base, keeper_fd(fdstore->keeper), EV_READ | EV_PERSIST, answered, fdstore);
	if (!fdstore->answered)
		return -ENOMEM;
	event_priority_set(fdstore->answered, SCHEDULER_FIRST);
	return event_add(fdstore->answered, NULL) == 0 ? 0 : -ENOMEM;
}

void fdstore_keeper_found(void *context, struct keeper_client *take_keeper)
{
	struct fdstore *fdstore = context;

	fdstore->keeper = take_keeper;
	fdstore->missing = false;
	fdstore->heard = fdstore_now_ms();
	if (watch_keeper(fdstore) == 0)
		return;
	fdstore_disconnect(fdstore);
	say_missing(fdstore, -ENOMEM);
	keeper_search_begin_later(fdstore->search);
}

/* Who connects is not to wait for it. */
void fdstore_keeper_missed(void *context, int r)
{
	struct fdstore *fdstore = context;

	fdstore->missing = true;
	say_missing(fdstore, r);
	fdstore_refuse_all(fdstore);
}

/* Of an error that only says that there is none, the next look says more. Without knowing whether
 * one holds what is to be taken over, this gmemd must not serve: it would give its connections
 * numbers that others have there, and nobody would serve those. */
int fdstore_find_first(struct fdstore *fdstore)
{
	int r = keeper_search_wait(fdstore->runtime_directory, START_SECONDS, &fdstore->keeper);

	if (r == -ETIMEDOUT || r == -EBUSY || keeper_is_unknown(r)) {
		log_error("gmemd-keeper at %s/" KEEPER_SOCKET " %s: %s", fdstore->runtime_directory,
			keeper_is_unknown(r) ? "can't be asked what this gmemd is to take over"
					     : "does not answer, and holds what this gmemd is to "
					       "take over",
			strerror(-r));
		return r;
	}
	if (r < 0) {
		fdstore->missing = true;
		say_missing(fdstore, r);
		keeper_search_begin_later(fdstore->search);
		return 0;
	}
	greet(fdstore);
	fdstore->heard = fdstore_now_ms();
	fdstore->complete = true;
	return watch_keeper(fdstore);
}

/* Time */

static void say_stalled(struct fdstore *fdstore)
{
	log_warning(
		"gmemd-keeper does not answer: gmemd serves on, and refuses what must outlive it "
		"once the keeper's queue is full");
	fdstore->said_stalled = true;
}

void fdstore_tick(void *context)
{
	struct fdstore *fdstore = context;
	bool served = fdstore_serves(fdstore);
	uint64_t serial;

	timer_file_set(fdstore->tick, TICK_MS * 1000);
	if (!fdstore->said_stalled &&
		fdstore_silence(fdstore) >= (served ? SAYS_STALLED_MS : SAYS_SILENT_MS))
		say_stalled(fdstore);
	if (served && keeper_unanswered(fdstore->keeper) == 0 &&
		fdstore_now_ms() - fdstore->heard >= QUIET_MS)
		fdstore_post(fdstore, KEEPER_HELLO, 0, NULL, NULL, 0, &serial);
}
