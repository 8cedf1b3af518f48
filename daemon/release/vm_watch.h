/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching VMs: the end of each one's process, and the calls that its gate traps.
 */
#pragma once

#include "daemon/gmemd.h"

/* Watches the VM's process from now on: when it ends, the VM is released and freed. -ENOMEM. */
int watch_process(struct gmemd *gmemd, struct vm *vm);

/* Watches the VM's listener too. -ENOMEM. */
int watch_gate(struct vm *vm);

/* Doesn't watch it, and watches it again; where it is watched at all. */
void watch_gate_no_more(struct vm *vm);
void watch_gate_again(struct vm *vm);

/* What its gate has trapped last has been decided: the next is looked at. */
void watch_gate_again(struct vm *vm);

/* To be called before vm_free(). A VM that isn't watched is left as it is. */
void watch_stop(struct vm *vm);
