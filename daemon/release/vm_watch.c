/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching VMs. See vm_watch.h.
 */
#include "daemon/release/vm_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/clock.h"
#include "daemon/base/container_of.h"
#include "daemon/gate/gate_watch.h"
#include "daemon/owner/scheduler.h"
#include "daemon/peerfd/taker_client.h"
#include "daemon/pressure/policy.h"
#include "daemon/pressure/watch.h"
#include "daemon/release/release.h"
#include "daemon/tenant/tenant.h"

struct watch {
	struct gmemd *gmemd;
	struct vm *vm;
	bool begun;
	struct event *process;
	struct event *linger;
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

/* How often it is looked whether it is to linger on. */
static const struct timeval look = {.tv_sec = 1};

bool watch_may_linger(const struct gmemd *gmemd, const struct vm *vm)
{
	return gmemd->config.linger > 0 && vm->state == VM_RUNNING && vm->n_memories > 0 &&
	       !vm->tenant->under_pressure &&
	       pressure_watch_policy(gmemd->pressure)->level == PRESSURE_LEVEL_NONE;
}

static void look_at_linger(evutil_socket_t fd, short what, void *context)
{
	const struct watch *watch = context;
	struct vm *vm = watch->vm;

	(void)fd;
	(void)what;
	if (clock_ms() >= vm->lingers_until || !watch_may_linger(watch->gmemd, vm))
		watch_end_linger(vm);
}

/* Nobody is there any more who could be asked for anything, or trap. */
static int linger(struct watch *watch)
{
	struct vm *vm = watch->vm;

	watch->linger = event_new(watch->gmemd->base, -1, EV_PERSIST, look_at_linger, watch);
	if (!watch->linger || event_add(watch->linger, &look) < 0)
		return -ENOMEM;
	gate_watch_stop(vm);
	pressure_watch_forget(watch->gmemd->pressure, vm);
	vm->lingers_until = clock_ms() + watch->gmemd->config.linger * 1000;
	LIST_INSERT_HEAD(&vm->registry->lingering, vm, lingering);
	audit_vm(&watch->gmemd->audit, ACT_VM_LINGERS, vm,
		"process %d has ended; its memory stays for %" PRIu64 " s", vm->process.pid,
		watch->gmemd->config.linger);
	return 0;
}

static void linger_no_more(struct vm *vm)
{
	if (vm->lingers_until == 0)
		return;
	vm->lingers_until = 0;
	LIST_REMOVE(vm, lingering);
	event_del(vm->watch->linger);
}

void watch_end_linger(struct vm *vm)
{
	struct watch *watch = vm->watch;

	if (vm->lingers_until == 0)
		return;
	linger_no_more(vm);
	scheduler_ready_to_release(watch->gmemd->scheduler, &watch->release);
}

static void process_ended_event(evutil_socket_t pidfd, short what, void *context)
{
	struct watch *watch = context;

	(void)pidfd;
	(void)what;
	event_del(watch->process);
	if (!watch_may_linger(watch->gmemd, watch->vm) || linger(watch) < 0)
		scheduler_ready_to_release(watch->gmemd->scheduler, &watch->release);
}

int watch_prepare(struct gmemd *gmemd, struct vm *vm)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){
		.gmemd = gmemd, .vm = vm, .release = {.owner = vm->owner, .run = release}};
	watch->process = event_new(
		gmemd->base, vm->process.pidfd, EV_READ | EV_PERSIST, process_ended_event, watch);
	if (!watch->process) {
		free(watch);
		return -ENOMEM;
	}
	vm->watch = watch;
	return 0;
}

int watch_begin(struct vm *vm)
{
	struct watch *watch = vm->watch;

	if (!watch->begun && event_add(watch->process, NULL) < 0)
		return -ENOMEM;
	watch->begun = true;
	return 0;
}

int watch_process(struct gmemd *gmemd, struct vm *vm)
{
	int r = watch_prepare(gmemd, vm);

	if (r == 0 && watch_begin(vm) < 0) {
		event_free(vm->watch->process);
		free(vm->watch);
		vm->watch = NULL;
		r = -ENOMEM;
	}
	return r;
}

void watch_stop(struct vm *vm)
{
	struct watch *watch = vm->watch;

	gate_watch_stop(vm);
	if (!watch)
		return;
	takings_forget_owner(watch->gmemd->takings, vm->owner);
	linger_no_more(vm);
	vm->watch = NULL;
	scheduler_forget(&watch->release);
	if (watch->linger)
		event_free(watch->linger);
	event_free(watch->process);
	free(watch);
}
