/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between libvirt and gmemd: which domains there are, and what of their VMs is not as they are to
 * be.
 *
 * libvirt tells which domain has changed; that is read anew, and all are once there is a connection
 * to libvirt. A domain's VM is the one of its UUID. Where that has another commit limit or tenant
 * than the domain, it is set, whenever either has changed and once gmemd is there. What was read,
 * and what gmemd has refused, is written to a file for gmemctl.
 */
#pragma once

#include <event2/event.h>

struct bridge;

struct bridge_plan {
	const char *uri;    /* libvirt's */
	const char *socket; /* gmemd's, for operators */
	const char *state;  /* the file's path */
};

/* event_loop_use() has been called with base. What plan names must live as long. -ENOMEM. */
int bridge_new(struct event_base *base, const struct bridge_plan *plan, struct bridge **ret);
/* Takes the file away. Takes NULL, returns NULL. */
struct bridge *bridge_free(struct bridge *bridge);
