/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Being a service. See service.h.
 */
#include "daemon/start/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "daemon/base/log.h"
#include "daemon/base/notify.h"
#include "daemon/base/timer_file.h"
#include "daemon/config/config_fault.h"
#include "daemon/owner/scheduler.h"
#include "daemon/start/reload.h"
#include "kernel/host/process_start.h"

/* When what the service manager had no room for is told it again. */
#define RETRY_US 100000

static const struct timeval retry = {.tv_usec = RETRY_US};

struct service {
	struct gmemd *gmemd;
	struct event *terminate, *interrupt, *hangup;
	struct timer_file *watchdog;
	uint64_t watchdog_interval; /* microseconds */
	struct event *telling;
	char state[CONFIG_FAULT_TEXT_MAX + 96]; /* that the service manager is told */
};

static void end_signal(evutil_socket_t number, short what, void *context)
{
	struct service *service = context;

	(void)what;
	log_info("ending on %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
	event_base_loopbreak(service->gmemd->base);
}

static void reload_signal(evutil_socket_t number, short what, void *context)
{
	struct service *service = context;

	(void)number;
	(void)what;
	if (reload_configuration(service->gmemd) == -ENOMEM)
		log_error("there is no memory to read the configuration anew");
}

static int watch_signal(struct service *service, int number,
	void (*react)(evutil_socket_t number, short what, void *context), struct event **ret)
{
	*ret = evsignal_new(service->gmemd->base, number, react, service);
	if (!*ret)
		return -ENOMEM;
	event_priority_set(*ret, SCHEDULER_FIRST);
	return event_add(*ret, NULL) < 0 ? -ENOMEM : 0;
}

static void feed_watchdog(void *context)
{
	struct service *service = context;
	bool told = notify_send("WATCHDOG=1") != -EAGAIN;

	timer_file_set(service->watchdog, told ? service->watchdog_interval : RETRY_US);
}

static int watchdog_start(struct service *service)
{
	uint64_t microseconds;
	int r;

	if (sd_watchdog_enabled(/* unset_environment= */ 0, &microseconds) <= 0)
		return 0;
	service->watchdog_interval = microseconds / 2;
	r = timer_file_new(service->gmemd->base, feed_watchdog, service, &service->watchdog);
	if (r == 0)
		timer_file_set(service->watchdog, service->watchdog_interval);
	return r;
}

/* What gmemd does, in words. */
static void describe_status(const struct gmemd *gmemd, char *ret, size_t size)
{
	char told[CONFIG_FAULT_TEXT_MAX];

	if (gmemd->faults) {
		config_faults_print(gmemd->faults, 0, told, sizeof told);
		snprintf(ret, size, "Refusing all requests: %s", told);
	} else if (gmemd->lack[0]) {
		snprintf(ret, size, "Refusing all requests: this host lacks %s", gmemd->lack);
	} else if (gmemd->refusal) {
		config_faults_print(gmemd->refusal, 0, told, sizeof told);
		snprintf(ret, size, "Serving by an earlier configuration: %s", told);
	} else {
		snprintf(ret, size, "Serving guest memory, kernel %s", gmemd->host.kernel_release);
	}
}

static void tell_manager(evutil_socket_t fd, short what, void *context)
{
	struct service *service = context;
	char status[CONFIG_FAULT_TEXT_MAX + 64];

	(void)fd;
	(void)what;
	describe_status(service->gmemd, status, sizeof status);
	snprintf(service->state, sizeof service->state, "READY=1\nSTATUS=%s", status);
	if (notify_send(service->state) == -EAGAIN)
		event_add(service->telling, &retry);
}

static int service_start(struct service *service)
{
	int r = watch_signal(service, SIGTERM, end_signal, &service->terminate);

	if (r == 0 && process_may_handle(SIGINT))
		r = watch_signal(service, SIGINT, end_signal, &service->interrupt);
	if (r == 0)
		r = watch_signal(service, SIGHUP, reload_signal, &service->hangup);
	if (r == 0)
		r = watchdog_start(service);
	service->telling = evtimer_new(service->gmemd->base, tell_manager, service);
	service->gmemd->status_changed = service->telling;
	return service->telling ? r : -ENOMEM;
}

int service_new(struct gmemd *gmemd, struct service **ret)
{
	struct service *service = calloc(1, sizeof *service);
	int r;

	if (!service)
		return -ENOMEM;
	service->gmemd = gmemd;
	r = service_start(service);
	if (r < 0)
		service_free(service);
	else
		*ret = service;
	return r;
}

void service_ready(struct service *service)
{
	tell_manager(-1, 0, service);
}

void service_stopping(void)
{
	notify_send("STOPPING=1");
}

static void event_end(struct event *event)
{
	if (event)
		event_free(event);
}

struct service *service_free(struct service *service)
{
	if (!service)
		return NULL;
	event_end(service->terminate);
	event_end(service->interrupt);
	event_end(service->hangup);
	timer_file_free(service->watchdog);
	event_end(service->telling);
	service->gmemd->status_changed = NULL;
	free(service);
	return NULL;
}
