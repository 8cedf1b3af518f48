/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Setting the daemon's shared state up and down.
 */
#pragma once

#include "daemon/config/config_fault.h"
#include "daemon/gmemd.h"

/*
 * Probes the host and makes what all else needs. Says in the log why it can't. -ENOTSUP where the
 * kernel has no guest_memfd. What the configuration has allocated is gmemd's from then on, be it
 * that it fails.
 */
int gmemd_init(
	struct gmemd *gmemd, const struct config *take_config, const struct config_faults *faults);
/* Its peers must be gone. VMs that run go on running. */
void gmemd_clear(struct gmemd *gmemd);
