/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Being a service. See service.h.
 */
#include "daemon/service.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "daemon/log.h"

struct service {
	struct gmemd *gmemd;
	struct event *terminate, *interrupt, *watchdog;
};

static void end(evutil_socket_t number, short what, void *context)
{
	struct service *service = context;

	(void)what;
	log_info("ending on %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
	event_base_loopbreak(service->gmemd->base);
}

static void feed_watchdog(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	sd_notify(/* unset_environment= */ 0, "WATCHDOG=1");
}

static int watchdog_start(struct service *service)
{
	struct timeval interval;
	uint64_t microseconds;

	if (sd_watchdog_enabled(/* unset_environment= */ 0, &microseconds) <= 0)
		return 0;
	microseconds /= 2;
	interval = (struct timeval){
		(time_t)(microseconds / 1000000), (suseconds_t)(microseconds % 1000000)};
	service->watchdog = event_new(service->gmemd->base, -1, EV_PERSIST, feed_watchdog, service);
	if (!service->watchdog || event_add(service->watchdog, &interval) < 0)
		return -ENOMEM;
	return 0;
}

int service_new(struct gmemd *gmemd, struct service **ret)
{
	struct service *service = calloc(1, sizeof *service);

	if (!service)
		return -ENOMEM;
	service->gmemd = gmemd;
	service->terminate = evsignal_new(gmemd->base, SIGTERM, end, service);
	service->interrupt = evsignal_new(gmemd->base, SIGINT, end, service);
	if (!service->terminate || !service->interrupt || event_add(service->terminate, NULL) < 0 ||
		event_add(service->interrupt, NULL) < 0 || watchdog_start(service) < 0) {
		service_free(service);
		return -ENOMEM;
	}
	*ret = service;
	return 0;
}

void service_ready(struct gmemd *gmemd)
{
	sd_notifyf(/* unset_environment= */ 0, "READY=1\nSTATUS=Serving guest memory, kernel %s",
		gmemd->host.kernel_release);
}

void service_stopping(void)
{
	sd_notify(/* unset_environment= */ 0, "STOPPING=1");
}

struct service *service_free(struct service *service)
{
	if (!service)
		return NULL;
	if (service->terminate)
		event_free(service->terminate);
	if (service->interrupt)
		event_free(service->interrupt);
	if (service->watchdog)
		event_free(service->watchdog);
	free(service);
	return NULL;
}
