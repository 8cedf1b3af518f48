/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate: the seccomp filter put round a VMM, and its listener, where gmemd answers what it
 * traps.
 *
 * Functions return 0 or a negative errno and write outputs only on success. Reference: seccomp(2),
 * seccomp_unotify(2).
 */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/kvm/mailbox.h"

/* Whether this kernel can hold a gate. Where not, *ret_missing is what it lacks (a constant). */
bool gate_available(const char **ret_missing);

/*
 * In the VMM: puts the gate round every thread of the calling process and all that they start,
 * across exec, for good, and sets no_new_privs. The caller owns the listener, which has FD_CLOEXEC.
 * -ESRCH where a thread has filters of its own that this can't join, -EBUSY where the process has a
 * listener already.
 */
int gate_install(const struct mailbox_area areas[static MAILBOX_COMMANDS], int *ret_listener);

/* The same with a closed gate, for a process that makes a VM to learn what KVM offers: nothing can
 * give the VM memory, and nobody is asked. */
int gate_install_closed(void);

/* Tries in a child whether this process could have a gate put round it: gate_install()'s errors. */
int gate_try(void);
/* What stands in the way, for an error of these two: a sentence without its full stop, or NULL. */
const char *gate_obstacle(int r);

/* Whether fd is a seccomp listener. */
bool gate_is_listener(int fd);

/*
 * Has the kernel treat trap and answer as one hand-over, on one processor where it can: a hint,
 * from Linux 6.6 on.
 */
void gate_wake_in_sync(int listener);

/* A trapped ioctl. Its thread waits until it is answered or killed. */
struct gate_trap {
	uint64_t id;
	pid_t thread;
	uint32_t request;
	uint64_t argument;
	int fd; /* the number in the VMM of what the ioctl is for */
};

/*
 * Takes the next trapped call. -ENOENT where its thread was killed meanwhile. Call when the
 * listener polls readable, and always in the same thread. -EINTR, after some milliseconds, where
 * nothing is there all the same: another process holds the listener and has taken the call.
 *
 * The kernel writes the call to room and never tells of it again: so whatever kills this process, a
 * call that was taken can be found in a room that outlives it. Its id is 0 while none was taken.
 */
int gate_receive(int listener, struct seccomp_notif *room, struct gate_trap *ret);

/* Whether the trapped thread still waits: what was read of it in /proc meanwhile was its own. */
bool gate_waits(int listener, uint64_t id);

/* Lets the call run with the arguments that it was trapped with. -ENOENT where its thread was
 * killed meanwhile. */
int gate_continue(int listener, uint64_t id);

/* Fails the call with EPERM. */
int gate_refuse(int listener, uint64_t id);
/* Fails it with EINTR: it may be tried again. */
int gate_interrupt(int listener, uint64_t id);
