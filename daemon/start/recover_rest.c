/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rest of a recovery. See recover_rest.h.
 */
#include "daemon/start/recover_rest.h"

#include <malloc.h>
#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/base/kill_step.h"
#include "daemon/gate/gate_watch.h"
#include "daemon/owner/scheduler.h"
#include "daemon/peer/quiet_peers.h"
#include "daemon/release/vm_watch.h"
#include "daemon/vm/mailbox_label.h"
#include "daemon/vm/vm_held.h"
#include "kernel/store/ledger.h"

struct recovery_rest {
	struct gmemd *gmemd;
	uint64_t next; /* number of a VM */
	bool again;    /* for some there was no memory */
	struct work work;
	struct event *rested;
};

/* How long it rests where there is no memory for more. */
static const struct timeval rest = {.tv_usec = 100 * 1000};

static int finish_mailbox(struct vm *vm)
{
	int r;

	if (!vm->mailbox)
		return 0;
	vm_fix_mailbox(vm);
	r = mailbox_label_note_tenant(vm);
	return r == 0 ? mailbox_clear_free(vm->mailbox) : r;
}

/* May be done again. -ENOMEM. */
static int finish_vm(struct vm *vm)
{
	int r = vm->watch ? watch_begin(vm) : 0, mailbox, ledger;

	if (vm->gate_watch)
		gate_watch_begin(vm);
	mailbox = finish_mailbox(vm);
	ledger = vm->ledger ? ledger_drop_copy(vm->ledger) : 0;
	STEP("recovery of a VM: rest");
	if (r == 0)
		r = mailbox < 0 ? mailbox : ledger;
	return r;
}

/* Whether there may be another. */
static bool finish_next(struct recovery_rest *recovery)
{
	struct vm *vm = registry_vm_from(&recovery->gmemd->registry, recovery->next);

	if (!vm)
		return false;
	recovery->again |= finish_vm(vm) < 0;
	recovery->next = vm->number + 1;
	return true;
}

static void rested(evutil_socket_t fd, short what, void *context)
{
	struct recovery_rest *recovery = context;

	(void)fd;
	(void)what;
	scheduler_ready(recovery->gmemd->scheduler, &recovery->work);
}

/* Or is it to be done again, for some VMs. */
static void finish(struct recovery_rest *recovery)
{
	if (recovery->again) {
		recovery->again = false;
		recovery->next = 0;
		event_add(recovery->rested, &rest);
		return;
	}
	STEP("recovery: nothing is left");
	recovery_rest_end(recovery->gmemd);
	malloc_trim(0); /* of the copies */
}

static void go_on(struct work *work)
{
	struct recovery_rest *recovery = CONTAINER_OF(work, struct recovery_rest, work);
	struct scheduler *scheduler = recovery->gmemd->scheduler;
	bool more = true;

	while (more && !scheduler_turn_is_over(scheduler)) {
		more = quiet_peers_recover_some(recovery->gmemd->quiet_peers);
		more |= finish_next(recovery);
	}
	if (more)
		scheduler_ready(scheduler, work);
	else
		finish(recovery);
}

static struct recovery_rest *rest_new(struct gmemd *gmemd)
{
	struct recovery_rest *recovery = calloc(1, sizeof *recovery);

	if (!recovery)
		return NULL;
	*recovery = (struct recovery_rest){
		.gmemd = gmemd, .work = {.owner = gmemd->self, .run = go_on}};
	recovery->rested = event_new(gmemd->base, -1, 0, rested, recovery);
	if (recovery->rested)
		return recovery;
	free(recovery);
	return NULL;
}

int recovery_rest_begin(struct gmemd *gmemd)
{
	gmemd->recovery_rest = rest_new(gmemd);
	if (!gmemd->recovery_rest)
		return -ENOMEM;
	scheduler_ready(gmemd->scheduler, &gmemd->recovery_rest->work);
	return 0;
}

void recovery_rest_end(struct gmemd *gmemd)
{
	struct recovery_rest *recovery = gmemd->recovery_rest;

	if (!recovery)
		return;
	gmemd->recovery_rest = NULL;
	gmemd->quiet_peers = quiet_peers_free(gmemd->quiet_peers);
	scheduler_forget(&recovery->work);
	event_free(recovery->rested);
	free(recovery);
}
