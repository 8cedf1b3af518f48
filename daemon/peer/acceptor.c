/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Acceptors. See acceptor.h.
 */
#include "daemon/peer/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "daemon/base/container_of.h"
#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/owner/file_reserve.h"
#include "daemon/owner/scheduler.h"
#include "daemon/peer/quiet_peers.h"
#include "daemon/peer/screening.h"
#include "daemon/request/peer_ledger.h"
#include "kernel/base/cleanup.h"

/* Connections accepted before other events get their turn. */
#define ACCEPTS_MAX 8
/* And before anybody is served. */
#define WAITING_MAX 256

/* How long it rests where gmemd can hold no more files, or the keeper could not send one. */
static const struct timeval rest = {.tv_usec = 100 * 1000};

struct acceptor {
	struct fdstore_acceptance acceptance; /* of the connection that the keeper is asked for */
	struct peer_entry entry;              /* its */
	bool asking;
	struct gmemd *gmemd;
	struct acceptor_plan plan;
	struct owner *owner; /* of those that wait at the socket, whoever they are */
	struct work work;
	struct event *readable, *patience, *rested, *again;
	struct screening_listener screened;
	time_t warned; /* when last */
};

/* At most once a second: a peer that is refused can connect again at once, without end. */
static void warn_of_failure(struct acceptor *acceptor, const char *what, const char *why)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == acceptor->warned)
		return;
	acceptor->warned = now.tv_sec;
	log_warning("%s %s: %s", acceptor->plan.name, what, why);
}

/* Consumes both. How many connections others have counts, but for an operator's. */
static void admit_peer(struct acceptor *acceptor, const struct peer_entry *entry, int consume_fd)
{
	int r;

	if (entry->access != ACCESS_OPERATOR)
		quiet_peers_recover_all(acceptor->gmemd->quiet_peers);
	r = peer_new(acceptor->gmemd, acceptor->plan.peers, entry, consume_fd);
	if (r < 0 && r != -ESRCH && r != -EDQUOT && r != -EACCES)
		warn_of_failure(acceptor, "refused a connection", strerror(-r));
}

/* What others may give back; who waits at the listener meanwhile loses nothing. */
static bool out_of_resources(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

/* After a rest where it can't be watched now. */
static void watch_socket(struct acceptor *acceptor)
{
	if (event_add(acceptor->readable, NULL) < 0)
		event_add(acceptor->rested, &rest);
}

static void take_rest(struct acceptor *acceptor, int r)
{
	warn_of_failure(acceptor, "rests", strerror(-r));
	event_del(acceptor->readable);
	event_add(acceptor->rested, &rest);
}

static void pause_ended(evutil_socket_t fd, short what, void *context)
{
	struct acceptor *acceptor = context;

	(void)fd;
	(void)what;
	watch_socket(acceptor);
}

/* For the connection and its process: the keeper could not put it back where nobody can hold it. */
static int check_room(const struct acceptor *acceptor)
{
	cleanup_fd int connection = fcntl(acceptor->plan.fd, F_DUPFD_CLOEXEC, 0);
	cleanup_fd int process = fcntl(acceptor->plan.fd, F_DUPFD_CLOEXEC, 0);

	return connection < 0 || process < 0 ? -errno : 0;
}

/* Where connections are to be for a successor, too. One that was let in while nobody knew whom the
 * configuration lets in ends with this gmemd. */
static struct peer_ledger *ledger_of(const struct acceptor *acceptor)
{
	return acceptor->gmemd->faults ? NULL : acceptor->gmemd->peer_ledger;
}

static struct peer_entry new_entry(const struct acceptor *acceptor)
{
	struct peer_ledger *ledger = ledger_of(acceptor);
	struct peer_entry entry = {.access = (uint8_t)acceptor->plan.access};

	if (ledger) {
		entry.number = peer_ledger_next_number(ledger);
		peer_ledger_note(ledger, &entry);
		STEP("connection: noted");
	}
	return entry;
}

/* It ends with gmemd until the keeper has it. */
static void admit_unkept(struct acceptor *acceptor, int consume_fd)
{
	struct peer_entry entry = new_entry(acceptor);

	if (entry.number > 0)
		fdstore_put_later(
			acceptor->gmemd->fdstore, FDSTORE_PEER, entry.number, 0, consume_fd);
	admit_peer(acceptor, &entry, consume_fd);
}

/* By gmemd. */
static int accept_one(struct acceptor *acceptor)
{
	const struct peer_entry nothing = {.number = 0};
	int fd, r = check_room(acceptor);

	if (r < 0)
		return r;
	fd = accept4(acceptor->plan.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (!screening_takes(acceptor->gmemd->screening, &nothing, fd))
		admit_unkept(acceptor, fd);
	return 0;
}

static void accept_some(struct acceptor *acceptor)
{
	unsigned i = 0;
	int r;

	do {
		r = accept_one(acceptor);
		if (out_of_resources(r))
			take_rest(acceptor, r);
	} while (
		r == 0 && ++i < ACCEPTS_MAX && !scheduler_turn_is_over(acceptor->gmemd->scheduler));
}

/* By the keeper */

static bool ask_keeper(struct acceptor *acceptor)
{
	struct fdstore_acceptance *acceptance = &acceptor->acceptance;

	acceptance->listener = acceptor->plan.id;
	acceptance->connection = (struct keeper_id){FDSTORE_PEER, acceptor->entry.number, 0};
	acceptor->asking = fdstore_accept(acceptor->gmemd->fdstore, acceptance);
	return acceptor->asking;
}

static void forget_entry(struct acceptor *acceptor)
{
	acceptor->asking = false;
	peer_ledger_forget(acceptor->gmemd->peer_ledger, &acceptor->entry);
}

static void wait_for_keeper(struct acceptor *acceptor)
{
	unsigned patience = fdstore_patience(acceptor->gmemd->fdstore);
	const struct timeval time = {patience / 1000, patience % 1000 * 1000};

	event_del(acceptor->readable);
	event_add(acceptor->patience, &time);
}

/* False where that is not to be: there is no keeper, or no room. */
static bool ask_for_next(struct acceptor *acceptor, int *ret)
{
	*ret = acceptor->asking || !ledger_of(acceptor) ? -EALREADY : check_room(acceptor);
	if (*ret < 0)
		return false;
	acceptor->entry = new_entry(acceptor);
	acceptor->acceptance.posted = false;
	if (ask_keeper(acceptor))
		return true;
	forget_entry(acceptor);
	return false;
}

static void accept_next(struct acceptor *acceptor)
{
	int r;

	watch_socket(acceptor);
	if (ask_for_next(acceptor, &r))
		wait_for_keeper(acceptor);
	else if (out_of_resources(r))
		take_rest(acceptor, r);
	else
		accept_some(acceptor);
}

static void accept_with_reserve(struct acceptor *acceptor)
{
	bool of_operators = acceptor->plan.access == ACCESS_OPERATOR;
	rlim_t usual = of_operators ? file_reserve_open() : 0;

	accept_next(acceptor);
	if (of_operators)
		file_reserve_close(usual);
}

/* In a turn of its owner's. */
static void serve_listener(struct work *work)
{
	accept_with_reserve(CONTAINER_OF(work, struct acceptor, work));
}

static bool anybody_waits(const struct acceptor *acceptor)
{
	struct pollfd event = {.fd = acceptor->plan.fd, .events = POLLIN};

	return poll(&event, 1, 0) > 0 && !event_pending(acceptor->rested, EV_TIMEOUT, NULL);
}

void acceptor_accept_waiting(struct acceptor *acceptor)
{
	for (unsigned i = 0; i < WAITING_MAX && !acceptor->asking; i++) {
		if (acceptor->plan.screened_first || !anybody_waits(acceptor))
			return;
		accept_with_reserve(acceptor);
		if (acceptor->asking)
			fdstore_accept_wait(acceptor->gmemd->fdstore, &acceptor->acceptance);
	}
}

static void listener_readable(evutil_socket_t fd, short what, void *context)
{
	struct acceptor *acceptor = context;

	(void)fd;
	(void)what;
	if (scheduler_has(&acceptor->work))
		event_del(acceptor->readable);
	else
		scheduler_ready(acceptor->gmemd->scheduler, &acceptor->work);
}

/* Meanwhile gmemd accepts. */
static void keeper_too_slow(evutil_socket_t fd, short what, void *context)
{
	struct acceptor *acceptor = context;

	(void)fd;
	(void)what;
	watch_socket(acceptor);
}

static void ask_again(evutil_socket_t fd, short what, void *context)
{
	struct acceptor *acceptor = context;

	(void)fd;
	(void)what;
	if (!ask_keeper(acceptor))
		forget_entry(acceptor);
}

static void keeper_accepted(struct fdstore_acceptance *acceptance, int result, int take_fd)
{
	struct acceptor *acceptor = CONTAINER_OF(acceptance, struct acceptor, acceptance);

	event_del(acceptor->patience);
	if (result == -EMFILE || result == -ETOOMANYREFS) {
		event_add(acceptor->again, &rest); /* it may be held, and is served when it comes */
	} else if (result < 0) {
		forget_entry(acceptor);
	} else {
		STEP("connection: accepted");
		acceptor->asking = false;
		if (!screening_takes(acceptor->gmemd->screening, &acceptor->entry, take_fd))
			admit_peer(acceptor, &acceptor->entry, take_fd);
	}
	watch_socket(acceptor);
	if (result < 0 && result != -EAGAIN)
		accept_some(acceptor);
}

/* Those who have connected before files were kept out */

static void screened_one(struct screening_listener *screened, int take_fd)
{
	admit_unkept(CONTAINER_OF(screened, struct acceptor, screened), take_fd);
}

static void screened_all(struct screening_listener *screened)
{
	watch_socket(CONTAINER_OF(screened, struct acceptor, screened));
}

static int begin_accepting(struct acceptor *acceptor)
{
	acceptor->screened = (struct screening_listener){
		.fd = acceptor->plan.fd, .harmless = screened_one, .done = screened_all};
	if (acceptor->plan.screened_first)
		return screening_begin(acceptor->gmemd->screening, &acceptor->screened);
	return event_add(acceptor->readable, NULL) < 0 ? -ENOMEM : 0;
}

/* All of it */

static int set_up(struct acceptor *acceptor)
{
	struct event_base *base = acceptor->gmemd->base;
	const struct owner_name name = {.kind = acceptor->plan.access == ACCESS_OPERATOR
							? OWNER_IS_OPERATOR
							: OWNER_IS_GMEMD};

	if (owner_get(acceptor->gmemd->owners, &name, &acceptor->owner) < 0)
		return -ENOMEM;
	acceptor->readable = event_new(
		base, acceptor->plan.fd, EV_READ | EV_PERSIST, listener_readable, acceptor);
	acceptor->patience = event_new(base, -1, 0, keeper_too_slow, acceptor);
	acceptor->rested = event_new(base, -1, 0, pause_ended, acceptor);
	acceptor->again = event_new(base, -1, 0, ask_again, acceptor);
	acceptor->work = (struct work){.owner = acceptor->owner, .run = serve_listener};
	if (!acceptor->readable || !acceptor->patience || !acceptor->rested || !acceptor->again)
		return -ENOMEM;
	return begin_accepting(acceptor);
}

int acceptor_new(struct gmemd *gmemd, const struct acceptor_plan *plan, struct acceptor **ret)
{
	struct acceptor *acceptor = calloc(1, sizeof *acceptor);
	int r;

	if (!acceptor)
		return -ENOMEM;
	acceptor->gmemd = gmemd;
	acceptor->plan = *plan;
	acceptor->acceptance.accepted = keeper_accepted;
	r = set_up(acceptor);
	if (r < 0)
		acceptor_free(acceptor);
	else
		*ret = acceptor;
	return r;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

struct acceptor *acceptor_free(struct acceptor *acceptor)
{
	if (!acceptor)
		return NULL;
	if (acceptor->asking)
		fdstore_accept_cancel(acceptor->gmemd->fdstore, &acceptor->acceptance);
	screening_forget(acceptor->gmemd->screening, &acceptor->screened);
	free_event(acceptor->readable);
	free_event(acceptor->patience);
	free_event(acceptor->rested);
	free_event(acceptor->again);
	scheduler_forget(&acceptor->work);
	owner_unref(acceptor->owner);
	free(acceptor);
	return NULL;
}

bool acceptor_is_asking(const struct acceptor *acceptor)
{
	return acceptor && acceptor->asking;
}
