/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching gates. See gate_watch.h.
 */
#include "daemon/gate/gate_watch.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/base/log.h"
#include "daemon/gate/trapped_ioctl.h"
#include "daemon/owner/scheduler.h"

struct gate_watch {
	struct gmemd *gmemd;
	struct vm *vm;
	bool begun;
	struct event event; /* of the listener, or of a rest */
	struct work work;   /* in a turn of the VM's owner */
};

/* How long it rests where the listener can't be watched, for want of memory. */
static const struct timeval rest = {.tv_usec = 100 * 1000};

static void rested(evutil_socket_t fd, short what, void *context);
static void listener_event(evutil_socket_t listener, short what, void *context);

static void be_listener_event(struct gate_watch *watch)
{
	event_assign(&watch->event, watch->gmemd->base, watch->vm->listener, EV_READ | EV_PERSIST,
		listener_event, watch);
}

static void watch_listener(struct gate_watch *watch)
{
	if (event_pending(&watch->event, EV_READ | EV_TIMEOUT, NULL))
		return;
	be_listener_event(watch);
	if (event_add(&watch->event, NULL) == 0)
		return;
	event_assign(&watch->event, watch->gmemd->base, -1, 0, rested, watch);
	event_add(&watch->event, &rest);
}

static void rested(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	watch_listener(context);
}

/* What was trapped last has been decided: the next is looked at. */
static void look_on(struct vm *vm)
{
	watch_listener(vm->gate_watch);
}

/* A listener hangs up when the last process behind its filter is gone. */
static bool hung_up(int listener)
{
	struct pollfd event = {.fd = listener};

	return poll(&event, 1, 0) > 0 && event.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void serve_trap(struct work *work)
{
	struct gate_watch *watch = CONTAINER_OF(work, struct gate_watch, work);
	struct vm *vm = watch->vm;
	int r = trapped_ioctl_serve(watch->gmemd, vm, look_on);

	/* Every call that is taken away from us costs all others our wait for it. */
	if (r == -EINTR)
		log_vm_warning(vm->id, "gmemd serves its gate no more: another process answers at "
				       "the same listener");
	if (r == -EINTR || vm->trap.inquiry || (r < 0 && hung_up(vm->listener)))
		event_del(&watch->event);
	else
		watch_listener(watch);
}

/* Where it is found readable again before its turn has come, there is no use in looking on. */
static void listener_event(evutil_socket_t listener, short what, void *context)
{
	struct gate_watch *watch = context;

	(void)listener;
	(void)what;
	if (scheduler_has(&watch->work))
		event_del(&watch->event);
	else
		scheduler_ready(watch->gmemd->scheduler, &watch->work);
}

static void gate_watch_free(struct gate_watch *watch)
{
	event_del(&watch->event);
	free(watch);
}

int gate_watch_prepare(struct gmemd *gmemd, struct vm *vm)
{
	struct gate_watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return -ENOMEM;
	*watch = (struct gate_watch){
		.gmemd = gmemd, .vm = vm, .work = {.owner = vm->owner, .run = serve_trap}};
	be_listener_event(watch);
	vm->gate_watch = watch;
	return 0;
}

void gate_watch_begin(struct vm *vm)
{
	struct gate_watch *watch = vm->gate_watch;

	if (!watch->begun)
		watch_listener(watch);
	watch->begun = true;
}

int gate_watch_new(struct gmemd *gmemd, struct vm *vm)
{
	int r = gate_watch_prepare(gmemd, vm);

	if (r < 0)
		return r;
	vm->gate_watch->begun = event_add(&vm->gate_watch->event, NULL) == 0;
	if (vm->gate_watch->begun)
		return 0;
	gate_watch_free(vm->gate_watch);
	vm->gate_watch = NULL;
	return -ENOMEM;
}

void gate_watch_stop(struct vm *vm)
{
	struct gate_watch *watch = vm->gate_watch;

	trapped_ioctl_forget(vm);
	if (!watch)
		return;
	vm->gate_watch = NULL;
	scheduler_forget(&watch->work);
	gate_watch_free(watch);
}
