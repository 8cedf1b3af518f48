/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which creations of VMs that were let through have made one.
 *
 * KVM_CREATE_VM can fail after it was let through: with EINTR, where a signal or work of io_uring's
 * is pending. The process has no VM then, and asks again. It may make one if it is known that its
 * first call has made none: the thread that was let through has come back from it, and KVM has told
 * of no VM of that process. Where gmemd hears nothing of KVM, or has lost some of it, nothing is
 * known, and the process may not. What the process does with its files tells nothing.
 */
#pragma once

#include <event2/event.h>

#include "daemon/vm/registry.h"
#include "kernel/kvm/gate.h"

struct creations;

/* To begin before this process makes a VM itself, which shows whether it hears of it. -ENOMEM. */
int creations_new(struct creations **ret);
/* After this thread has made one. */
void creations_try(struct creations *creations);
/* Takes what is heard as it comes; says in the log where nothing can be heard. The registry must
 * outlive it. -ENOMEM. */
int creations_watch(
	struct creations *creations, struct event_base *base, struct registry *registry);
/* Takes NULL, returns NULL. */
struct creations *creations_free(struct creations *creations);

/* Before a VM's thread is let through. */
void creations_note(struct creations *creations, struct vm *vm, pid_t thread);
/* Why the process of a VM, which was let through before, may not be let through again: a constant;
 * NULL where the first call has made no VM. creations may be NULL. */
const char *creations_fault(
	struct creations *creations, struct vm *vm, const struct gate_trap *trap);
