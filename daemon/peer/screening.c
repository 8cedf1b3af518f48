/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Screening. See screening.h.
 */
#include "daemon/peer/screening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/base/container_of.h"
#include "daemon/base/fd_packet.h"
#include "daemon/base/helper_process.h"
#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/gmemd.h"
#include "daemon/screener/protocol.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/passrights.h"

/* After a screener that could not be had, or asked, or has ended amid its work. */
static const struct timeval retry_pause = {.tv_sec = 1};

/* What is asked of a screener, one after another. */
struct job {
	struct fdstore_closer closer; /* of a connection */
	TAILQ_ENTRY(job) link;
	struct screening *screening;
	bool listens;
	struct screening_listener *listener; /* NULL: forgotten */
	int connection;                      /* owned; -1: none */
	uint64_t number;                     /* of the connection's peer */
};

TAILQ_HEAD(job_list, job);

/* One that has ended, or will. */
struct screener {
	TAILQ_ENTRY(screener) link;
	struct screening *screening;
	int pidfd;
	struct event *ended;
};

struct screening {
	struct gmemd *gmemd;
	struct job_list jobs;     /* the first one is asked, where there is a screener */
	struct job_list dropping; /* connections that a screener has, and the keeper perhaps, too */
	int socket;               /* to the one that is asked; -1: none is */
	struct event *answered;   /* by that one */
	struct event *next;
	TAILQ_HEAD(, screener) screeners;
	bool said; /* that there is none */
};

static void screener_answered(evutil_socket_t socket, short what, void *context);

static void job_free(struct job_list *list, struct job *job)
{
	TAILQ_REMOVE(list, job, link);
	fd_close(job->connection);
	free(job);
}

/* Screeners */

static void screener_free(struct screener *screener)
{
	TAILQ_REMOVE(&screener->screening->screeners, screener, link);
	if (screener->ended)
		event_free(screener->ended);
	fd_close(screener->pidfd);
	free(screener);
}

static void screener_ended(evutil_socket_t pidfd, short what, void *context)
{
	(void)what;
	helper_process_reap(pidfd);
	screener_free(context);
}

/* Its end, whenever that is, is nobody's to wait for. */
static int watch_end(struct screening *screening, int consume_pidfd)
{
	struct screener *screener = calloc(1, sizeof *screener);

	if (!screener) {
		fd_close(consume_pidfd);
		return -ENOMEM;
	}
	screener->screening = screening;
	screener->pidfd = consume_pidfd;
	TAILQ_INSERT_TAIL(&screening->screeners, screener, link);
	screener->ended =
		event_new(screening->gmemd->base, consume_pidfd, EV_READ, screener_ended, screener);
	if (screener->ended && event_add(screener->ended, NULL) == 0)
		return 0;
	screener_free(screener);
	return -ENOMEM;
}

static int start_screener(struct screening *screening, int its_socket)
{
	const struct helper_program program = {.name = "gmemd-screener"};
	int pidfd, r;

	evutil_make_socket_nonblocking(screening->socket);
	screening->answered = event_new(screening->gmemd->base, screening->socket,
		EV_READ | EV_PERSIST, screener_answered, screening);
	if (!screening->answered || event_add(screening->answered, NULL) < 0)
		return -ENOMEM;
	r = helper_process_start(&program, &its_socket, 1, &pidfd);
	return r < 0 ? r : watch_end(screening, pidfd);
}

/* It ends when it is asked nothing more. */
static void leave_to_screener(struct screening *screening)
{
	if (screening->answered)
		event_free(screening->answered);
	screening->answered = NULL;
	screening->socket = fd_close(screening->socket);
}

static int have_screener(struct screening *screening)
{
	int ends[2], r;

	if (screening->socket >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	screening->socket = ends[0];
	r = start_screener(screening, ends[1]);
	fd_close(ends[1]);
	if (r < 0)
		leave_to_screener(screening);
	return r;
}

/* Jobs */

static void finish_listener(struct job_list *list, struct job *job)
{
	struct screening_listener *listener = job->listener;

	job_free(list, job);
	if (listener)
		listener->done(listener);
}

/* Who waits at listeners waits no longer; connections are kept until there is a screener. */
static void screening_failed(struct screening *screening, int r)
{
	struct job *job, *next;

	leave_to_screener(screening);
	if (!screening->said)
		log_warning("connections that may hold files can't be screened: %s", strerror(-r));
	screening->said = true;
	TAILQ_FOREACH_SAFE (job, &screening->jobs, link, next) {
		if (job->listens)
			finish_listener(&screening->jobs, job);
	}
	if (!TAILQ_EMPTY(&screening->jobs))
		event_add(screening->next, &retry_pause);
}

static int ask_screener(struct screening *screening, const struct job *job)
{
	const char word = job->listens ? SCREENER_LISTENER : SCREENER_CONNECTION;
	int r = have_screener(screening);

	if (r == 0)
		r = fd_packet_send(screening->socket, &word, 1,
			job->listens ? &job->listener->fd : &job->connection, 1);
	return r;
}

/* It need not wait for gmemd's end before it closes what it keeps. */
static void leave_if_idle(struct screening *screening)
{
	const char farewell = SCREENER_FAREWELL;

	if (!TAILQ_EMPTY(&screening->jobs) || !TAILQ_EMPTY(&screening->dropping))
		return;
	if (screening->socket >= 0)
		fd_packet_send(screening->socket, &farewell, 1, NULL, 0);
	leave_to_screener(screening);
}

static void ask_next(evutil_socket_t fd, short what, void *context)
{
	struct screening *screening = context;
	struct job *job = TAILQ_FIRST(&screening->jobs);
	int r = job ? ask_screener(screening, job) : 0;

	(void)fd;
	(void)what;
	if (fd_packet_is_short(r))
		event_add(screening->next, &retry_pause);
	else if (r < 0)
		screening_failed(screening, r);
	leave_if_idle(screening);
}

/* The keeper does not hold it any more; the screener does. */
static void close_connection(struct fdstore_closer *closer, int take_fd)
{
	struct job *job = CONTAINER_OF(closer, struct job, closer);
	struct screening *screening = job->screening;

	fd_close(take_fd);
	job_free(&screening->dropping, job);
	leave_if_idle(screening);
}

/* The screener has it: no other reference is the last. */
static void give_up_connection(struct screening *screening, struct job *job)
{
	int connection = job->connection;

	job->connection = -1; /* handed over */
	TAILQ_REMOVE(&screening->jobs, job, link);
	TAILQ_INSERT_TAIL(&screening->dropping, job, link);
	fdstore_release(
		screening->gmemd->fdstore, FDSTORE_PEER, job->number, 0, connection, &job->closer);
}

static void finish_first(struct screening *screening)
{
	struct job *job = TAILQ_FIRST(&screening->jobs);

	screening->said = false;
	if (job->listens)
		finish_listener(&screening->jobs, job);
	else
		give_up_connection(screening, job);
	event_active(screening->next, EV_TIMEOUT, 0);
}

static void take_harmless(const struct job *job, struct fd_packet *packet)
{
	if (packet->n_fds != 1 || !job->listener)
		return;
	job->listener->harmless(job->listener, packet->fds[0]);
	packet->fds[0] = -1; /* taken */
}

static void screener_answered(evutil_socket_t socket, short what, void *context)
{
	struct screening *screening = context;
	struct fd_packet packet;
	char word = 0;
	int r = fd_packet_receive(socket, &word, 1, &packet);

	(void)what;
	if (r == -EAGAIN)
		return;
	if (r < 0 || TAILQ_EMPTY(&screening->jobs)) {
		screening_failed(screening, r < 0 ? r : -EBADMSG);
		return;
	}
	if (word == SCREENER_HARMLESS)
		take_harmless(TAILQ_FIRST(&screening->jobs), &packet);
	fd_packet_clear(&packet);
	if (word == SCREENER_DONE)
		finish_first(screening);
}

static int add_job(struct screening *screening, struct screening_listener *listener, int connection,
	uint64_t number)
{
	struct job *job = malloc(sizeof *job);

	if (!job)
		return -ENOMEM;
	if (TAILQ_EMPTY(&screening->jobs))
		event_active(screening->next, EV_TIMEOUT, 0);
	*job = (struct job){.closer = {close_connection},
		.screening = screening,
		.listens = listener,
		.listener = listener,
		.connection = connection,
		.number = number};
	TAILQ_INSERT_TAIL(&screening->jobs, job, link);
	return 0;
}

int screening_begin(struct screening *screening, struct screening_listener *listener)
{
	return add_job(screening, listener, -1, 0);
}

void screening_forget(struct screening *screening, struct screening_listener *listener)
{
	bool asked = screening->socket >= 0; /* for the first */
	struct job *job, *next;

	TAILQ_FOREACH_SAFE (job, &screening->jobs, link, next) {
		if (job->listener == listener && asked)
			job->listener = NULL;
		else if (job->listener == listener)
			job_free(&screening->jobs, job);
		asked = false;
	}
}

bool screening_takes(struct screening *screening, const struct peer_entry *entry, int connection)
{
	struct gmemd *gmemd = screening->gmemd;
	struct peer_entry forgotten = *entry;
	bool had;
	int r = passrights_withdraw_from_peer(connection, &had);

	if (r == 0 || r == -ENOPROTOOPT)
		return false;
	log_warning("a connection holds files, and is not served");
	if (gmemd->peer_ledger)
		peer_ledger_forget(gmemd->peer_ledger, &forgotten);
	/* Without memory it stays open: nothing else is safe. */
	add_job(screening, NULL, connection, entry->number);
	return true;
}

int screening_new(struct gmemd *gmemd, struct screening **ret)
{
	struct screening *screening = calloc(1, sizeof *screening);

	if (!screening)
		return -ENOMEM;
	*screening = (struct screening){.gmemd = gmemd, .socket = -1};
	TAILQ_INIT(&screening->jobs);
	TAILQ_INIT(&screening->dropping);
	TAILQ_INIT(&screening->screeners);
	screening->next = event_new(gmemd->base, -1, 0, ask_next, screening);
	if (!screening->next) {
		free(screening);
		return -ENOMEM;
	}
	*ret = screening;
	return 0;
}

struct screening *screening_free(struct screening *screening)
{
	if (!screening)
		return NULL;
	leave_to_screener(screening);
	while (!TAILQ_EMPTY(&screening->jobs))
		job_free(&screening->jobs, TAILQ_FIRST(&screening->jobs));
	while (!TAILQ_EMPTY(&screening->screeners))
		screener_free(TAILQ_FIRST(&screening->screeners));
	event_free(screening->next);
	free(screening);
	return NULL;
}
