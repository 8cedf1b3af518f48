/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Being a service: readiness, watchdog and the signals that end it. Works without a service manager
 * too.
 */
#pragma once

#include "daemon/gmemd.h"

struct service;

/* Watches for SIGTERM and SIGINT, which end the loop, and feeds the watchdog where there is one.
 * -ENOMEM. */
int service_new(struct gmemd *gmemd, struct service **ret);
void service_ready(struct gmemd *gmemd);
void service_stopping(void);
/* Takes NULL, returns NULL. */
struct service *service_free(struct service *service);
