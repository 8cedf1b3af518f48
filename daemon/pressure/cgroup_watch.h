/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching a cgroup for tasks that wait for memory, for a twentieth of the time or more.
 */
#pragma once

#include <stdbool.h>

#include "daemon/gmemd.h"

struct cgroup_watch;

/*
 * stalled is called from the loop, at most once in two seconds, until the watch is freed. cgroup: a
 * path below /sys/fs/cgroup, which is copied. As pressure_trigger_open() fails; -ENOMEM.
 */
int cgroup_watch_new(struct gmemd *gmemd, const char *cgroup, void (*stalled)(void *context),
	void *context, struct cgroup_watch **ret);
/* Takes NULL, returns NULL. */
struct cgroup_watch *cgroup_watch_free(struct cgroup_watch *watch);
/* No successor is to find it. */
void cgroup_watch_drop(const struct cgroup_watch *watch);
/* Whether it watches that one; false once it is gone, also if there is another of its name. */
bool cgroup_watch_is_of(const struct cgroup_watch *watch, const char *cgroup);
