/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Custody. See fdstore.h.
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

TAILQ_HEAD(acceptance_list, custody_acceptance);

struct custody {
	struct event_base *base;
	struct keeper_search *search;
	struct keeper *keeper; /* NULL: there is none now */
	struct custody_table table;
	struct acceptance_list acceptances; /* those that are posted come first */
	TAILQ_HEAD(, custody_waiter) waiters;
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
static bool serves(const struct custody *custody)
{
	return custody->keeper && keeper_fault(custody->keeper) == 0 &&
	       keeper_report(custody->keeper);
}

/* Sending */

static int post(struct custody *custody, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, uint32_t count, uint64_t *ret_serial)
{
	if (keeper_unanswered(custody->keeper) == 0)
		custody->heard = now_ms();
	return keeper_post(custody->keeper, operation, flags, ids, fds, count, ret_serial);
}

/* r: why a request was not sent. It is tried again when there is an answer, or soon; the end of the
 * connection is told by an event. */
static void wait_for_room(struct custody *custody, int r)
{
	bool awaits_answer = r == -EAGAIN && keeper_unanswered(custody->keeper) > 0;

	if (!awaits_answer && keeper_fault(custody->keeper) == 0)
		event_add(custody->retry, &retry_pause);
}

static int send_next(struct custody *custody, struct custody_queue *queue)
{
	struct custody_batch batch;
	uint64_t serial;
	int r;

	custody_table_next(queue, &batch);
	r = post(custody, batch.operation, batch.flags, batch.ids,
		batch.operation == KEEPER_PUT ? batch.fds : NULL, batch.count, &serial);
	if (r == 0) {
		custody_table_posted(&custody->table, queue, batch.count, serial);
	} else if (r == -EBADF) {
		log_error("a file was closed that gmemd-keeper was to hold still");
		custody_table_skip(&custody->table, queue, batch.count);
		r = 0;
	} else {
		wait_for_room(custody, r);
	}
	return r;
}

static int send_urgent(struct custody *custody)
{
	int r = 0;

	while (r == 0 && !TAILQ_EMPTY(&custody->table.urgent))
		r = send_next(custody, &custody->table.urgent);
	return r;
}

static int send_rest(struct custody *custody)
{
	struct custody_table *table = &custody->table;
	int r = 0;

	while (r == 0 && !TAILQ_EMPTY(&table->rest)) {
		if (keeper_unanswered(custody->keeper) >= UNANSWERED_REST_MAX ||
			table->n_posted_files >= custody->files_max)
			return -EAGAIN;
		r = send_next(custody, &table->rest);
	}
	return r;
}

static void ask_for_connections(struct custody *custody)
{
	struct custody_acceptance *acceptance;

	TAILQ_FOREACH (acceptance, &custody->acceptances, link) {
		const struct keeper_id ids[] = {acceptance->listener, acceptance->connection};
		int r = 0;

		if (acceptance->serial == 0)
			r = post(custody, KEEPER_ACCEPT, 0, ids, NULL, 2, &acceptance->serial);
		if (r < 0) {
			wait_for_room(custody, r);
			return;
		}
	}
}

static void send_all(struct custody *custody)
{
	if (!serves(custody) || send_urgent(custody) < 0 || send_rest(custody) < 0)
		return;
	custody->complete = true;
	ask_for_connections(custody);
}

/* Answers */

static void take_connection(struct custody *custody, struct keeper_packet *answer)
{
	const struct keeper_header *header = &answer->message.header;
	struct custody_acceptance *acceptance;
	int fd = -1, r = header->result;

	TAILQ_FOREACH (acceptance, &custody->acceptances, link) {
		if (acceptance->serial == header->serial)
			break;
	}
	if (!acceptance)
		return; /* cancelled */
	TAILQ_REMOVE(&custody->acceptances, acceptance, link);
	acceptance->asked = false;
	if (r == 0 &&
		custody_table_adopt(&custody->table, &acceptance->connection, answer->fds[0]) < 0)
		r = -EMFILE;
	if (r == 0) {
		fd = answer->fds[0];
		answer->fds[0] = -1; /* handed over */
	}
	acceptance->accepted(acceptance, r, fd);
}

static void take_result(struct custody *custody, const struct keeper_header *header)
{
	if (header->result == -EMFILE && !custody->said_full)
		log_warning(
			"gmemd-keeper can hold no more: what is made now will not outlive gmemd");
	else if (header->result < 0 && header->result != -EMFILE)
		log_warning("gmemd-keeper does not hold what it is sent: %s",
			strerror(-header->result));
	if (header->operation == KEEPER_PUT)
		custody->said_full = header->result == -EMFILE;
	custody_table_answered(&custody->table, header->serial, header->result);
}

static void greet(struct custody *custody)
{
	custody->report = *keeper_report(custody->keeper);
	custody->reported = true;
	if (custody->said_gone || custody->said_missing)
		log_info("gmemd-keeper is back: what gmemd holds outlives it again");
	custody->said_gone = custody->said_missing = false;
	custody->n_ends = 0;
}

static void take_answer(struct custody *custody, struct keeper_packet *answer)
{
	custody->heard = now_ms();
	if (custody->said_stalled)
		log_info("gmemd-keeper answers again");
	custody->said_stalled = false;
	switch (answer->message.header.operation) {
	case KEEPER_HELLO:
		greet(custody);
		break;
	case KEEPER_ACCEPT:
		take_connection(custody, answer);
		break;
	default:
		take_result(custody, &answer->message.header);
	}
	keeper_packet_clear(answer);
}

static int take_answers(struct custody *custody)
{
	struct keeper_packet answer;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ANSWERS_MAX; i++) {
		r = keeper_next_answer(custody->keeper, &answer);
		if (r == 0)
			take_answer(custody, &answer);
	}
	return r == -EAGAIN ? 0 : r;
}

/* Room */

static int64_t silence(const struct custody *custody)
{
	if (!custody->keeper || keeper_unanswered(custody->keeper) == 0)
		return 0;
	return now_ms() - custody->heard;
}

enum custody_readiness custody_readiness(const struct custody *custody)
{
	if (!custody || !serves(custody) ||
		(keeper_unanswered(custody->keeper) < UNANSWERED_MAX &&
			TAILQ_EMPTY(&custody->table.urgent)))
		return CUSTODY_READY;
	return silence(custody) < STALLED_MS ? CUSTODY_BEHIND : CUSTODY_STALLED;
}

static void wake_waiters(struct custody *custody)
{
	struct custody_waiter *waiter;

	while (custody_readiness(custody) != CUSTODY_BEHIND &&
		(waiter = TAILQ_FIRST(&custody->waiters))) {
		TAILQ_REMOVE(&custody->waiters, waiter, link);
		waiter->ready(waiter);
	}
}

/* No answer tells when it is stalled. */
static void look_for_lateness(evutil_socket_t fd, short what, void *context)
{
	struct custody *custody = context;

	(void)fd;
	(void)what;
	wake_waiters(custody);
	if (!TAILQ_EMPTY(&custody->waiters))
		event_add(custody->lateness, &lateness_step);
}

/* Keepers */

static void disconnect(struct custody *custody)
{
	if (custody->answered)
		event_free(custody->answered);
	custody->answered = NULL;
	custody->keeper = keeper_free(custody->keeper);
}

/* As after gmemd's user has become another, under sockets that are still the old one's. */
static const char *explain(int r)
{
	if (r == -EACCES || r == -EPERM)
		return "its socket is another user's, or this one may make none there; if systemd "
		       "made it: systemctl restart gmemd-keeper.socket";
	return strerror(-r);
}

static void say_missing(struct custody *custody, int r)
{
	if (!custody->said_missing)
		log_warning(
			"no gmemd-keeper: what gmemd holds will not outlive it: %s", explain(r));
	custody->said_missing = true;
}

/* Connections that it was asked for are asked of the next one. */
static void forget_keeper(struct custody *custody)
{
	struct custody_acceptance *acceptance;

	disconnect(custody);
	custody_table_lost(&custody->table);
	TAILQ_FOREACH (acceptance, &custody->acceptances, link)
		acceptance->serial = 0;
	custody->complete = custody->said_stalled = false;
}

/* r: of its connection. One that has never answered has refused, or was about to end. */
static void lose(struct custody *custody, int r)
{
	bool has_served = keeper_report(custody->keeper);

	forget_keeper(custody);
	if (has_served) {
		log_warning("gmemd-keeper is gone");
		custody->said_gone = true;
	}
	if (has_served || (keeper_is_missing(r) && custody->n_ends++ < ENDS_MAX)) {
		keeper_search_begin(custody->search);
		return;
	}
	say_missing(custody, r);
	keeper_search_begin_later(custody->search);
}

static void answered(evutil_socket_t fd, short what, void *context)
{
	struct custody *custody = context;
	bool accepting = !TAILQ_EMPTY(&custody->acceptances);
	rlim_t usual;
	int r;

	(void)fd;
	(void)what;
	/* A connection may come with it, for which there was room when it was asked for. */
	usual = accepting ? file_reserve_open() : 0;
	r = take_answers(custody);
	if (accepting)
		file_reserve_close(usual);
	if (r < 0)
		lose(custody, r);
	else
		send_all(custody);
	wake_waiters(custody);
}

static int watch_keeper(struct custody *custody)
{
	custody->answered = event_new(
		custody->base, keeper_fd(custody->keeper), EV_READ | EV_PERSIST, answered, custody);
	if (!custody->answered)
		return -ENOMEM;
	event_priority_set(custody->answered, SCHEDULER_FIRST);
	return event_add(custody->answered, NULL) == 0 ? 0 : -ENOMEM;
}

static void found(void *context, struct keeper *take_keeper)
{
	struct custody *custody = context;

	custody->keeper = take_keeper;
	custody->missing = false;
	custody->heard = now_ms();
	if (watch_keeper(custody) == 0)
		return;
	disconnect(custody);
	say_missing(custody, -ENOMEM);
	keeper_search_begin_later(custody->search);
}

/* Who connects is not to wait for it. */
static void missed(void *context, int r)
{
	struct custody *custody = context;
	struct custody_acceptance *acceptance;

	custody->missing = true;
	say_missing(custody, r);
	while ((acceptance = TAILQ_FIRST(&custody->acceptances))) {
		custody_accept_cancel(custody, acceptance);
		acceptance->accepted(acceptance, -ENOENT, -1);
	}
}

/* Time */

static void say_stalled(struct custody *custody)
{
	log_warning(
		"gmemd-keeper does not answer: gmemd serves on, and refuses what must outlive it "
		"once the keeper's queue is full");
	custody->said_stalled = true;
}

static void tick(evutil_socket_t fd, short what, void *context)
{
	struct custody *custody = context;
	bool served = serves(custody);
	uint64_t serial;

	(void)fd;
	(void)what;
	if (!custody->said_stalled &&
		silence(custody) >= (served ? SAYS_STALLED_MS : SAYS_SILENT_MS))
		say_stalled(custody);
	if (served && keeper_unanswered(custody->keeper) == 0 &&
		now_ms() - custody->heard >= QUIET_MS)
		post(custody, KEEPER_HELLO, 0, NULL, NULL, 0, &serial);
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

static int set_up(struct custody *custody, const char *runtime_directory)
{
	const struct keeper_search_events events = {found, missed, custody};

	custody->tick = event_new(custody->base, -1, EV_PERSIST, tick, custody);
	custody->retry = event_new(custody->base, -1, 0, retry, custody);
	custody->lateness = event_new(custody->base, -1, 0, look_for_lateness, custody);
	if (!custody->tick || !custody->retry || !custody->lateness ||
		event_add(custody->tick, &tick_interval) < 0)
		return -ENOMEM;
	return keeper_search_new(custody->base, runtime_directory, &events, &custody->search);
}

/* Of an error that only says that there is none, the next look says more. */
static int find_first(struct custody *custody, const char *runtime_directory)
{
	int r = keeper_search_wait(runtime_directory, START_SECONDS, &custody->keeper);

	if (r == -ETIMEDOUT || r == -EBUSY) {
		log_error("gmemd-keeper at %s/" KEEPER_SOCKET " does not answer, and holds what "
			  "this gmemd is to take over: %s",
			runtime_directory, strerror(-r));
		return r;
	}
	if (r < 0) {
		custody->missing = true;
		say_missing(custody, r);
		keeper_search_begin_later(custody->search);
		return 0;
	}
	greet(custody);
	custody->heard = now_ms();
	custody->complete = true;
	return watch_keeper(custody);
}

int custody_new(struct event_base *base, const char *runtime_directory, struct custody **ret)
{
	struct custody *custody = calloc(1, sizeof *custody);
	int r;

	if (!custody)
		return -ENOMEM;
	custody->base = base;
	custody->files_max = files_on_their_way_max();
	custody_table_init(&custody->table);
	TAILQ_INIT(&custody->acceptances);
	TAILQ_INIT(&custody->waiters);
	r = set_up(custody, runtime_directory);
	if (r == 0)
		r = find_first(custody, runtime_directory);
	if (r < 0)
		custody_free(custody);
	else
		*ret = custody;
	return r;
}

struct custody *custody_free(struct custody *custody)
{
	if (!custody)
		return NULL;
	disconnect(custody);
	keeper_search_free(custody->search);
	custody_table_clear(&custody->table);
	if (custody->tick)
		event_free(custody->tick);
	if (custody->retry)
		event_free(custody->retry);
	if (custody->lateness)
		event_free(custody->lateness);
	free(custody);
	return NULL;
}

/* Putting and dropping */

void custody_wait(struct custody *custody, struct custody_waiter *waiter)
{
	TAILQ_INSERT_TAIL(&custody->waiters, waiter, link);
	if (!event_pending(custody->lateness, EV_TIMEOUT, NULL))
		event_add(custody->lateness, &lateness_step);
}

void custody_forget_waiter(struct custody *custody, struct custody_waiter *waiter)
{
	TAILQ_REMOVE(&custody->waiters, waiter, link);
}

static void put(struct custody *custody, const struct keeper_id *id, int fd, bool urgent)
{
	if (custody_table_put(&custody->table, id, fd, urgent) < 0)
		log_warning("no memory to have gmemd-keeper hold what is made now: it will not "
			    "outlive gmemd");
}

void custody_put(struct custody *custody, const struct keeper_id *ids, const int *fds, size_t count)
{
	if (!custody)
		return;
	for (size_t i = 0; i < count; i++)
		put(custody, &ids[i], fds[i], serves(custody));
	send_all(custody);
}

void custody_put_one(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd)
{
	custody_put(custody, &(struct keeper_id){kind, owner, member}, &fd, 1);
}

void custody_put_later(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd)
{
	if (!custody)
		return;
	put(custody, &(struct keeper_id){kind, owner, member}, fd, /* urgent= */ false);
	send_all(custody);
}

void custody_release(struct custody *custody, enum custody_kind kind, uint64_t owner,
	uint64_t member, int take_fd, struct custody_closer *closer)
{
	const struct keeper_id id = {kind, owner, member};

	if (!custody && closer)
		closer->close(closer, take_fd);
	if (!custody)
		return;
	custody_table_drop(&custody->table, &id, take_fd, closer);
	send_all(custody);
}

void custody_drop(struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member)
{
	custody_release(custody, kind, owner, member, -1, NULL);
}

/* Accepting */

bool custody_accept(struct custody *custody, struct custody_acceptance *acceptance)
{
	if (!custody || custody->missing)
		return false;
	acceptance->serial = 0;
	acceptance->asked = true;
	TAILQ_INSERT_TAIL(&custody->acceptances, acceptance, link);
	send_all(custody);
	return true;
}

void custody_accept_cancel(struct custody *custody, struct custody_acceptance *acceptance)
{
	if (acceptance->asked)
		TAILQ_REMOVE(&custody->acceptances, acceptance, link);
	acceptance->asked = false;
}

unsigned custody_patience(const struct custody *custody)
{
	return custody->complete ? STALLED_MS : REPLACEMENT_MS;
}

/* At the start and at the end */

void custody_make_room(struct custody *custody)
{
	uint64_t room = 2 * custody->report.held + FILES_SPARE;
	struct rlimit limit;

	if (!custody->keeper || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	if (room >= limit.rlim_cur)
		room = limit.rlim_cur - 1;
	if (room <= INT_MAX)
		fd_close(fcntl(keeper_fd(custody->keeper), F_DUPFD_CLOEXEC, (int)room));
}

struct taking {
	struct custody *custody;
	int (*take)(const struct keeper_id *id, int fd, void *context);
	void *context;
};

static int take_one(const struct keeper_id *id, int fd, void *context)
{
	struct taking *taking = context;
	int r = custody_table_adopt(&taking->custody->table, id, fd);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return taking->take(id, fd, taking->context);
}

int custody_take(struct custody *custody,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	struct taking taking = {custody, take, context};

	if (!custody || !custody->keeper)
		return 0;
	keeper_set_patience(custody->keeper, START_SECONDS * 1000);
	return keeper_take(custody->keeper, take_one, &taking);
}

/* Serves the keeper alone. */
static void wait_while(struct custody *custody,
	bool (*waits)(const struct custody *custody, const void *context), const void *context,
	unsigned milliseconds)
{
	int64_t until = now_ms() + milliseconds;

	send_all(custody);
	while (serves(custody) && waits(custody, context) && now_ms() < until) {
		struct pollfd event = {.fd = keeper_fd(custody->keeper), .events = POLLIN};

		poll(&event, 1, WAITING_STEP_MS);
		if (take_answers(custody) < 0)
			return; /* known to the loop, if there is another turn of it */
		send_all(custody);
	}
}

static bool has_unsent(const struct custody *custody, const void *context)
{
	(void)context;
	return !TAILQ_EMPTY(&custody->table.urgent) || !TAILQ_EMPTY(&custody->table.rest);
}

void custody_settle(struct custody *custody, unsigned milliseconds)
{
	if (custody)
		wait_while(custody, has_unsent, NULL, milliseconds);
}

static bool is_asked(const struct custody *custody, const void *acceptance)
{
	(void)custody;
	return ((const struct custody_acceptance *)acceptance)->asked;
}

void custody_accept_wait(struct custody *custody, const struct custody_acceptance *acceptance)
{
	wait_while(custody, is_asked, acceptance, STALLED_MS);
}

/* Telling */

static enum custody_state state_of(const struct custody *custody)
{
	if (!custody->keeper)
		return CUSTODY_STATE_GONE;
	if (silence(custody) >= STALLED_MS)
		return CUSTODY_STATE_STALLED;
	return custody->complete ? CUSTODY_STATE_HELD : CUSTODY_STATE_GONE;
}

void custody_describe(const struct custody *custody, struct custody_report *ret)
{
	*ret = (struct custody_report){.state = state_of(custody),
		.held = custody->table.n_held,
		.keeper = custody->reported ? &custody->report : NULL};
}
