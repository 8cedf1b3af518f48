/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page thread's gmemd-puncher. See puncher.h.
 */
#include "daemon/pages/puncher.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "daemon/base/fd_packet.h"
#include "daemon/base/helper_process.h"
#include "daemon/puncher/protocol.h"
#include "kernel/base/cleanup.h"

/* After a start that failed. */
#define PAUSE_NS 1000000000ull

/* Of one that has closed its socket, or does so at once: milliseconds. */
#define ENDS_MS 1000

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void puncher_init(struct puncher *puncher, const char *program)
{
	*puncher = (struct puncher){.program = program, .pidfd = -1, .socket = -1};
	pthread_mutex_init(&puncher->lock, NULL);
}

static bool is_stopped(struct puncher *puncher)
{
	bool stopped;

	pthread_mutex_lock(&puncher->lock);
	stopped = puncher->stopped;
	pthread_mutex_unlock(&puncher->lock);
	return stopped;
}

static void set_socket(struct puncher *puncher, int socket)
{
	pthread_mutex_lock(&puncher->lock);
	fd_close(puncher->socket);
	puncher->socket = socket;
	if (puncher->stopped && socket >= 0)
		shutdown(socket, SHUT_RDWR);
	pthread_mutex_unlock(&puncher->lock);
}

static int start_puncher(struct puncher *puncher)
{
	const struct helper_program program = {.name = "gmemd-puncher", .path = puncher->program};
	cleanup_fd int ours = -1, theirs = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	r = helper_process_start(&program, &theirs, 1, &puncher->pidfd);
	if (r < 0)
		return r;
	set_socket(puncher, ours);
	ours = -1; /* handed over */
	return 0;
}

/* Starts one, if there is none. */
static void have_puncher(struct puncher *puncher)
{
	if (puncher->pidfd >= 0 || now_ns() < puncher->next_try)
		return;
	if (start_puncher(puncher) < 0)
		puncher->next_try = now_ns() + PAUSE_NS;
}

/* Where that takes longer it ends by itself, for whoever adopts this process's children. */
static void leave(struct puncher *puncher, int milliseconds)
{
	set_socket(puncher, -1);
	if (puncher->pidfd >= 0 && helper_process_wait(puncher->pidfd, milliseconds))
		helper_process_reap(puncher->pidfd);
	puncher->pidfd = fd_close(puncher->pidfd);
}

void puncher_leave(struct puncher *puncher)
{
	leave(puncher, ENDS_MS);
}

void puncher_clear(struct puncher *puncher)
{
	puncher_leave(puncher);
	pthread_mutex_destroy(&puncher->lock);
}

/* The file stays the caller's. */
static int ask_puncher(const struct puncher *puncher, int fd, enum punch_kind kind,
	const struct punch_range *ranges, size_t count, struct puncher_answer *ret)
{
	struct puncher_request request = {.magic = PUNCHER_MAGIC,
		.version = PUNCHER_VERSION,
		.count = (uint16_t)count,
		.kind = kind};
	struct fd_packet packet;
	int r;

	memcpy(request.ranges, ranges, count * sizeof *ranges);
	r = fd_packet_send(
		puncher->socket, &request, puncher_request_length(request.count), &fd, 1);
	if (r == 0)
		r = fd_packet_receive(puncher->socket, ret, sizeof *ret, &packet);
	if (r < 0)
		return r;
	fd_packet_clear(&packet);
	return packet.length == sizeof *ret && ret->magic == PUNCHER_MAGIC ? 0 : -EBADMSG;
}

/* One that has ended meanwhile is replaced, once. What it had done by then is not counted. */
static bool have_it_punch(struct puncher *puncher, int fd, enum punch_kind kind,
	const struct punch_range *ranges, size_t count, struct punched *ret)
{
	struct puncher_answer answer;

	for (unsigned i = 0; i < 2 && !is_stopped(puncher); i++) {
		have_puncher(puncher);
		if (puncher->pidfd >= 0 &&
			ask_puncher(puncher, fd, kind, ranges, count, &answer) == 0) {
			ret->resident += answer.punched.resident;
			ret->released += answer.punched.released;
			ret->left += answer.punched.left;
			return true;
		}
		leave(puncher, is_stopped(puncher) ? 0 : ENDS_MS);
	}
	return false;
}

void puncher_punch(struct puncher *puncher, int fd, enum punch_kind kind,
	const struct punch_range *ranges, size_t count, struct punched *ret)
{
	if (!have_it_punch(puncher, fd, kind, ranges, count, ret) && !is_stopped(puncher))
		punch(fd, kind, ranges, count, ret);
}

void puncher_stop(struct puncher *puncher)
{
	pthread_mutex_lock(&puncher->lock);
	puncher->stopped = true;
	if (puncher->socket >= 0)
		shutdown(puncher->socket, SHUT_RDWR);
	pthread_mutex_unlock(&puncher->lock);
}
