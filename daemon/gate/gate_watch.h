/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching gates: the calls that they trap are answered, in turns of the VMs' owners.
 */
#pragma once

#include "daemon/gmemd.h"

/* Watches the VM's listener from now on. -ENOMEM. */
int gate_watch_new(struct gmemd *gmemd, struct vm *vm);
/* The same in two steps: nothing is told before the second, which does nothing when it is done
 * again. */
int gate_watch_prepare(struct gmemd *gmemd, struct vm *vm);
void gate_watch_begin(struct vm *vm);
/* To be called before vm_free(); a call that is not decided stays so. A VM whose gate isn't watched
 * is left as it is. */
void gate_watch_stop(struct vm *vm);
