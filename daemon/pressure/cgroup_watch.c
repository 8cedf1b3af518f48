/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching cgroups. See cgroup_watch.h.
 */
#include "daemon/pressure/cgroup_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/privileges.h"
#include "daemon/pressure/kept_trigger.h"
#include "kernel/base/cleanup.h"

#define CGROUPS "/sys/fs/cgroup"

static const struct pressure_threshold threshold = {
	.kind = PRESSURE_SOME,
	.stall = PRESSURE_WINDOW_UNIT / 20,
	.window = PRESSURE_WINDOW_UNIT,
};

struct cgroup_watch {
	char *cgroup;
	bool gone;
	struct kept_trigger trigger;
	struct event *event;
	void (*stalled)(void *context);
	void *context;
};

static void ready_event(evutil_socket_t fd, short what, void *context)
{
	struct cgroup_watch *watch = context;

	(void)fd;
	(void)what;
	watch->gone = pressure_trigger_check(&watch->trigger.trigger) == -ENODEV;
	if (watch->gone)
		event_del(watch->event);
	else
		watch->stalled(watch->context);
}

static int open_trigger(struct gmemd *gmemd, const char *cgroup, struct kept_trigger *ret)
{
	cleanup_free char *path = NULL;
	int r;

	if (asprintf(&path, CGROUPS "%s/memory.pressure", cgroup) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	privileges_raise_to_enter();
	r = kept_trigger_open(gmemd, path, &threshold, ret);
	privileges_lower();
	return r;
}

static int set_up(struct cgroup_watch *watch, struct gmemd *gmemd, const char *cgroup)
{
	int r;

	watch->cgroup = strdup(cgroup);
	r = watch->cgroup ? open_trigger(gmemd, cgroup, &watch->trigger) : -ENOMEM;
	if (r < 0)
		return r;
	watch->event = event_new(gmemd->base, watch->trigger.trigger.ready, EV_READ | EV_PERSIST,
		ready_event, watch);
	return watch->event && event_add(watch->event, NULL) == 0 ? 0 : -ENOMEM;
}

int cgroup_watch_new(struct gmemd *gmemd, const char *cgroup, void (*stalled)(void *context),
	void *context, struct cgroup_watch **ret)
{
	struct cgroup_watch *watch = malloc(sizeof *watch);
	int r;

	if (!watch)
		return -ENOMEM;
	*watch = (struct cgroup_watch){
		.trigger = KEPT_TRIGGER_NONE, .stalled = stalled, .context = context};
	r = set_up(watch, gmemd, cgroup);
	if (r < 0)
		cgroup_watch_free(watch);
	else
		*ret = watch;
	return r;
}

struct cgroup_watch *cgroup_watch_free(struct cgroup_watch *watch)
{
	if (!watch)
		return NULL;
	if (watch->event)
		event_free(watch->event);
	kept_trigger_end(&watch->trigger);
	free(watch->cgroup);
	free(watch);
	return NULL;
}

void cgroup_watch_drop(const struct cgroup_watch *watch)
{
	kept_trigger_drop(&watch->trigger);
}

bool cgroup_watch_is_of(const struct cgroup_watch *watch, const char *cgroup)
{
	return !watch->gone && strcmp(watch->cgroup, cgroup) == 0;
}
