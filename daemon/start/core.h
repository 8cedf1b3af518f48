/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The core: what gmemd is without a loop, peers and a keeper. Its settings, owners, the host's
 * capacity and the set of VMs.
 */
#pragma once

#include "daemon/gmemd.h"
#include "daemon/vm/backend.h"

/* With nothing in it but its settings and its methods. */
void core_init(struct gmemd *gmemd, const struct config *config);
/* Once gmemd->host is known. Says in the log why it can't. The caller clears what is there then,
 * also where it fails: the registry, the capacity and the owners. */
int core_set_up(struct gmemd *gmemd, const struct backend *backend);
