/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev/kvm and the VM, as the VMM sees them: gmemd's, each under a number that is the VMM's own.
 *
 * The VM is opened, and the gate put up, when the VMM opens the device first: so it is the VM of
 * the process that does so, be that the child of one that has daemonised. A process has one.
 */
#pragma once

#include <stdbool.h>

/* Whether it is the device, of a VMM that gmem-run has started. */
bool device_is_meant(const char *path, int flags);
/* As open(2): a number, or a negative errno; why, is said on stderr. */
int device_open(int flags);
/* KVM_CREATE_VM on it, whose argument is the type. */
int device_create_vm(unsigned long type);
