/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fd store. See fdstore.h.
 */
#include "daemon/fdstore/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/keeper_search.h"
#include "daemon/owner/file_reserve.h"
#include "daemon/owner/scheduler.h"
#include "kernel/base/cleanup.h"

#define FILES_SPARE 1024

/* For a keeper that is there, at the start. */
#define START_SECONDS 20

/* Requests that wait for their answers: where more than these do, no request of a peer's begins
 * that would put something. Past it there is room for what those that have begun will put. */
#define UNANSWERED_MAX (KEEPER_POSTED_MAX - 32)
/* How many of them may be of what can wait. */
#define UNANSWERED_REST_MAX 64

/* Files that are put are on their way until the keeper has them, and count with those of peers. */
#define FILES_ON_THEIR_WAY_MAX   512
#define FILES_ON_THEIR_WAY_SHARE 16

/* Keepers that end before they answer, until another look waits. */
#define ENDS_MAX 5

/* Answers that are read before others get their turn. */
#define ANSWERS_MAX 64

/* How long a keeper may take to answer until it is stalled; until that is said. */
#define STALLED_MS      100
#define SAYS_STALLED_MS 1000
#define SAYS_SILENT_MS  5000 /* of one that has not answered yet: it is being started */
#define QUIET_MS        2000 /* until it is asked whether it is there */
#define REPLACEMENT_MS  500  /* what finding another one takes, mostly */
#define RETRY_MS        100  /* with too many files on their way */
#define WAITING_STEP_MS 10

static const struct timeval tick_interval = {.tv_sec = 1};
static const struct timeval lateness_step = {.tv_usec = STALLED_MS * 1000 / 4};
static const struct timeval retry_pause = {.tv_usec = RETRY_MS * 1000};

TAILQ_HEAD(acceptance_list, fdstore_acceptance);

struct fdstore {
	struct event_base *base;
	struct keeper_search *search;
	struct keeper_client *keeper; /* NULL: there is none now */
	struct fdstore_table table;
	struct acceptance_list acceptances; /* those that are posted come first */
	TAILQ_HEAD(, fdstore_waiter) waiters;
	struct event *answered, *tick, *retry, *lateness;
	struct keeper_report report; /* the last one's */
	bool reported;
	bool complete; /* all that was to be put when the keeper was found, is */
	bool missing;  /* none can be had now */
	bool said_gone, said_missing, said_stalled, said_full;
	unsigned n_ends; /* of keepers that had not answered yet, in a row */
	int64_t heard;   /* CLOCK_MONOTONIC, milliseconds: of the keeper, or since it is asked */
	size_t files_max;
};

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Whether it serves, as far as is known. */
static bool serves(const struct fdstore *fdstore)
{
	return fdstore->keeper && keeper_fault(fdstore->keeper) == 0 &&
	       keeper_report(fdstore->keeper);
}

/* Sending */

static int post(struct fdstore *fdstore, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, uint32_t count, uint64_t *ret_serial)
{
	if (keeper_unanswered(fdstore->keeper) == 0)
		fdstore->heard = now_ms();
	return keeper_post(fdstore->keeper, operation, flags, ids, fds, count, ret_serial);
}

/* r: why a request was not sent. It is tried again when there is an answer, or soon; the end of the
 * connection is told by an event. */
static void wait_for_room(struct fdstore *fdstore, int r)
{
	bool awaits_answer = r == -EAGAIN && keeper_unanswered(fdstore->keeper) > 0;

	if (!awaits_answer && keeper_fault(fdstore->keeper) == 0)
		event_add(fdstore->retry, &retry_pause);
}

static int send_next(struct fdstore *fdstore, struct fdstore_queue *queue)
{
	struct fdstore_batch batch;
	uint64_t serial;
	int r;

	fdstore_table_next(queue, &batch);
	r = post(fdstore, batch.operation, batch.flags, batch.ids,
		batch.operation == KEEPER_PUT ? batch.fds : NULL, batch.count, &serial);
	if (r == 0) {
		fdstore_table_posted(&fdstore->table, queue, batch.count, serial);
	} else if (r == -EBADF) {
		log_error("a file was closed that gmemd-keeper was to hold still");
		fdstore_table_skip(&fdstore->table, queue, batch.count);
		r = 0;
	} else {
		wait_for_room(fdstore, r);
	}
	return r;
}

static int send_urgent(struct fdstore *fdstore)
{
	int r = 0;

	while (r == 0 && !TAILQ_EMPTY(&fdstore->table.urgent))
		r = send_next(fdstore, &fdstore->table.urgent);
	return r;
}

static int send_rest(struct fdstore *fdstore)
{
	struct fdstore_table *table = &fdstore->table;
	int r = 0;

	while (r == 0 && !TAILQ_EMPTY(&table->rest)) {
		if (keeper_unanswered(fdstore->keeper) >= UNANSWERED_REST_MAX ||
			table->n_posted_files >= fdstore->files_max)
			return -EAGAIN;
		r = send_next(fdstore, &table->rest);
	}
	return r;
}

static void ask_for_connections(struct fdstore *fdstore)
{
	struct fdstore_acceptance *acceptance;

	TAILQ_FOREACH (acceptance, &fdstore->acceptances, link) {
		const struct keeper_id ids[] = {acceptance->listener, acceptance->connection};
		int r = 0;

		if (acceptance->serial == 0)
			r = post(fdstore, KEEPER_ACCEPT, 0, ids, NULL, 2, &acceptance->serial);
		if (r < 0) {
			wait_for_room(fdstore, r);
			return;
		}
	}
}

static void send_all(struct fdstore *fdstore)
{
	if (!serves(fdstore) || send_urgent(fdstore) < 0 || send_rest(fdstore) < 0)
		return;
	fdstore->complete = true;
	ask_for_connections(fdstore);
}

/* Answers */

static void take_connection(struct fdstore *fdstore, struct keeper_packet *answer)
{
	const struct keeper_header *header = &answer->message.header;
	struct fdstore_acceptance *acceptance;
	int fd = -1, r = header->result;

	TAILQ_FOREACH (acceptance, &fdstore->acceptances, link) {
		if (acceptance->serial == header->serial)
			break;
	}
	if (!acceptance)
		return; /* cancelled */
	TAILQ_REMOVE(&fdstore->acceptances, acceptance, link);
	acceptance->asked = false;
	if (r == 0 &&
		fdstore_table_adopt(&fdstore->table, &acceptance->connection, answer->fds[0]) < 0)
		r = -EMFILE;
	if (r == 0) {
		fd = answer->fds[0];
		answer->fds[0] = -1; /* handed over */
	}
	acceptance->accepted(acceptance, r, fd);
}

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
	fdstore->heard = now_ms();
	if (fdstore->said_stalled)
		log_info("gmemd-keeper answers again");
	fdstore->said_stalled = false;
	switch (answer->message.header.operation) {
	case KEEPER_HELLO:
		greet(fdstore);
		break;
	case KEEPER_ACCEPT:
		take_connection(fdstore, answer);
		break;
	default:
		take_result(fdstore, &answer->message.header);
	}
	keeper_packet_clear(answer);
}

static int take_answers(struct fdstore *fdstore)
{
	struct keeper_packet answer;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ANSWERS_MAX; i++) {
		r = keeper_next_answer(fdstore->keeper, &answer);
		if (r == 0)
			take_answer(fdstore, &answer);
	}
	return r == -EAGAIN ? 0 : r;
}

/* Room */

static int64_t silence(const struct fdstore *fdstore)
{
	if (!fdstore->keeper || keeper_unanswered(fdstore->keeper) == 0)
		return 0;
	return now_ms() - fdstore->heard;
}

enum fdstore_readiness fdstore_readiness(const struct fdstore *fdstore)
{
	if (!fdstore || !serves(fdstore) ||
		(keeper_unanswered(fdstore->keeper) < UNANSWERED_MAX &&
			TAILQ_EMPTY(&fdstore->table.urgent)))
		return FDSTORE_READY;
	return silence(fdstore) < STALLED_MS ? FDSTORE_BEHIND : FDSTORE_STALLED;
}

static void wake_waiters(struct fdstore *fdstore)
{
	struct fdstore_waiter *waiter;

	while (fdstore_readiness(fdstore) != FDSTORE_BEHIND &&
		(waiter = TAILQ_FIRST(&fdstore->waiters))) {
		TAILQ_REMOVE(&fdstore->waiters, waiter, link);
		waiter->ready(waiter);
	}
}

/* No answer tells when it is stalled. */
static void look_for_lateness(evutil_socket_t fd, short what, void *context)
{
	struct fdstore *fdstore = context;

	(void)fd;
	(void)what;
	wake_waiters(fdstore);
	if (!TAILQ_EMPTY(&fdstore->waiters))
		event_add(fdstore->lateness, &lateness_step);
}

/* Keepers */

static void disconnect(struct fdstore *fdstore)
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
		return "its socket is another user's, or this one may make none there; if systemd "
		       "made it: systemctl restart gmemd-keeper.socket";
	return strerror(-r);
}

static void say_missing(struct fdstore *fdstore, int r)
{
	if (!fdstore->said_missing)
		log_warning(
			"no gmemd-keeper: what gmemd holds will not outlive it: %s", explain(r));
	fdstore->said_missing = true;
}

/* Connections that it was asked for are asked of the next one. */
static void forget_keeper(struct fdstore *fdstore)
{
	struct fdstore_acceptance *acceptance;

	disconnect(fdstore);
	fdstore_table_lost(&fdstore->table);
	TAILQ_FOREACH (acceptance, &fdstore->acceptances, link)
		acceptance->serial = 0;
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
	r = take_answers(fdstore);
	if (accepting)
		file_reserve_close(usual);
	if (r < 0)
		lose(fdstore, r);
	else
		send_all(fdstore);
	wake_waiters(fdstore);
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

static void found(void *context, struct keeper_client *take_keeper)
{
	struct fdstore *fdstore = context;

	fdstore->keeper = take_keeper;
	fdstore->missing = false;
	fdstore->heard = now_ms();
	if (watch_keeper(fdstore) == 0)
		return;
	disconnect(fdstore);
	say_missing(fdstore, -ENOMEM);
	keeper_search_begin_later(fdstore->search);
}

/* Who connects is not to wait for it. */
static void missed(void *context, int r)
{
	struct fdstore *fdstore = context;
	struct fdstore_acceptance *acceptance;

	fdstore->missing = true;
	say_missing(fdstore, r);
	while ((acceptance = TAILQ_FIRST(&fdstore->acceptances))) {
		fdstore_accept_cancel(fdstore, acceptance);
		acceptance->accepted(acceptance, -ENOENT, -1);
	}
}

/* Time */

static void say_stalled(struct fdstore *fdstore)
{
	log_warning(
		"gmemd-keeper does not answer: gmemd serves on, and refuses what must outlive it "
		"once the keeper's queue is full");
	fdstore->said_stalled = true;
}

static void tick(evutil_socket_t fd, short what, void *context)
{
	struct fdstore *fdstore = context;
	bool served = serves(fdstore);
	uint64_t serial;

	(void)fd;
	(void)what;
	if (!fdstore->said_stalled &&
		silence(fdstore) >= (served ? SAYS_STALLED_MS : SAYS_SILENT_MS))
		say_stalled(fdstore);
	if (served && keeper_unanswered(fdstore->keeper) == 0 &&
		now_ms() - fdstore->heard >= QUIET_MS)
		post(fdstore, KEEPER_HELLO, 0, NULL, NULL, 0, &serial);
}

static void retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	send_all(context);
}

/* All of it */

static size_t files_on_their_way_max(void)
{
	struct rlimit limit = {.rlim_cur = 0};
	size_t share;

	getrlimit(RLIMIT_NOFILE, &limit);
	share = limit.rlim_cur / FILES_ON_THEIR_WAY_SHARE;
	if (share < KEEPER_BATCH)
		return KEEPER_BATCH;
	return share < FILES_ON_THEIR_WAY_MAX ? share : FILES_ON_THEIR_WAY_MAX;
}

static int set_up(struct fdstore *fdstore, const char *runtime_directory)
{
	const struct keeper_search_events events = {found, missed, fdstore};

	fdstore->tick = event_new(fdstore->base, -1, EV_PERSIST, tick, fdstore);
	fdstore->retry = event_new(fdstore->base, -1, 0, retry, fdstore);
	fdstore->lateness = event_new(fdstore->base, -1, 0, look_for_lateness, fdstore);
	if (!fdstore->tick || !fdstore->retry || !fdstore->lateness ||
		event_add(fdstore->tick, &tick_interval) < 0)
		return -ENOMEM;
	return keeper_search_new(fdstore->base, runtime_directory, &events, &fdstore->search);
}

/* Of an error that only says that there is none, the next look says more. */
static int find_first(struct fdstore *fdstore, const char *runtime_directory)
{
	int r = keeper_search_wait(runtime_directory, START_SECONDS, &fdstore->keeper);

	if (r == -ETIMEDOUT || r == -EBUSY) {
		log_error("gmemd-keeper at %s/" KEEPER_SOCKET " does not answer, and holds what "
			  "this gmemd is to take over: %s",
			runtime_directory, strerror(-r));
		return r;
	}
	if (r < 0) {
		fdstore->missing = true;
		say_missing(fdstore, r);
		keeper_search_begin_later(fdstore->search);
		return 0;
	}
	greet(fdstore);
	fdstore->heard = now_ms();
	fdstore->complete = true;
	return watch_keeper(fdstore);
}

int fdstore_new(struct event_base *base, const char *runtime_directory, struct fdstore **ret)
{
	struct fdstore *fdstore = calloc(1, sizeof *fdstore);
	int r;

	if (!fdstore)
		return -ENOMEM;
	fdstore->base = base;
	fdstore->files_max = files_on_their_way_max();
	fdstore_table_init(&fdstore->table);
	TAILQ_INIT(&fdstore->acceptances);
	TAILQ_INIT(&fdstore->waiters);
	r = set_up(fdstore, runtime_directory);
	if (r == 0)
		r = find_first(fdstore, runtime_directory);
	if (r < 0)
		fdstore_free(fdstore);
	else
		*ret = fdstore;
	return r;
}

struct fdstore *fdstore_free(struct fdstore *fdstore)
{
	if (!fdstore)
		return NULL;
	disconnect(fdstore);
	keeper_search_free(fdstore->search);
	fdstore_table_clear(&fdstore->table);
	if (fdstore->tick)
		event_free(fdstore->tick);
	if (fdstore->retry)
		event_free(fdstore->retry);
	if (fdstore->lateness)
		event_free(fdstore->lateness);
	free(fdstore);
	return NULL;
}

/* Putting and dropping */

void fdstore_wait(struct fdstore *fdstore, struct fdstore_waiter *waiter)
{
	TAILQ_INSERT_TAIL(&fdstore->waiters, waiter, link);
	if (!event_pending(fdstore->lateness, EV_TIMEOUT, NULL))
		event_add(fdstore->lateness, &lateness_step);
}

void fdstore_forget_waiter(struct fdstore *fdstore, struct fdstore_waiter *waiter)
{
	TAILQ_REMOVE(&fdstore->waiters, waiter, link);
}

static void put(struct fdstore *fdstore, const struct keeper_id *id, int fd, bool urgent)
{
	if (fdstore_table_put(&fdstore->table, id, fd, urgent) < 0)
		log_warning("no memory to have gmemd-keeper hold what is made now: it will not "
			    "outlive gmemd");
}

void fdstore_put(struct fdstore *fdstore, const struct keeper_id *ids, const int *fds, size_t count)
{
	if (!fdstore)
		return;
	for (size_t i = 0; i < count; i++)
		put(fdstore, &ids[i], fds[i], serves(fdstore));
	send_all(fdstore);
}

void fdstore_put_one(
	struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member, int fd)
{
	fdstore_put(fdstore, &(struct keeper_id){kind, owner, member}, &fd, 1);
}

void fdstore_put_later(
	struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member, int fd)
{
	if (!fdstore)
		return;
	put(fdstore, &(struct keeper_id){kind, owner, member}, fd, /* urgent= */ false);
	send_all(fdstore);
}

void fdstore_release(struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner,
	uint64_t member, int take_fd, struct fdstore_closer *closer)
{
	const struct keeper_id id = {kind, owner, member};

	if (!fdstore && closer)
		closer->close(closer, take_fd);
	if (!fdstore)
		return;
	fdstore_table_drop(&fdstore->table, &id, take_fd, closer);
	send_all(fdstore);
}

void fdstore_drop(struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member)
{
	fdstore_release(fdstore, kind, owner, member, -1, NULL);
}

/* Accepting */

bool fdstore_accept(struct fdstore *fdstore, struct fdstore_acceptance *acceptance)
{
	if (!fdstore || fdstore->missing)
		return false;
	acceptance->serial = 0;
	acceptance->asked = true;
	TAILQ_INSERT_TAIL(&fdstore->acceptances, acceptance, link);
	send_all(fdstore);
	return true;
}

void fdstore_accept_cancel(struct fdstore *fdstore, struct fdstore_acceptance *acceptance)
{
	if (acceptance->asked)
		TAILQ_REMOVE(&fdstore->acceptances, acceptance, link);
	acceptance->asked = false;
}

unsigned fdstore_patience(const struct fdstore *fdstore)
{
	return fdstore->complete ? STALLED_MS : REPLACEMENT_MS;
}

/* At the start and at the end */

void fdstore_make_room(struct fdstore *fdstore)
{
	uint64_t room = 2 * fdstore->report.held + FILES_SPARE;
	struct rlimit limit;

	if (!fdstore->keeper || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	if (room >= limit.rlim_cur)
		room = limit.rlim_cur - 1;
	if (room <= INT_MAX)
		fd_close(fcntl(keeper_fd(fdstore->keeper), F_DUPFD_CLOEXEC, (int)room));
}

struct taking {
	struct fdstore *fdstore;
	int (*take)(const struct keeper_id *id, int fd, void *context);
	void *context;
};

static int take_one(const struct keeper_id *id, int fd, void *context)
{
	struct taking *taking = context;
	int r = fdstore_table_adopt(&taking->fdstore->table, id, fd);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return taking->take(id, fd, taking->context);
}

int fdstore_take(struct fdstore *fdstore,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	struct taking taking = {fdstore, take, context};

	if (!fdstore || !fdstore->keeper)
		return 0;
	keeper_set_patience(fdstore->keeper, START_SECONDS * 1000);
	return keeper_take(fdstore->keeper, take_one, &taking);
}

/* Serves the keeper alone. */
static void wait_while(struct fdstore *fdstore,
	bool (*waits)(const struct fdstore *fdstore, const void *context), const void *context,
	unsigned milliseconds)
{
	int64_t until = now_ms() + milliseconds;

	send_all(fdstore);
	while (serves(fdstore) && waits(fdstore, context) && now_ms() < until) {
		struct pollfd event = {.fd = keeper_fd(fdstore->keeper), .events = POLLIN};

		poll(&event, 1, WAITING_STEP_MS);
		if (take_answers(fdstore) < 0)
			return; /* known to the loop, if there is another turn of it */
		send_all(fdstore);
	}
}

static bool has_unsent(const struct fdstore *fdstore, const void *context)
{
	(void)context;
	return !TAILQ_EMPTY(&fdstore->table.urgent) || !TAILQ_EMPTY(&fdstore->table.rest);
}

void fdstore_await_sent(struct fdstore *fdstore, unsigned milliseconds)
{
	if (fdstore)
		wait_while(fdstore, has_unsent, NULL, milliseconds);
}

static bool is_asked(const struct fdstore *fdstore, const void *acceptance)
{
	(void)fdstore;
	return ((const struct fdstore_acceptance *)acceptance)->asked;
}

void fdstore_accept_wait(struct fdstore *fdstore, const struct fdstore_acceptance *acceptance)
{
	wait_while(fdstore, is_asked, acceptance, STALLED_MS);
}

/* Telling */

static enum fdstore_state state_of(const struct fdstore *fdstore)
{
	if (!fdstore->keeper)
		return FDSTORE_STATE_GONE;
	if (silence(fdstore) >= STALLED_MS)
		return FDSTORE_STATE_STALLED;
	return fdstore->complete ? FDSTORE_STATE_HELD : FDSTORE_STATE_GONE;
}

void fdstore_describe(const struct fdstore *fdstore, struct fdstore_report *ret)
{
	*ret = (struct fdstore_report){.state = state_of(fdstore),
		.held = fdstore->table.n_held,
		.keeper = fdstore->reported ? &fdstore->report : NULL};
}
