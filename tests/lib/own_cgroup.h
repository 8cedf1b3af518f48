/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A memory cgroup of the test's own, below the one that it runs in.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/host/cgroup.h"
#include "tests/lib/unit.h"

struct own_cgroup {
	char path[PATH_MAX];
	struct cgroup cgroup;
};

/* Where none can be made here, skips the current test and returns false. */
bool own_cgroup_or_skip(const char *name, struct own_cgroup *ret);
/* Removes it: nobody may be in it any more, and what is left charged is charged above. */
void own_cgroup_end(struct own_cgroup *own);
/* Removes the directory alone, as somebody else might. */
void own_cgroup_remove(const struct own_cgroup *own);

/* One below it, with the limits that it has itself. */
bool own_cgroup_child(const struct own_cgroup *parent, const char *name, struct own_cgroup *ret);

/* False where the kernel refuses. */
bool own_cgroup_limit(const struct own_cgroup *own, uint64_t bytes);
uint64_t own_cgroup_usage(const struct own_cgroup *own);

/* A child of the test's that sits in the cgroup and does nothing, till it is killed. */
void own_cgroup_start_member(const struct own_cgroup *own, struct unit_child *ret);
