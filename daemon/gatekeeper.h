/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gatekeeper: answers the ioctls that a VM's gate traps.
 *
 * KVM_CREATE_VM is let through once, for a thread of the VM's own process, of the type it was
 * opened with, where the mailbox is mapped as it must be; that check reads the VMM's memory map,
 * which the VMM can make slow, and so runs in a thread of its own. KVM_CREATE_GUEST_MEMFD is let
 * through once for each entry that gmemd has written. All else gets EPERM, and is logged and told
 * as an event with the reason.
 */
#pragma once

#include "daemon/gmemd.h"

/* Takes and answers one trapped call. Where there was none, why: see gate_receive(). */
int gatekeeper_serve(struct gmemd *gmemd, struct vm *vm);
