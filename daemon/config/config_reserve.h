/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is always there for each tenant, on the host and on its NUMA nodes: whether all of it can be
 * there at once.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_fault.h"

/* Notes each reserve for which those before it, in the tenants' order, leave no room. */
void config_reserves_check(struct config *config, struct config_faults *faults);
