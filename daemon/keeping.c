/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd's side of gmemd-keeper. See keeping.h.
 */
#include "daemon/keeping.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/keeper_packet.h"
#include "kernel/cleanup.h"

#define SECONDS_MAX 2

/* Answers that are waited for at once: well below what the keeper's queue takes. */
#define POSTED_MAX 64

struct keeper {
	int fd;
	int fault; /* of the connection; 0: none */
	struct keeper_report report;
	uint64_t serial; /* of the last request */
	/* Requests without an answer, in a ring, the oldest at serial - n_posted + 1. */
	struct keeper_header posted[POSTED_MAX];
	unsigned n_posted;
	int result; /* the first error since the last settlement */
};

static int broken(struct keeper *keeper, int fault)
{
	keeper->fault = fault;
	shutdown(keeper->fd, SHUT_RDWR);
	return fault;
}

/* The oldest request's. */
static int receive_answer(struct keeper *keeper, struct keeper_packet *ret)
{
	uint64_t serial = keeper->serial - keeper->n_posted + 1;
	int r;

	if (keeper->fault < 0)
		return keeper->fault;
	r = keeper_packet_receive(keeper->fd, ret);
	if (r < 0)
		return broken(keeper, r == -EAGAIN ? -ETIMEDOUT : r);
	keeper->n_posted--;
	r = keeper_answer_check(ret, &keeper->posted[serial % POSTED_MAX]);
	if (r == -EMFILE && ret->message.header.operation == KEEPER_ACCEPT)
		return r; /* the answer is whole but for the connection */
	if (r < 0) {
		keeper_packet_clear(ret);
		return broken(keeper, r);
	}
	return 0;
}

static int settle_oldest(struct keeper *keeper)
{
	struct keeper_packet answer;
	int r = receive_answer(keeper, &answer);

	if (r < 0)
		return r;
	if (keeper->result == 0)
		keeper->result = answer.message.header.result;
	keeper_packet_clear(&answer);
	return 0;
}

static int settle_all(struct keeper *keeper)
{
	int r = 0;

	while (r == 0 && keeper->n_posted > 0)
		r = settle_oldest(keeper);
	return r;
}

static int post(struct keeper *keeper, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, uint32_t count)
{
	struct keeper_message message = {.header = {.magic = KEEPER_MAGIC,
						 .version = KEEPER_VERSION,
						 .operation = (uint16_t)operation,
						 .flags = flags,
						 .count = count,
						 .serial = keeper->serial + 1}};
	int r = keeper->n_posted == POSTED_MAX ? settle_oldest(keeper) : keeper->fault;

	if (r < 0)
		return r;
	if (count > 0)
		memcpy(message.ids, ids, count * sizeof *ids);
	r = keeper_packet_send(
		keeper->fd, &message, keeper_message_length(count), fds, fds ? count : 0);
	if (r == -EBADF || r == -ETOOMANYREFS)
		return r; /* nothing was sent */
	if (r < 0)
		return broken(keeper, r == -EAGAIN ? -ETIMEDOUT : r);
	keeper->serial++;
	keeper->n_posted++;
	keeper->posted[keeper->serial % POSTED_MAX] = message.header;
	return 0;
}

static int post_batches(struct keeper *keeper, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i += KEEPER_BATCH) {
		size_t left = count - i;

		r = post(keeper, operation, flags, ids + i, fds ? fds + i : NULL,
			left < KEEPER_BATCH ? (uint32_t)left : KEEPER_BATCH);
	}
	return r;
}

int keeper_post_put(struct keeper *keeper, const struct keeper_id *ids, const int *fds,
	size_t count, unsigned flags)
{
	return post_batches(keeper, KEEPER_PUT, flags, ids, fds, count);
}

int keeper_post_drop(struct keeper *keeper, const struct keeper_id *ids, size_t count)
{
	return post_batches(keeper, KEEPER_DROP, 0, ids, NULL, count);
}

/* Nothing comes unasked but the connection's end. */
static int check_end(struct keeper *keeper)
{
	struct pollfd event = {.fd = keeper->fd, .events = POLLIN};

	if (keeper->fault < 0)
		return keeper->fault;
	return poll(&event, 1, 0) > 0 ? broken(keeper, -ECONNRESET) : 0;
}

int keeper_settle(struct keeper *keeper)
{
	int r = keeper->n_posted > 0 ? settle_all(keeper) : check_end(keeper);
	int result = keeper->result;

	keeper->result = 0;
	return r < 0 ? r : result;
}

/* What was posted before counts too: it settles all. */
static int settle_posted(struct keeper *keeper, int posted)
{
	int r = keeper_settle(keeper);

	return posted < 0 ? posted : r;
}

int keeper_put(struct keeper *keeper, const struct keeper_id *ids, const int *fds, size_t count,
	unsigned flags)
{
	return settle_posted(keeper, keeper_post_put(keeper, ids, fds, count, flags));
}

int keeper_drop(struct keeper *keeper, const struct keeper_id *ids, size_t count)
{
	return settle_posted(keeper, keeper_post_drop(keeper, ids, count));
}

/* One request with nothing posted beside it. */
static int ask(struct keeper *keeper, enum keeper_operation operation, const struct keeper_id *ids,
	uint32_t count, struct keeper_packet *ret)
{
	int r = settle_all(keeper);

	if (r == 0)
		r = post(keeper, operation, 0, ids, NULL, count);
	if (r == 0)
		r = receive_answer(keeper, ret);
	if (r == 0)
		r = ret->message.header.result;
	return r;
}

static int hand_over(struct keeper_packet *answer,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < answer->n_fds; i++) {
		int fd = answer->fds[i];

		answer->fds[i] = -1; /* taken */
		r = take(&answer->message.ids[i], fd, context);
	}
	keeper_packet_clear(answer);
	return r;
}

int keeper_take(struct keeper *keeper,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	struct keeper_packet answer;
	struct keeper_id last;
	bool more = true;
	int r = ask(keeper, KEEPER_TAKE, NULL, 0, &answer);

	while (r == 0) {
		const struct keeper_header *header = &answer.message.header;

		more = header->count > 0 && header->flags & KEEPER_MORE;
		if (more)
			last = answer.message.ids[header->count - 1];
		r = hand_over(&answer, take, context);
		if (r != 0 || !more)
			return r;
		r = ask(keeper, KEEPER_TAKE, &last, 1, &answer);
	}
	return r;
}

int keeper_accept(struct keeper *keeper, const struct keeper_id *listener,
	const struct keeper_id *connection, int *ret_fd)
{
	const struct keeper_id ids[] = {*listener, *connection};
	struct keeper_packet answer;
	int r = ask(keeper, KEEPER_ACCEPT, ids, 2, &answer);

	if (r == -EMFILE)
		keeper_post_drop(keeper, connection, 1);
	if (r < 0)
		return r;
	*ret_fd = answer.fds[0];
	return 0;
}

/* Connecting */

static int open_socket(const char *runtime_directory, int *ret_fd)
{
	const struct timeval limit = {.tv_sec = SECONDS_MAX};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int length = snprintf(
		address.sun_path, sizeof address.sun_path, "%s/" KEEPER_SOCKET, runtime_directory);

	if (fd < 0)
		return -errno;
	if (length < 0 || (size_t)length >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}

int keeper_refresh(struct keeper *keeper)
{
	struct keeper_packet answer;
	int r = ask(keeper, KEEPER_HELLO, NULL, 0, &answer);

	if (r == 0)
		keeper->report = answer.message.report;
	return r;
}

int keeper_connect(const char *runtime_directory, struct keeper **ret)
{
	struct keeper *keeper = calloc(1, sizeof *keeper);
	int r;

	if (!keeper)
		return -ENOMEM;
	keeper->fd = -1;
	r = open_socket(runtime_directory, &keeper->fd);
	if (r == 0)
		r = keeper_refresh(keeper);
	if (r < 0) {
		keeper_free(keeper);
		return r;
	}
	*ret = keeper;
	return 0;
}

struct keeper *keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return NULL;
	fd_close(keeper->fd);
	free(keeper);
	return NULL;
}

int keeper_fault(const struct keeper *keeper)
{
	return keeper->fault;
}

int keeper_fd(const struct keeper *keeper)
{
	return keeper->fd;
}

const struct keeper_report *keeper_report(const struct keeper *keeper)
{
	return &keeper->report;
}
