/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching for memory pressure: looks at the host, asks VMs for memory as policy.h says,
 * and tells subscribers of it.
 *
 * It looks each second, at once where tasks of the host have waited for memory, and at each
 * deadline. What VMs could give back is counted before they are asked, by the page worker.
 */
#pragma once

#include "daemon/gmemd.h"

struct pressure_watch;

/* With a floor of 0 it never looks. -ENOMEM, or why the host can't be looked at. */
int pressure_watch_new(struct gmemd *gmemd, struct pressure_watch **ret);
/* Is told of stalls from then on: by what a predecessor has left for that, once it is inherited.
 * -ENOMEM. */
int pressure_watch_begin(struct pressure_watch *watch);
/* No successor is to find any of it. */
void pressure_watch_drop(struct pressure_watch *watch);
/* No job for the page worker may be left. Takes NULL, returns NULL. */
struct pressure_watch *pressure_watch_free(struct pressure_watch *watch);

/* The VM of that number has given bytes back itself. It may be gone. */
void pressure_watch_given(struct pressure_watch *watch, uint64_t vm, uint64_t bytes);
/* A VM that is released need give nothing any more. */
void pressure_watch_forget(struct pressure_watch *watch, const struct vm *vm);

/* The settings of it have changed. */
void pressure_watch_follow_config(struct pressure_watch *watch);

/* The tenant has more than its limit by now: its VMs are asked for it. */
void pressure_watch_ask_tenant(struct pressure_watch *watch, struct tenant *tenant);

/* The asks; their keys are VMs' numbers. */
const struct pressure_policy *pressure_watch_policy(const struct pressure_watch *watch);
/* MemAvailable now, in bytes. */
uint64_t pressure_watch_available(const struct pressure_watch *watch);
