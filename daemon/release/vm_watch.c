/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching VMs. See vm_watch.h.
 */
#include "daemon/release/vm_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/gate/gate_watch.h"
#include "daemon/owner/scheduler.h"
#include "daemon/peerfd/taker_client.h"
#include "daemon/release/release.h"

struct watch {
	struct gmemd *gmemd;
	struct vm *vm;
	struct event *process;
	struct work release; /* in a turn of the VM's owner */
};

static void release(struct work *work)
{
	struct watch *watch = CONTAINER_OF(work, struct watch, release);
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

int watch_process(struct gmemd *gmemd, struct vm *vm)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){
		.gmemd = gmemd, .vm = vm, .release = {.owner = vm->owner, .run = release}};
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

void watch_stop(struct vm *vm)
{
	struct watch *watch = vm->watch;

	gate_watch_stop(vm);
	if (!watch)
		return;
	takings_forget_owner(watch->gmemd->takings, vm->owner);
	vm->watch = NULL;
	scheduler_forget(&watch->release);
	event_free(watch->process);
	free(watch);
}
