/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trapped ioctls: answering those that a VM's gate traps.
 *
 * KVM_CREATE_VM is let through once, for a thread of the VM's own process, of the type it was
 * opened with, where the mailbox is mapped as it must be; KVM_CREATE_GUEST_MEMFD is let
 * through once for each entry that gmemd has written. Whether the call is made on the file that it
 * is for, and how the mailbox is mapped, a taker finds out; until then no other call of the VM's is
 * looked at. All else gets EPERM, and is logged and told
 * as an event with the reason.
 */
#pragma once

#include "daemon/gmemd.h"

/* Takes one trapped call and answers it, now or later: while vm->trap.inquiry is there it is not
 * decided, and decided is called when it is. Where there was none, why: see gate_receive(). */
int trapped_ioctl_serve(struct gmemd *gmemd, struct vm *vm, void (*decided)(struct vm *vm));

/* The VM goes: a call that is not decided stays so. */
void trapped_ioctl_forget(struct vm *vm);
