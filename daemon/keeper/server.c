/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serving the keeper's peers. See server.h.
 */
#include "daemon/keeper/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/keeper/packet.h"
#include "kernel/base/cleanup.h"

/* How long it accepts nobody when the host has no file left for a connection. */
#define REST_MILLISECONDS 100

enum {
	POLL_SIGNALS,
	POLL_LISTENER,
	POLL_CONNECTIONS,
	POLL_FIXED = POLL_CONNECTIONS + KEEPER_CONNECTIONS
};

static uint64_t monotonic_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Answers: the request's header with what the operation gives. */
struct answer {
	struct keeper_message message;
	size_t length;
	int fds[KEEPER_MANY]; /* still held */
	unsigned n_fds;
};

static void answer_hello(const struct keeper_server *server, struct answer *answer)
{
	struct keeper_report *report = &answer->message.report;

	*report = (struct keeper_report){0};
	report->started = server->started;
	report->held = server->holding->count;
	report->limit = server->holding->limit;
	snprintf(report->program_version, sizeof report->program_version, "%s", GMEMD_VERSION);
	answer->message.header.flags = KEEPER_GIVES_MANY;
	answer->length += sizeof *report;
}

static void answer_take(const struct held_fds *holding, const struct keeper_id *after,
	uint32_t room, struct answer *answer)
{
	struct keeper_header *header = &answer->message.header;
	const struct held *held = held_fds_after(holding, after);

	for (; held && header->count < room; held = held_fds_next(held)) {
		answer->fds[answer->n_fds++] = held->fd;
		answer->message.ids[header->count++] = held->id;
	}
	header->flags = held ? KEEPER_MORE : 0;
	answer->length = keeper_message_length(header->count);
}

static void answer_accept(
	struct held_fds *holding, const struct keeper_id *ids, struct answer *answer)
{
	struct keeper_header *header = &answer->message.header;

	header->result = held_fds_accept(holding, &ids[0], &ids[1], &answer->fds[0]);
	if (header->result < 0)
		return;
	answer->n_fds = header->count = 1;
	answer->message.ids[0] = ids[1];
	answer->length = keeper_message_length(header->count);
}

static void carry_out(
	struct keeper_server *server, struct keeper_packet *request, struct answer *answer)
{
	const struct keeper_header *header = &request->message.header;
	const struct keeper_id *ids = request->message.ids;

	switch (header->operation) {
	case KEEPER_HELLO:
		answer_hello(server, answer);
		break;
	case KEEPER_PUT:
		answer->message.header.result = held_fds_put(
			server->holding, ids, request->came.fds, header->count, header->flags);
		break;
	case KEEPER_DROP:
		for (uint32_t i = 0; i < header->count; i++)
			held_fds_drop(server->holding, &ids[i]);
		break;
	case KEEPER_TAKE:
	case KEEPER_TAKE_MANY:
		answer_take(server->holding, header->count > 0 ? ids : NULL,
			header->operation == KEEPER_TAKE ? KEEPER_BATCH : KEEPER_MANY, answer);
		break;
	case KEEPER_ACCEPT:
		answer_accept(server->holding, ids, answer);
		break;
	}
}

static struct keeper_header header_of(uint16_t operation, uint64_t serial, int result)
{
	return (struct keeper_header){.magic = KEEPER_MAGIC,
		.version = KEEPER_VERSION,
		.operation = operation,
		.result = result,
		.serial = serial};
}

/* Returns what has failed. */
static int answer_send(int fd, struct answer *answer)
{
	int r = keeper_packet_send(
		fd, &answer->message, answer->length, answer->fds, answer->n_fds);

	if (r != -ETOOMANYREFS)
		return r;
	answer->message.header.result = r;
	answer->message.header.flags = answer->message.header.count = 0;
	return keeper_packet_send(fd, &answer->message, sizeof answer->message.header, NULL, 0);
}

/* Says why, for the connection's end. What was sent may be shorter than a header. */
static int refuse_connection(int fd, int why)
{
	struct keeper_message refusal;

	refusal.header = header_of(KEEPER_REFUSAL, 0, why);
	keeper_packet_send(fd, &refusal, sizeof refusal.header, NULL, 0);
	return why;
}

static int serve_request(struct keeper_server *server, int fd, struct keeper_packet *request)
{
	const struct keeper_header *header = &request->message.header;
	struct answer answer; /* too large to be cleared for each */
	int r = keeper_request_check(request);

	answer.length = sizeof answer.message.header;
	answer.n_fds = 0;
	answer.message.header = header_of(header->operation, header->serial, 0);
	if (r == -EMFILE)
		answer.message.header.result = r;
	else if (r < 0)
		return refuse_connection(fd, r);
	else
		carry_out(server, request, &answer);
	return answer_send(fd, &answer);
}

static int serve_connection(struct keeper_server *server, int fd)
{
	struct keeper_packet request;
	int r = keeper_packet_receive(fd, &request);

	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	r = serve_request(server, fd, &request);
	keeper_packet_clear(&request);
	return r;
}

/* Connections */

/* Whether an answer to it would wait; one always fits where the kernel says that any does. */
static bool must_stall(int fd)
{
	struct pollfd event = {.fd = fd, .events = POLLOUT};

	return poll(&event, 1, 0) == 0;
}

static bool is_refused(int r)
{
	return r == -EBADMSG || r == -EPROTONOSUPPORT;
}

/*
 * Ends a connection, and carries out all that the peer had sent before, though nobody reads the
 * answers: it has relied on that. First the kernel tells, once, that some of them were not read;
 * what was sent comes after that.
 */
static void finish_packet(struct keeper_server *server, struct keeper_connection *connection)
{
	struct keeper_packet request;
	unsigned ends = 0;
	int r = 0;

	shutdown(connection->fd, SHUT_RDWR);
	while (ends < 2 && !is_refused(r)) {
		r = keeper_packet_receive(connection->fd, &request);
		ends += r == -ECONNRESET;
		if (r < 0 && r != -ECONNRESET)
			break;
		if (r < 0)
			continue;
		r = serve_request(server, connection->fd, &request);
		keeper_packet_clear(&request);
	}
	connection->fd = fd_close(connection->fd);
	connection->stalled = false;
}

static void attend_client(struct keeper_server *server, struct keeper_connection *connection)
{
	int r;

	connection->stalled = must_stall(connection->fd);
	if (connection->stalled)
		return;
	r = serve_connection(server, connection->fd);
	if (is_refused(r))
		connection->fd = fd_close(connection->fd);
	else if (r < 0)
		finish_packet(server, connection); /* an answer is missing */
}

static struct keeper_connection *free_connection(struct keeper_server *server)
{
	for (unsigned i = 0; i < KEEPER_CONNECTIONS; i++) {
		if (server->connections[i].fd < 0)
			return &server->connections[i];
	}
	return NULL;
}

static int admit_client(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -errno;
	return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

static void accept_connection(struct keeper_server *server)
{
	cleanup_fd int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct keeper_connection *connection = free_connection(server);
	int r;

	server->resting = fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
	if (fd < 0)
		return;
	r = admit_client(fd);
	if (r == 0 && !connection)
		r = -EBUSY;
	if (r < 0) {
		refuse_connection(fd, r);
		return;
	}
	connection->fd = fd;
	fd = -1; /* handed over */
}

/* The loop */

static bool is_connected(const struct keeper_server *server)
{
	for (unsigned i = 0; i < KEEPER_CONNECTIONS; i++) {
		if (server->connections[i].fd >= 0)
			return true;
	}
	return false;
}

static void prepare_poll(const struct keeper_server *server, struct pollfd *events)
{
	events[POLL_SIGNALS] = (struct pollfd){.fd = server->signals, .events = POLLIN};
	events[POLL_LISTENER] =
		(struct pollfd){.fd = server->resting ? -1 : server->listener, .events = POLLIN};
	for (unsigned i = 0; i < KEEPER_CONNECTIONS; i++) {
		const struct keeper_connection *connection = &server->connections[i];

		events[POLL_CONNECTIONS + i] = (struct pollfd){
			.fd = connection->fd, .events = connection->stalled ? POLLOUT : POLLIN};
	}
}

/* Who has ended comes first: a successor must find all that was done by then. Connections come
 * before the listener: one that has ended makes room for the next. */
static void dispatch_packet(struct keeper_server *server, const struct pollfd *events)
{
	const struct pollfd *polled = events + POLL_CONNECTIONS;

	for (unsigned i = 0; i < KEEPER_CONNECTIONS; i++) {
		if (polled[i].revents & POLLHUP)
			finish_packet(server, &server->connections[i]);
	}
	for (unsigned i = 0; i < KEEPER_CONNECTIONS; i++) {
		if (polled[i].revents != 0 && server->connections[i].fd >= 0)
			attend_client(server, &server->connections[i]);
	}
	if (events[POLL_LISTENER].revents != 0)
		accept_connection(server);
}

/* Milliseconds until it is given up that a gmemd comes; -1: one is connected. */
static int patience_left(struct keeper_server *server)
{
	uint64_t waited;

	if (is_connected(server)) {
		server->last_connected = monotonic_ns();
		return -1;
	}
	waited = (monotonic_ns() - server->last_connected) / 1000000;
	return waited < (uint64_t)server->grace_seconds * 1000
		       ? (int)(server->grace_seconds * 1000 - waited) + 1
		       : 0;
}

/* For the end of a process, too. Without memory for that it looks every now and then. */
static int wait_for_ends(const struct keeper_server *server, struct pollfd *events, int timeout)
{
	size_t n = POLL_FIXED + server->holding->n_lives;
	cleanup_free struct pollfd *all = calloc(n, sizeof *all);
	int ready;

	if (!all)
		return poll(events, POLL_FIXED, REST_MILLISECONDS);
	memcpy(all, events, POLL_FIXED * sizeof *all);
	held_fds_lives(server->holding, all + POLL_FIXED);
	ready = poll(all, n, timeout);
	if (ready < 0 && errno != EINTR)
		return poll(events, POLL_FIXED, REST_MILLISECONDS);
	memcpy(events, all, POLL_FIXED * sizeof *all);
	return ready;
}

/* Whether it is of no use any more: what is held is of ended processes, or of none. */
static bool given_up(struct keeper_server *server)
{
	struct pollfd waiting = {.fd = server->listener, .events = POLLIN};

	held_fds_drop_ended(server->holding);
	return server->exits && server->holding->n_lives == 0 && poll(&waiting, 1, 0) == 0;
}

static int serve_clients(struct keeper_server *server)
{
	struct pollfd events[POLL_FIXED];
	int wait, ready;

	for (;;) {
		wait = patience_left(server);
		if (wait == 0 && given_up(server))
			return 0;
		prepare_poll(server, events);
		if (wait != 0)
			ready = poll(
				events, POLL_FIXED, server->resting ? REST_MILLISECONDS : wait);
		else
			ready = wait_for_ends(
				server, events, server->resting ? REST_MILLISECONDS : -1);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready < 0)
			continue;
		if (events[POLL_SIGNALS].revents != 0)
			return 0;
		server->resting = false;
		dispatch_packet(server, events);
	}
}

int keeper_server_run(struct keeper_server *server)
{
	int r;

	server->started = server->last_connected = monotonic_ns();
	for (unsigned i = 0; i < KEEPER_CONNECTIONS; i++)
		server->connections[i] = (struct keeper_connection){.fd = -1};
	r = serve_clients(server);
	for (unsigned i = 0; i < KEEPER_CONNECTIONS; i++)
		fd_close(server->connections[i].fd);
	return r;
}
