/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reconnecting. See reconnect.h.
 */
#include "client/lib/reconnect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/exchange.h"
#include "client/lib/last_error.h"
#include "client/lib/resume.h"
#include "kernel/base/cleanup.h"
#include "protocol/cursors.h"
#include "protocol/json.h"

#define FIRST_PAUSE_MS 10
#define LAST_PAUSE_MS  1000

/* gmemd's are short. One that is cut is none of its own. */
#define CURSOR_SIZE 256

/* Under the number that the connection has had: who polls it goes on. */
static int replace_fd(struct gmem *gmem, int consume_fd)
{
	int r = dup3(consume_fd, gmem->fd, O_CLOEXEC) < 0 ? -errno : 0;

	fd_close(consume_fd);
	gmem->reconnected++;
	unconfirmed_begin_again(gmem);
	connection_limit_wait(gmem);
	return r;
}

static int connect_again(struct gmem *gmem, int64_t until)
{
	int64_t pause = FIRST_PAUSE_MS;
	int fd;

	while (packet_connect(gmem->path, &fd) < 0) {
		if (connection_now_ms() + pause > until)
			return -ECONNRESET;
		usleep((useconds_t)pause * 1000);
		pause = 2 * pause > LAST_PAUSE_MS ? LAST_PAUSE_MS : 2 * pause;
	}
	return replace_fd(gmem, fd);
}

static int report_not_done(struct gmem_vm *vm, uint64_t call)
{
	struct json_object *params = vm_params(vm);
	int r;

	json_add_uint(params, "call", call);
	json_add_uint(params, "done", 0);
	json_add_string(params, "errno", "ECANCELED");
	r = connection_exchange(vm->gmem, "call.done", params, NULL, NULL);
	return r == -EREMOTEIO ? 0 : r;
}

static int close_unheard_memory(struct gmem_vm *vm, const struct json_object *memory, uint64_t id)
{
	struct json_object *params;
	int r;

	if (strcmp(json_get_string(memory, "state"), "ready") != 0)
		return 0;
	params = json_new_object();
	json_add_uint(params, "memory", id);
	r = connection_exchange(vm->gmem, "memory.close", params, NULL, NULL);
	return r == -EREMOTEIO ? 0 : r;
}

/* What this process has not heard of is newer than all that it has. */
static int undo_unheard(struct gmem_vm *vm, const struct json_object *view)
{
	const struct json_object *calls = json_get(view, "calls");
	const struct json_object *memories = json_get(view, "memories");
	uint64_t id;
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_length(calls); i++) {
		if (json_get_uint(json_at(calls, i), "id", &id) && id > vm->gmem->heard.call)
			r = report_not_done(vm, id);
	}
	for (size_t i = 0; r == 0 && i < json_length(memories); i++) {
		if (json_get_uint(json_at(memories, i), "memory", &id) &&
			id > vm->gmem->heard.memory)
			r = close_unheard_memory(vm, json_at(memories, i), id);
	}
	return r;
}

/* One page of what gmemd has; *cursor is where it goes on, and "" at the end. */
static int undo_page(struct gmem_vm *vm, struct cursors *cursors, char cursor[static CURSOR_SIZE])
{
	struct json_object *params = vm_params(vm), *view;
	int r;

	if (cursor[0])
		json_add_string(params, "cursor", cursor);
	r = connection_exchange(vm->gmem, "vm.get", params, NULL, &view);
	if (r < 0)
		return r;
	r = undo_unheard(vm, view);
	snprintf(cursor, CURSOR_SIZE, "%s", json_get_string(view, "cursor"));
	json_unref(view);
	if (r == 0 && cursor[0] && cursors_note(cursors, cursor) < 0)
		return last_error_own(-EPROTO, "gmemd has given the same cursor twice");
	return r;
}

static int undo_all_unheard(struct gmem_vm *vm)
{
	struct cursors cursors = {.seen = NULL};
	char cursor[CURSOR_SIZE] = "";
	int r;

	do
		r = undo_page(vm, &cursors, cursor);
	while (r == 0 && cursor[0]);
	cursors_clear(&cursors);
	return r;
}

/* Nobody has kept it for a gmemd that has lost the VM. */
static int tell_minimum(struct gmem_vm *vm)
{
	struct json_object *params = vm_params(vm);
	int r;

	json_add_uint(params, "minimum", vm->minimum);
	r = connection_exchange(vm->gmem, "vm.set", params, NULL, NULL);
	return r == -EREMOTEIO ? 0 : r;
}

/* A VM that gmemd has released meanwhile is no error of the connection's. One that was rebuilt may
 * have been so long ago. */
static int resume_vm(struct gmem *gmem)
{
	bool rebuilt;
	int r = resume_tell(gmem->vm, &rebuilt);

	if (r == -EREMOTEIO && strcmp(last_error_details()->reason, "gone") == 0)
		return 0;
	if (r == 0 && rebuilt && gmem->vm->minimum > 0)
		r = tell_minimum(gmem->vm);
	if (r == 0)
		r = unconfirmed_send(gmem);
	if (r == 0)
		r = undo_all_unheard(gmem->vm);
	return r;
}

static int go_on(struct gmem *gmem)
{
	int r = gmem->vm ? resume_vm(gmem) : 0;

	if (r == 0 && gmem->subscribed)
		r = connection_exchange(gmem, "event.subscribe", json_new_object(), NULL, NULL);
	return r;
}

static int say_gone(const struct gmem *gmem)
{
	if (!gmem->path)
		return last_error_own(
			-ECONNRESET, "gmemd is gone, and the path of its socket is not known");
	if (gmem->limit_ms == 0)
		return last_error_own(-ECONNRESET, "gmemd is gone");
	return last_error_own(-ECONNRESET, "gmemd is gone: nobody has answered at %s for %g s",
		gmem->path, (double)connection_patience(gmem) / 1000);
}

static int try_until(struct gmem *gmem, int64_t until)
{
	int r = -ECONNRESET;

	gmem->broken = true;
	if (!gmem->path || gmem->limit_ms == 0)
		return say_gone(gmem);
	do {
		r = connect_again(gmem, until);
		if (r == 0)
			r = go_on(gmem);
	} while (r == -ECONNRESET && connection_now_ms() < until);
	gmem->broken = r < 0;
	return r == -ECONNRESET ? say_gone(gmem) : r;
}

int reconnect(struct gmem *gmem)
{
	return try_until(gmem, connection_until(gmem));
}

int reconnect_with_vm(struct gmem *gmem)
{
	int r = resume_vm(gmem);

	if (r == -ECONNRESET)
		r = reconnect(gmem);
	if (r != -ETIMEDOUT)
		return r;
	gmem->broken = true; /* what comes yet is the answer to something else */
	return -ECONNRESET;
}

int reconnect_at_once(struct gmem *gmem)
{
	return try_until(gmem, connection_now_ms());
}
