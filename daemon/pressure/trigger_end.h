/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ends of pressure triggers. The kernel has whoever closes one wait for an RCU grace period, 8
 * to 16 ms on a quiet host (psi_trigger_destroy(), Linux 6.18): a thread of its own does, for all
 * of them one after the other, while the loop goes on.
 */
#pragma once

#include "kernel/host/pressure.h"

/* Takes what is closed already, with -1 in it; what it takes is so afterwards. */
void trigger_end(struct pressure_trigger *trigger);
