/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd's side of gmemd-keeper. See keeper_client.h.
 */
#include "daemon/fdstore/keeper_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define PATIENCE_MS 2000

/* How often a file that can't be sent for too many on their way is tried again. */
#define RETRY_MS 50

/* Of requests: more than the kernel gives, which gives what it may. */
#define QUEUE_BYTES (1 << 20)

struct keeper_client {
	int fd;
	int fault; /* of the connection; 0: none */
	bool greeted, gives_many;
	unsigned patience_ms;
	struct keeper_report report;
	uint64_t serial; /* of the last request */
	/* Operations of the requests without an answer, the oldest at serial - n_posted + 1. */
	uint16_t posted[KEEPER_POSTED_MAX];
	unsigned n_posted;
	int result; /* the first error since the last settlement */
};

static int is_broken(struct keeper_client *keeper, int fault)
{
	keeper->fault = fault;
	shutdown(keeper->fd, SHUT_RDWR);
	return fault;
}

/* Posting */

static void request_write(const struct keeper_client *keeper, enum keeper_operation operation,
	unsigned flags, const struct keeper_id *ids, uint32_t count, struct keeper_message *ret)
{
	ret->header = (struct keeper_header){.magic = KEEPER_MAGIC,
		.version = KEEPER_VERSION,
		.operation = (uint16_t)operation,
		.flags = flags,
		.count = count,
		.serial = keeper->serial + 1};
	if (count > 0)
		memcpy(ret->ids, ids, count * sizeof *ids);
}

/* Whether the request was not sent and may be, later or otherwise. */
static bool nothing_sent(int r)
{
	return r == -EAGAIN || r == -EBADF || keeper_is_unknown(r);
}

int keeper_post(struct keeper_client *keeper, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, uint32_t count, uint64_t *ret_serial)
{
	int r = keeper->n_posted == KEEPER_POSTED_MAX ? -EAGAIN : 0;
	struct keeper_message message; /* too large to be cleared for each */

	if (keeper->fault < 0)
		return keeper->fault;
	request_write(keeper, operation, flags, ids, count, &message);
	if (r == 0)
		r = keeper_packet_send(
			keeper->fd, &message, keeper_message_length(count), fds, fds ? count : 0);
	if (r < 0)
		return nothing_sent(r) ? r : is_broken(keeper, r);
	*ret_serial = ++keeper->serial;
	keeper->n_posted++;
	keeper->posted[keeper->serial % KEEPER_POSTED_MAX] = (uint16_t)operation;
	return 0;
}

unsigned keeper_unanswered(const struct keeper_client *keeper)
{
	return keeper->n_posted;
}

/* r: what the answer to the request was found to be. */
static int judge_answer(struct keeper_client *keeper, const struct keeper_header *request,
	struct keeper_packet *answer, int r)
{
	if (r == -EMFILE && request->operation == KEEPER_ACCEPT &&
		answer->message.header.operation == KEEPER_ACCEPT) {
		keeper_packet_clear(answer);
		answer->message.header.result = r;
		return 0;
	}
	if (r < 0) {
		keeper_packet_clear(answer);
		return is_broken(keeper, r);
	}
	if (request->operation == KEEPER_HELLO && answer->message.header.result == 0) {
		keeper->report = answer->message.report;
		keeper->gives_many = answer->message.header.flags & KEEPER_GIVES_MANY;
		keeper->greeted = true;
	}
	return 0;
}

int keeper_next_answer(struct keeper_client *keeper, struct keeper_packet *ret)
{
	uint64_t serial = keeper->serial - keeper->n_posted + 1;
	struct keeper_header request = {
		.operation = keeper->posted[serial % KEEPER_POSTED_MAX], .serial = serial};
	int r;

	if (keeper->fault < 0)
		return keeper->fault;
	r = keeper_packet_receive(keeper->fd, ret);
	if (r < 0)
		return r == -EAGAIN ? r : is_broken(keeper, r);
	if (keeper->n_posted == 0)
		request.operation = 0; /* nothing was asked */
	else
		keeper->n_posted--;
	return judge_answer(keeper, &request, ret, keeper_answer_check(ret, &request));
}

/* Waiting */

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int wait_for_answer(struct keeper_client *keeper, struct keeper_packet *ret)
{
	struct pollfd event = {.fd = keeper->fd, .events = POLLIN};
	int64_t until = now_ms() + keeper->patience_ms, left;
	int r;

	while ((r = keeper_next_answer(keeper, ret)) == -EAGAIN) {
		left = until - now_ms();
		if (left <= 0)
			return is_broken(keeper, -ETIMEDOUT);
		if (poll(&event, 1, (int)left) < 0 && errno != EINTR)
			return is_broken(keeper, -errno);
	}
	return r;
}

static int await_oldest(struct keeper_client *keeper)
{
	struct keeper_packet answer;
	int r = wait_for_answer(keeper, &answer);

	if (r < 0)
		return r;
	if (keeper->result == 0)
		keeper->result = answer.message.header.result;
	keeper_packet_clear(&answer);
	return 0;
}

static int await_all(struct keeper_client *keeper)
{
	int r = 0;

	while (r == 0 && keeper->n_posted > 0)
		r = await_oldest(keeper);
	return r;
}

/* Nothing comes unasked but the connection's end. */
static int check_end(struct keeper_client *keeper)
{
	struct pollfd event = {.fd = keeper->fd, .events = POLLIN};

	if (keeper->fault < 0)
		return keeper->fault;
	return poll(&event, 1, 0) > 0 ? is_broken(keeper, -ECONNRESET) : 0;
}

int keeper_await_posted(struct keeper_client *keeper)
{
	int r = keeper->n_posted > 0 ? await_all(keeper) : check_end(keeper);
	int result = keeper->result;

	keeper->result = 0;
	return r < 0 ? r : result;
}

/* One request with nothing posted beside it. */
static int ask_once(struct keeper_client *keeper, enum keeper_operation operation,
	const struct keeper_id *ids, uint32_t count, struct keeper_packet *ret)
{
	uint64_t serial;
	int r = await_all(keeper);

	if (r == 0)
		r = keeper_post(keeper, operation, 0, ids, NULL, count, &serial);
	if (r == -EAGAIN)
		r = is_broken(keeper, -ETIMEDOUT);
	if (r == 0)
		r = wait_for_answer(keeper, ret);
	if (r == 0)
		r = ret->message.header.result;
	return r;
}

/* Again while too many files are on their way, which others may receive meanwhile. */
static int ask_keeper(struct keeper_client *keeper, enum keeper_operation operation,
	const struct keeper_id *ids, uint32_t count, struct keeper_packet *ret)
{
	int64_t until = now_ms() + keeper->patience_ms;
	int r = ask_once(keeper, operation, ids, count, ret);

	while (r == -ETOOMANYREFS && now_ms() < until) {
		poll(NULL, 0, RETRY_MS);
		r = ask_once(keeper, operation, ids, count, ret);
	}
	return r;
}

static int hand_over(struct keeper_packet *answer,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < answer->came.n_fds; i++) {
		int fd = answer->came.fds[i];

		answer->came.fds[i] = -1; /* taken */
		r = take(&answer->message.ids[i], fd, context);
	}
	keeper_packet_clear(answer);
	return r;
}

int keeper_take(struct keeper_client *keeper,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	const enum keeper_operation operation = keeper->gives_many ? KEEPER_TAKE_MANY : KEEPER_TAKE;
	struct keeper_packet answer;
	struct keeper_id last;
	bool more = true;
	int r = ask_keeper(keeper, operation, NULL, 0, &answer);

	while (r == 0) {
		const struct keeper_header *header = &answer.message.header;

		more = header->count > 0 && header->flags & KEEPER_MORE;
		if (more)
			last = answer.message.ids[header->count - 1];
		r = hand_over(&answer, take, context);
		if (r != 0 || !more)
			return r;
		r = ask_keeper(keeper, operation, &last, 1, &answer);
	}
	return r;
}

/* Connecting */

static int open_socket(const char *runtime_directory, int *ret_fd)
{
	const int queue_bytes = QUEUE_BYTES;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int length = snprintf(
		address.sun_path, sizeof address.sun_path, "%s/" KEEPER_SOCKET, runtime_directory);

	if (fd < 0)
		return -errno;
	if (length < 0 || (size_t)length >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &queue_bytes, sizeof queue_bytes) < 0 ||
		connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}

int keeper_reach(const char *runtime_directory, struct keeper_client **ret)
{
	struct keeper_client *keeper = calloc(1, sizeof *keeper);
	uint64_t serial;
	int r;

	if (!keeper)
		return -ENOMEM;
	keeper->fd = -1;
	keeper->patience_ms = PATIENCE_MS;
	r = open_socket(runtime_directory, &keeper->fd);
	if (r == 0)
		r = keeper_post(keeper, KEEPER_HELLO, 0, NULL, NULL, 0, &serial);
	if (r < 0) {
		keeper_free(keeper);
		return r;
	}
	*ret = keeper;
	return 0;
}

int keeper_connect(const char *runtime_directory, struct keeper_client **ret)
{
	struct keeper_client *keeper;
	int r = keeper_reach(runtime_directory, &keeper);

	if (r < 0)
		return r == -EAGAIN ? -ETIMEDOUT : r;
	r = keeper_await_posted(keeper);
	if (r < 0) {
		keeper_free(keeper);
		return r;
	}
	*ret = keeper;
	return 0;
}

struct keeper_client *keeper_free(struct keeper_client *keeper)
{
	if (!keeper)
		return NULL;
	fd_close(keeper->fd);
	free(keeper);
	return NULL;
}

void keeper_set_patience(struct keeper_client *keeper, unsigned milliseconds)
{
	keeper->patience_ms = milliseconds;
}

int keeper_fault(const struct keeper_client *keeper)
{
	return keeper->fault;
}

int keeper_fd(const struct keeper_client *keeper)
{
	return keeper->fd;
}

const struct keeper_report *keeper_report(const struct keeper_client *keeper)
{
	return keeper->greeted ? &keeper->report : NULL;
}
