/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trapped ioctls: answering those that a VM's gate traps.
 *
 * KVM_CREATE_VM is let through once, for a thread of the VM's own process, of the type it was
 * opened with, where the mailbox is mapped as it must be; KVM_CREATE_GUEST_MEMFD is let
 * through once for each entry that gmemd has written. All else gets EPERM, and is logged and told
 * as an event with the reason. The other ioctls of a VM don't trap: the filter alone decides on
 * them, by their pointer (kernel/kvm/gate_rules.c).
 *
 * Why a check holds. Between the check and the ioctl the VMM runs on, in other threads. So nothing
 * is believed that it can change: the pointer is a register, which the kernel has copied; what it
 * points to is the mailbox, which the VMM can't write, and can't unmap or cover once the mapping is
 * sealed (mseal(2)); that mapping is verified when the VM is made, before which there is nothing
 * that an ioctl could be for. Only the file is a number that another thread can make another's: the
 * kernel then refuses the ioctl, for it is of no VM or of one that is not this address space's.
 *
 * Whether KVM_CREATE_VM is made on /dev/kvm, and how the mailbox is mapped, a taker finds out,
 * which may hang (daemon/peerfd/taker_client.h); until then no other call of this VM's is looked
 * at. On which file KVM_CREATE_GUEST_MEMFD is made nobody looks: one that is no VM's refuses it,
 * and the entry is used.
 *
 * The order of what is done, and why. The kernel tells of a call once: one that was received and
 * not answered leaves its thread waiting for ever, if nobody knows its id any more.
 *
 *  1. gate_receive() has the kernel write the call into memory that the keeper holds (the syscall
 *     marks).
 *  2. The VM's ledger has its id, as undecided, committed.
 *  3. Of KVM_CREATE_VM the taker finds out.
 *  4. What is decided is committed, with all that follows from it: the VM runs, the entry is used.
 *  5. The kernel is told: the thread goes on.
 *
 *  | killed after | a successor finds                   | and                                   |
 *  | 1            | the mark, and another id in the     | fails the call with EINTR: VMMs make  |
 *  |              | ledger                              | it again, and it traps again          |
 *  | 2, 3         | the id, undecided, its thread waits | the same                              |
 *  | 4            | the decision, its thread waits      | answers so                            |
 *  | 5            | the decision, no thread waits       | has nothing to do                     |
 *
 * A VM that was let through before may have to be let through again: see vm_creations.h.
 */
#pragma once

#include "daemon/gmemd.h"

/* Takes one trapped call and answers it, now or later: while vm->trap.inquiry is there it is not
 * decided, and decided is called when it is. Where there was none, why: see gate_receive(). */
int trapped_ioctl_serve(struct gmemd *gmemd, struct vm *vm, void (*decided)(struct vm *vm));

/* The VM goes: a call that is not decided stays so. */
void trapped_ioctl_forget(struct vm *vm);
