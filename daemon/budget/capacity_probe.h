/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The capacity of this host: as its kernel says what memory it has, and as it is configured.
 */
#pragma once

#include "daemon/budget/capacity.h"
#include "daemon/config/config.h"
#include "kernel/kvm/probe.h"

/* A host that does not tell of its nodes has none. -ENOMEM. */
int capacity_init_host(
	struct capacity *capacity, const struct config *config, const struct host_offer *host);
/* Memory was added to the host, or taken away: it has total bytes by now. -ENOMEM as
 * capacity_change(). */
int capacity_follow_host(struct capacity *capacity, const struct config *config, uint64_t total);
