/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching VMs: each is released when its process ends.
 */
#pragma once

#include "daemon/gmemd.h"

/* Watches the VM's process from now on: when it ends, the VM is released and freed. -ENOMEM. */
int watch_process(struct gmemd *gmemd, struct vm *vm);

/* To be called before vm_free(). Its gate is watched no more, either. A VM that isn't watched is
 * left as it is. */
void watch_stop(struct vm *vm);
