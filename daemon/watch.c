/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching VMs. See watch.h.
 */
#include "daemon/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "daemon/gatekeeper.h"
#include "daemon/log.h"
#include "daemon/release.h"

struct watch {
	struct gmemd *gmemd;
	struct event *process;
	struct event *listener;
};

static void process_ended_event(evutil_socket_t pidfd, short what, void *context)
{
	struct vm *vm = context;
	struct watch *watch = vm->watch;
	struct gmemd *gmemd = watch->gmemd;

	(void)pidfd;
	(void)what;
	watch_stop(vm);
	release_ended_vm(gmemd, vm);
}

/* A listener hangs up when the last process behind its filter is gone. */
static bool hung_up(int listener)
{
	struct pollfd event = {.fd = listener};

	return poll(&event, 1, 0) > 0 && event.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void listener_event(evutil_socket_t listener, short what, void *context)
{
	struct vm *vm = context;
	struct watch *watch = vm->watch;
	int r;

	(void)what;
	r = gatekeeper_serve(watch->gmemd, vm);
	/* Every call that is taken away from us costs all others our wait for it. */
	if (r == -EINTR)
		log_vm_warning(vm->id, "its gate is served no more: another process serves it too");
	if (r == -EINTR || (r < 0 && hung_up(listener)))
		event_del(watch->listener);
}

int watch_process(struct gmemd *gmemd, struct vm *vm)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return -ENOMEM;
	watch->gmemd = gmemd;
	watch->process = event_new(
		gmemd->base, vm->process.pidfd, EV_READ | EV_PERSIST, process_ended_event, vm);
	if (!watch->process || event_add(watch->process, NULL) < 0) {
		if (watch->process)
			event_free(watch->process);
		free(watch);
		return -ENOMEM;
	}
	vm->watch = watch;
	return 0;
}

int watch_gate(struct vm *vm)
{
	struct watch *watch = vm->watch;
	struct event *event = event_new(
		watch->gmemd->base, vm->listener, EV_READ | EV_PERSIST, listener_event, vm);

	if (!event || event_add(event, NULL) < 0) {
		if (event)
			event_free(event);
		return -ENOMEM;
	}
	watch->listener = event;
	return 0;
}

void watch_stop(struct vm *vm)
{
	struct watch *watch = vm->watch;

	if (!watch)
		return;
	vm->watch = NULL;
	event_free(watch->process);
	if (watch->listener)
		event_free(watch->listener);
	free(watch);
}
