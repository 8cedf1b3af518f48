/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemctl probe can only find out by doing it. Each does what gmemd would, of its own, and
 * leaves nothing behind: whether that worked, and in *ret_detail what came of it.
 */
#pragma once

#include "client/ctl/probe/check.h"

/* A trigger on the host's pressure: there are hosts where the file is empty, or refuses one. */
bool try_pressure(const struct checked_host *host, char *ret_detail, size_t size);
/* Whether the policy of a guest_memfd's mapping outlives that. */
bool try_memory_policy(const struct checked_host *host, char *ret_detail, size_t size);
/* Whether pages that this process allocates for a memory are charged to its memory cgroup. */
bool try_charge(const struct checked_host *host, char *ret_detail, size_t size);
