/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Being a service: readiness, watchdog and the signals that end it. Works without a service manager
 * too.
 */
#pragma once

#include "daemon/gmemd.h"

struct service;

/* Watches for SIGTERM and SIGINT, which end the loop, and for SIGHUP, which has the
 * configuration read anew; feeds the watchdog where there is one. -ENOMEM. */
int service_new(struct gmemd *gmemd, struct service **ret);
/* The service manager is told now, or when it has room for that. */
void service_ready(struct service *service);
void service_stopping(void);
/* Takes NULL, returns NULL. */
struct service *service_free(struct service *service);
