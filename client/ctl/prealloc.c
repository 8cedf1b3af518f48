/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl prealloc: has a VM's memory allocated, and shows how far that is.
 *
 * It speaks on a connection of its own, for progress comes between a request and its answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/common/waiting.h"
#include "client/common/waiting_reason.h"
#include "client/ctl/bar.h"
#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/own_process.h"
#include "kernel/host/process_start.h"
#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/packet.h"
#include "protocol/text.h"

enum { REQUEST_PREALLOCATE = 1, REQUEST_CANCEL = 2 };

/* After which the user is told for whom this waits. */
#define SILENCE_MILLISECONDS 2000

struct session {
	struct ctl *ctl;
	int socket;
	int signals;
	int signal;   /* that has come; 0: none */
	bool waiting; /* without a word of gmemd's, which was told */
	char token[48];
	struct bar bar;
	uint64_t allocated, resident; /* sums */
	struct packet packet;
};

static int send_request(
	struct session *session, uint64_t id, const char *method, struct json_object *take_params)
{
	struct json_object *message = message_request(id, method, take_params);
	size_t length;
	const char *text = json_print(message, &length);
	int r = text ? packet_send(session->socket, 0, text, length, NULL, 0) : -ENOMEM;

	json_unref(message);
	return r;
}

static int cancel_preallocation(struct session *session)
{
	struct json_object *params = json_new_object();

	json_add_string(params, "token", session->token);
	return send_request(session, REQUEST_CANCEL, "memory.cancel", params);
}

/* The first asks gmemd to stop; the second doesn't wait for that. */
static int take_signal(struct session *session)
{
	struct signalfd_siginfo info;
	int first = session->signal == 0;

	if (read(session->signals, &info, sizeof info) != sizeof info)
		return 0;
	session->signal = (int)info.ssi_signo;
	return first ? cancel_preallocation(session) : -EINTR;
}

static void show_progress(struct session *session, const struct json_object *params)
{
	uint64_t done = 0, total = 0;

	if (json_get_uint(params, "done", &done) && json_get_uint(params, "total", &total))
		bar_show(&session->bar, done, total);
}

/* The answer to the preallocation, NULL where it was another message. */
static struct json_object *take_message(struct session *session)
{
	struct json_object *message =
		text_read(session->ctl, session->packet.bytes, session->packet.length);
	uint64_t id = 0;

	fd_list_close(&session->packet.fds);
	if (strcmp(json_get_string(message, "method"), "progress") == 0)
		show_progress(session, json_get(message, "params"));
	if (json_get_uint(message, "id", &id) && id == REQUEST_PREALLOCATE)
		return message;
	return json_unref(message);
}

static void tell_waiting(struct session *session)
{
	char reason[WAITING_REASON_MAX], message[WAITING_MESSAGE_MAX];

	session->waiting = true;
	waiting_reason(session->ctl->socket, session->socket, reason, sizeof reason);
	snprintf(message, sizeof message, "waiting for gmemd at %s: %s", session->ctl->socket,
		reason);
	report_waiting(session->ctl, /* given_up= */ false, message);
}

static int take_packet(struct session *session, struct json_object **ret)
{
	int r = packet_receive(session->socket, 0, &session->packet);

	session->waiting = false;
	if (r == 0)
		*ret = take_message(session);
	return r;
}

static int wait_for_answer(struct session *session, struct json_object **ret)
{
	struct pollfd events[] = {{.fd = session->socket, .events = POLLIN},
		{.fd = session->signals, .events = POLLIN}};
	int n, r = 0;

	*ret = NULL;
	while (r == 0 && !*ret) {
		n = poll(events, 2, session->waiting ? -1 : SILENCE_MILLISECONDS);
		if (n == 0)
			tell_waiting(session);
		if (n <= 0)
			continue;
		if (events[1].revents)
			r = take_signal(session);
		if (r == 0 && events[0].revents)
			r = take_packet(session, ret);
	}
	return r;
}

static int ask_gmemd(struct session *session, uint64_t memory)
{
	struct json_object *params = json_new_object();

	json_add_uint(params, "memory", memory);
	json_add_string(params, "token", session->token);
	if (session->ctl->threads != CTL_ANY)
		json_add_uint(params, "threads", session->ctl->threads);
	if (session->ctl->populate)
		json_add_bool(params, "populate", true);
	return send_request(session, REQUEST_PREALLOCATE, "memory.preallocate", params);
}

static enum ctl_status take_answer(
	struct session *session, const struct json_object *answer, uint64_t size)
{
	struct json_object *error = json_get(answer, "error");
	struct json_object *told = error ? json_get(error, "data") : json_get(answer, "result");
	uint64_t allocated = 0, resident = 0;

	json_get_uint(told, "allocated", &allocated);
	json_get_uint(told, "resident", &resident);
	session->allocated += allocated;
	session->resident += resident;
	if (!error) {
		bar_end(&session->bar, resident, size);
		return CTL_DONE;
	}
	bar_end(&session->bar, allocated, size);
	if (session->ctl->json)
		print_json(stderr, error);
	else
		fprintf(stderr, "gmemctl: %s\n", json_get_string(error, "message"));
	return CTL_REFUSED;
}

static enum ctl_status preallocate(struct session *session, const struct json_object *memory)
{
	struct json_object *answer = NULL;
	enum ctl_status status;
	uint64_t id = 0, size = 0;
	char what[160], title[2 * sizeof what];
	int r;

	json_get_uint(memory, "memory", &id);
	json_get_uint(memory, "size", &size);
	snprintf(title, sizeof title, "memory %" PRIu64 " %s", id, json_get_string(memory, "name"));
	text_copy(title, what, sizeof what);
	bar_begin(&session->bar, session->ctl, what);
	r = ask_gmemd(session, id);
	if (r == 0)
		r = wait_for_answer(session, &answer);
	if (r == -EINTR)
		return (enum ctl_status)(128 + session->signal);
	if (r < 0)
		return report_call(session->ctl, r);
	status = take_answer(session, answer, size);
	json_unref(answer);
	return session->signal ? (enum ctl_status)(128 + session->signal) : status;
}

static bool is_wanted(const struct ctl *ctl, const struct json_object *memory)
{
	uint64_t node = CTL_ANY;

	if (ctl->node != CTL_ANY && (!json_get_uint(memory, "node", &node) || node != ctl->node))
		return false;
	return request_is_memory(ctl, memory) &&
	       strcmp(json_get_string(memory, "state"), "ready") == 0;
}

static enum ctl_status preallocate_all(struct session *session, const struct json_object *memories)
{
	enum ctl_status status = CTL_DONE;
	unsigned count = 0;

	for (size_t i = 0; status == CTL_DONE && i < json_length(memories); i++) {
		struct json_object *memory = json_at(memories, i);

		if (!is_wanted(session->ctl, memory))
			continue;
		status = preallocate(session, memory);
		count++;
	}
	if (count > 0)
		return status;
	fputs("gmemctl: the VM has no such memory, or it is not ready\n", stderr);
	return CTL_NOT_FOUND;
}

static void print_sum(const struct session *session, enum ctl_status status)
{
	struct json_object *value = json_new_object();

	if (session->ctl->json) {
		json_add_uint(value, "allocated", session->allocated);
		json_add_uint(value, "resident", session->resident);
		json_add_bool(value, "cancelled", session->signal != 0);
		print_value(session->ctl, value);
	} else if (session->signal && status >= 128) {
		char text[32];

		text_of_size(session->allocated, text, sizeof text);
		printf("stopped; %s were added and stay allocated\n", text);
	}
	json_unref(value);
}

static int catch_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	if (process_may_handle(SIGINT))
		sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

enum ctl_status ctl_prealloc(struct ctl *ctl, char **arguments)
{
	static struct session session;
	struct json_object *vm;
	enum ctl_status status = request_vm(ctl, arguments[0], &vm);
	char tag[24];
	int r;

	if (status != CTL_DONE)
		return status;
	session.ctl = ctl;
	own_process_tag(tag, sizeof tag);
	snprintf(session.token, sizeof session.token, "gmemctl-%s", tag);
	r = packet_connect(ctl->socket, &session.socket);
	if (r < 0) {
		json_unref(vm);
		return report_connect(ctl, r);
	}
	session.signals = catch_signals();
	status = preallocate_all(&session, json_get(vm, "memories"));
	print_sum(&session, status);
	json_unref(vm);
	fd_close(session.signals);
	fd_close(session.socket);
	return status;
}
