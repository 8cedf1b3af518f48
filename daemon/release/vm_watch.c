/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching VMs. See vm_watch.h.
 */
#include "daemon/release/vm_watch.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>

#include "daemon/base/log.h"
#include "daemon/gate/trapped_ioctl.h"
#include "daemon/owner/scheduler.h"
#include "daemon/peerfd/taker_client.h"
#include "daemon/release/release.h"

struct watch {
	struct gmemd *gmemd;
	struct vm *vm;
	struct event *process;
	struct event *listener;
	/* What is done in turns of the VM's owner. */
	struct work release, trap;
};

#define WATCH_OF(pointer, member)                                                                  \
	((struct watch *)((char *)(pointer)-offsetof(struct watch, member)))

static void release(struct work *work)
{
	struct watch *watch = WATCH_OF(work, release);
	struct gmemd *gmemd = watch->gmemd;
	struct vm *vm = watch->vm;

	watch_stop(vm);
	release_ended_vm(gmemd, vm);
}

static void process_ended_event(evutil_socket_t pidfd, short what, void *context)
{
	struct watch *watch = context;

	(void)pidfd;
	(void)what;
	event_del(watch->process);
	scheduler_ready_to_release(watch->gmemd->scheduler, &watch->release);
}

/* A listener hangs up when the last process behind its filter is gone. */
static bool hung_up(int listener)
{
	struct pollfd event = {.fd = listener};

	return poll(&event, 1, 0) > 0 && event.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void serve_trap(struct work *work)
{
	struct watch *watch = WATCH_OF(work, trap);
	struct vm *vm = watch->vm;
	int r = trapped_ioctl_serve(watch->gmemd, vm);

	/* Every call that is taken away from us costs all others our wait for it. */
	if (r == -EINTR)
		log_vm_warning(vm->id, "its gate is served no more: another process serves it too");
	if (r == -EINTR || vm->trap.inquiry || (r < 0 && hung_up(vm->listener)))
		event_del(watch->listener);
	else
		event_add(watch->listener, NULL);
}

void watch_gate_again(struct vm *vm)
{
	struct watch *watch = vm->watch;

	event_add(watch->listener, NULL);
}

/* Where it is found readable again before its turn has come, there is no use in looking on. */
static void listener_event(evutil_socket_t listener, short what, void *context)
{
	struct watch *watch = context;

	(void)listener;
	(void)what;
	if (scheduler_has(&watch->trap))
		event_del(watch->listener);
	else
		scheduler_ready(watch->gmemd->scheduler, &watch->trap);
}

int watch_process(struct gmemd *gmemd, struct vm *vm)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){.gmemd = gmemd,
		.vm = vm,
		.release = {.owner = vm->owner, .run = release},
		.trap = {.owner = vm->owner, .run = serve_trap}};
	watch->process = event_new(
		gmemd->base, vm->process.pidfd, EV_READ | EV_PERSIST, process_ended_event, watch);
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
		watch->gmemd->base, vm->listener, EV_READ | EV_PERSIST, listener_event, watch);

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

	trapped_ioctl_forget(vm);
	if (!watch)
		return;
	takings_forget_owner(watch->gmemd->takings, vm->owner);
	vm->watch = NULL;
	scheduler_forget(&watch->release);
	scheduler_forget(&watch->trap);
	event_free(watch->process);
	if (watch->listener)
		event_free(watch->listener);
	free(watch);
}
