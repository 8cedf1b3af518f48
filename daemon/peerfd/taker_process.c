/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One gmemd-taker, as gmemd sees it. See taker_process.h.
 */
#include "daemon/peerfd/taker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/base/helper_process.h"
#include "daemon/base/log.h"
#include "daemon/base/privileges.h"
#include "kernel/base/cleanup.h"

static void set_timer(struct taking_process *process, int milliseconds)
{
	const struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};

	event_add(&process->ended, &time);
}

static void become_taker(struct taking_process *process, enum taking_state state)
{
	process->state = state;
	set_timer(process, state == TAKING_IDLE ? TAKER_IDLE_MS : TAKER_LATE_MS);
}

/* Nothing with files is on its way from one that owes no answer: so this is the last close of no
 * file. */
void taking_process_leave(struct taking_process *process)
{
	if (process->socket < 0)
		return;
	event_del(&process->readable);
	process->socket = fd_close(process->socket);
	process->hung = false;
	become_taker(process, TAKING_LEAVING);
	process->events->changed(process);
}

void taking_process_give_up(struct taking_process *process)
{
	if (process->hung)
		return;
	process->hung = true;
	event_remove_timer(&process->ended);
	process->events->changed(process);
}

static void time_is_over(struct taking_process *process)
{
	if (process->state == TAKING_IDLE)
		taking_process_leave(process);
	else
		taking_process_give_up(process);
}

/* Asking */

static int send_request(struct taking_process *process, struct taker_message *request,
	size_t length, const int *pidfd)
{
	request->header.magic = TAKER_MAGIC;
	request->header.version = TAKER_VERSION;
	request->header.serial = ++process->serial;
	process->asked = taker_asked(request);
	return fd_packet_send(process->socket, request, length, pidfd, pidfd ? 1 : 0);
}

int taking_process_ask(struct taking_process *process, struct taker_message *request, int pidfd)
{
	size_t length = taker_request_length(request->header.operation, request->header.count);
	int r = send_request(process, request, length, &pidfd);

	if (r < 0)
		taking_process_leave(process);
	else
		become_taker(process, TAKING_ASKED);
	return r;
}

static void become_idle(struct taking_process *process)
{
	become_taker(process, TAKING_IDLE);
	process->events->changed(process);
}

/* What was handed over is kept or closed by now. */
static void have_it_close(struct taking_process *process, bool kept)
{
	const bool quiet = kept && !process->hung;
	struct taker_message request = {
		.header = {.operation = TAKER_CLOSE, .flags = quiet ? TAKER_QUIET : 0}};

	if (send_request(process, &request, sizeof request.header, NULL) < 0)
		taking_process_leave(process);
	else if (quiet)
		become_idle(process);
	else
		become_taker(process, TAKING_CLOSING);
}

/* Its answers */

/* Whoever takes one leaves none there. */
static bool are_all_taken(const struct taker_packet *packet)
{
	for (size_t i = 0; i < packet->came.n_fds; i++) {
		if (packet->came.fds[i] >= 0)
			return false;
	}
	return true;
}

static void take_answer(struct taking_process *process, struct taker_packet *packet)
{
	bool asked = process->state == TAKING_ASKED, has_files = packet->came.n_fds > 0, kept;

	if (asked && !process->hung)
		process->events->answered(process, packet, 0);
	kept = are_all_taken(packet);
	fd_packet_clear(&packet->came);
	if (has_files)
		have_it_close(process, kept);
	else if (process->hung)
		taking_process_leave(process);
	else
		become_idle(process);
}

/* Where there is none, and will be none. */
static void take_failure(struct taking_process *process, int error)
{
	if (process->state == TAKING_ASKED && !process->hung)
		process->events->answered(process, NULL, error);
	taking_process_leave(process);
}

/* False where nothing is there. */
static bool receive_answer(struct taking_process *process)
{
	struct taker_packet packet;
	bool awaited = process->state == TAKING_ASKED || process->state == TAKING_CLOSING;
	int r = taker_packet_receive(process->socket, &packet);

	if (r == -EAGAIN)
		return false;
	if (r < 0) {
		take_failure(process, r);
		return true;
	}
	r = awaited ? taker_answer_check(&packet, &process->asked) : -EBADMSG;
	if (r == 0) {
		take_answer(process, &packet);
	} else {
		fd_packet_clear(&packet.came);
		take_failure(process, r);
	}
	return true;
}

static void readable_event(evutil_socket_t socket, short what, void *context)
{
	(void)socket;
	(void)what;
	receive_answer(context);
}

/* Its end */

static void log_end(const struct helper_end *end)
{
	if (end->signal != 0)
		log_warning("a gmemd-taker was killed by signal %d", end->signal);
	else if (end->status != 0)
		log_warning("a gmemd-taker has ended with status %d", end->status);
}

/* What it has said before is heard first. */
static void ended_event(evutil_socket_t pidfd, short what, void *context)
{
	struct taking_process *process = context;
	struct helper_end end;

	if (!(what & EV_READ)) {
		event_remove_timer(&process->ended);
		time_is_over(process);
		return;
	}
	event_del(&process->ended);
	end = helper_process_reap(pidfd);
	log_end(&end);
	while (process->socket >= 0 && receive_answer(process))
		continue;
	if (process->socket >= 0)
		take_failure(process, -EPIPE);
	process->events->ended(process);
	taking_process_free(process);
}

struct taking_process *taking_process_free(struct taking_process *process)
{
	if (!process)
		return NULL;
	event_del(&process->readable);
	event_del(&process->ended);
	fd_close(process->socket);
	fd_close(process->pidfd);
	free(process);
	return NULL;
}

/* Its beginning */

static int start_program(const char *program, int socket, int *ret_pidfd)
{
	const struct helper_program helper = {.name = "gmemd-taker", .path = program};
	int r;

	privileges_hand_on_look(true);
	r = helper_process_start(&helper, &socket, 1, ret_pidfd);
	privileges_hand_on_look(false);
	return r;
}

static int start_taker(struct taking_process *process, const char *program)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	process->socket = pair[0];
	r = fcntl(process->socket, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = start_program(program, pair[1], &process->pidfd);
	fd_close(pair[1]);
	return r;
}

static int watch_taker(struct event_base *base, struct taking_process *process)
{
	const short persists = EV_READ | EV_PERSIST;

	event_assign(&process->readable, base, process->socket, persists, readable_event, process);
	event_assign(&process->ended, base, process->pidfd, persists, ended_event, process);
	if (event_add(&process->readable, NULL) < 0 || event_add(&process->ended, NULL) < 0)
		return -ENOMEM;
	return 0;
}

int taking_process_start(struct event_base *base, const char *program,
	const struct taking_process_events *events, void *context, struct taking_process **ret)
{
	struct taking_process *process = malloc(sizeof *process);
	int r;

	if (!process)
		return -ENOMEM;
	*process = (struct taking_process){
		.events = events, .context = context, .socket = -1, .pidfd = -1};
	event_assign(&process->readable, base, -1, 0, NULL, NULL); /* none yet */
	event_assign(&process->ended, base, -1, 0, NULL, NULL);
	r = start_taker(process, program);
	if (r == 0)
		r = watch_taker(base, process);
	if (r < 0 && process->pidfd >= 0) {
		helper_process_kill(process->pidfd); /* it has not been asked anything */
		helper_process_reap(process->pidfd);
	}
	if (r < 0) {
		taking_process_free(process);
		return r;
	}
	become_taker(process, TAKING_IDLE);
	*ret = process;
	return 0;
}
