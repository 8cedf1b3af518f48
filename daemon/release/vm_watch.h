/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching VMs: each is released when its process ends.
 *
 * Or later, where gmemd.conf lets it linger: then all that it has stays as it was, charged to whom
 * it was charged to, for an operator to look into. That ends when its time is over, by vm.close,
 * once the host or its tenant is short of memory, and before anybody else is refused a budget. Its
 * name and UUID are free for the next meanwhile. The next gmemd lets it linger for the whole time
 * again.
 */
#pragma once

#include "daemon/gmemd.h"

/* Watches the VM's process from now on: when it ends, the VM is released and freed. -ENOMEM. */
int watch_process(struct gmemd *gmemd, struct vm *vm);
/* The same in two steps: nothing is told before the second, which does nothing when it is done
 * again. */
int watch_prepare(struct gmemd *gmemd, struct vm *vm);
int watch_begin(struct vm *vm);

/* Whether the VM, whose process has ended, is to linger. */
bool watch_may_linger(const struct gmemd *gmemd, const struct vm *vm);
/* It is released in its owner's next turn. One that doesn't linger is left as it is. */
void watch_end_linger(struct vm *vm);

/* To be called before vm_free(). Its gate is watched no more, either. A VM that isn't watched is
 * left as it is. */
void watch_stop(struct vm *vm);
