/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which creations of VMs have made one. See vm_creations.h.
 */
#include "daemon/gate/vm_creations.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "kernel/base/cleanup.h"
#include "kernel/kvm/kvm_events.h"

/* Of what KVM tells, in a turn of the loop. */
#define AT_ONCE 32

/* Of a VM, 0 is none. */
#define FIRST_HEARING 1

#define UNKNOWN "it is not known whether the first KVM_CREATE_VM made a VM: "

static const char not_open[] = UNKNOWN "gmemd may have no netlink socket";
static const char not_heard[] = UNKNOWN "gmemd hears no uevents of KVM";
static const char of_others[] =
	UNKNOWN "uevents of KVM tell of processes by pids of another PID namespace";
static const char lost[] = UNKNOWN "uevents of KVM were lost since";
static const char restarted[] = UNKNOWN "gmemd was started again since";
static const char not_back[] = UNKNOWN "its thread has not returned from it";
static const char second[] = "it would be the process's second VM";

struct creations {
	int fd;           /* -1: none */
	const char *deaf; /* why nothing is known; NULL: it is */
	uint64_t hearing; /* counts what was lost: what is known is of one count */
	struct event *told;
	struct registry *registry; /* NULL: not yet */
};

int creations_new(struct creations **ret)
{
	struct creations *creations = calloc(1, sizeof *creations);

	if (!creations)
		return -ENOMEM;
	creations->fd = -1;
	creations->hearing = FIRST_HEARING;
	creations->deaf = kvm_events_open(&creations->fd) < 0 ? not_open : not_heard;
	*ret = creations;
	return 0;
}

/* KVM tells of all VMs of the host, and whoever has /dev/kvm can have it tell of many. */
static void note_made(const struct creations *creations, pid_t thread)
{
	struct vm *vm, *next;

	LIST_FOREACH_SAFE (vm, &creations->registry->creating, creation.link, next) {
		if (vm->creation.thread != thread)
			continue;
		vm->creation.made = true;
		registry_unlist_creation(vm);
	}
}

/* Whoever can have some lost can do so again and again: it is said once. */
static void note_loss(struct creations *creations)
{
	if (creations->hearing == FIRST_HEARING)
		log_info("uevents of KVM were lost: a KVM_CREATE_VM that fails amid that can't be "
			 "tried again");
	creations->hearing++;
}

/* Whether all that KVM has told is heard: not where there are more than that. Once some are lost,
 * so is what follows, until what is left is heard. */
static bool hear_uevents(struct creations *creations, unsigned most)
{
	pid_t thread;
	int r;

	for (; most > 0 && !creations->deaf; most--) {
		r = kvm_events_next(creations->fd, &thread);
		if (r == -EAGAIN)
			return true;
		if (r == 0 && thread > 0)
			note_made(creations, thread);
		else if (r == -ENOBUFS)
			note_loss(creations);
		else if (r < 0)
			creations->deaf = not_heard;
	}
	return false;
}

void creations_try(struct creations *creations)
{
	pid_t thread;

	while (creations->fd >= 0 && kvm_events_next(creations->fd, &thread) == 0) {
		if (thread == gettid()) {
			creations->deaf = NULL;
			return;
		}
		if (thread > 0)
			creations->deaf = of_others;
	}
}

static void uevents_told(evutil_socket_t fd, short what, void *context)
{
	struct creations *creations = context;

	(void)fd;
	(void)what;
	hear_uevents(creations, AT_ONCE);
	if (creations->deaf)
		event_del(creations->told);
}

int creations_watch(struct creations *creations, struct event_base *base, struct registry *registry)
{
	creations->registry = registry;
	if (creations->deaf) {
		log_info("a KVM_CREATE_VM that fails can't be tried again: %s",
			creations->deaf + sizeof UNKNOWN - 1);
		return 0;
	}
	creations->told =
		event_new(base, creations->fd, EV_READ | EV_PERSIST, uevents_told, creations);
	return creations->told && event_add(creations->told, NULL) == 0 ? 0 : -ENOMEM;
}

struct creations *creations_free(struct creations *creations)
{
	if (!creations)
		return NULL;
	if (creations->told)
		event_free(creations->told);
	fd_close(creations->fd);
	free(creations);
	return NULL;
}

void creations_note(struct creations *creations, struct vm *vm, pid_t thread)
{
	bool heard = hear_uevents(creations, KVM_EVENTS_MAX);

	registry_list_creation(vm);
	vm->creation.thread = thread;
	vm->creation.made = false;
	vm->creation.hearing = heard ? creations->hearing : 0;
}

/* A number is another thread's only once that one has ended. */
static bool is_back(const struct vm *vm, const struct gate_trap *trap)
{
	return trap->thread == vm->creation.thread ||
	       !process_thread_lives(vm->process.pid, vm->creation.thread);
}

const char *creations_fault(
	struct creations *creations, struct vm *vm, const struct gate_trap *trap)
{
	bool back = vm->creation.thread > 0 && is_back(vm, trap);

	/* What it has told by the time that the thread is back is all. */
	if (back)
		hear_uevents(creations, KVM_EVENTS_MAX);
	if (vm->creation.made)
		return second;
	if (vm->creation.thread == 0)
		return restarted;
	if (creations->deaf)
		return creations->deaf;
	if (vm->creation.hearing != creations->hearing)
		return lost;
	return back ? NULL : not_back;
}
