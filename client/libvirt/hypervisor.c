/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection to libvirt. See hypervisor.h.
 */
#include "client/libvirt/hypervisor.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <stdbool.h>
#include <stdlib.h>

#include "client/common/say.h"
#include "client/libvirt/retry.h"

#define KEEPALIVE_SECONDS 5
#define KEEPALIVE_COUNT   3

#define REGISTRATIONS 4

struct hypervisor {
	const char *uri;
	const struct hypervisor_handlers *handlers;
	struct retry retry;
	virConnectPtr connection;
	int registered[REGISTRATIONS]; /* libvirt's numbers of those below; -1: it is not */
	struct event *ended;           /* that the connection has is told from within libvirt */
	bool failing;                  /* and it was said */
};

const char *hypervisor_error(void)
{
	const char *message = virGetLastErrorMessage();

	return message ? message : "no reason is given";
}

/* libvirt would print each on stderr. */
static void keep_quiet(void *context, virErrorPtr error)
{
	(void)context;
	(void)error;
}

/* It holds locks of the connection's, which closing takes. */
static void closed(virConnectPtr connection, int reason, void *context)
{
	struct hypervisor *hypervisor = context;

	(void)connection;
	(void)reason;
	event_active(hypervisor->ended, EV_TIMEOUT, 0);
}

/* Each registration keeps the connection from ending. */
static void close_connection(struct hypervisor *hypervisor)
{
	if (!hypervisor->connection)
		return;
	virConnectUnregisterCloseCallback(hypervisor->connection, closed);
	for (size_t i = 0; i < REGISTRATIONS; i++) {
		if (hypervisor->registered[i] >= 0)
			virConnectDomainEventDeregisterAny(
				hypervisor->connection, hypervisor->registered[i]);
		hypervisor->registered[i] = -1;
	}
	virConnectClose(hypervisor->connection);
	hypervisor->connection = NULL;
}

static void tell_changed(struct hypervisor *hypervisor, virDomainPtr domain)
{
	hypervisor->handlers->changed(hypervisor->handlers->context, domain);
}

static int lifecycle(
	virConnectPtr connection, virDomainPtr domain, int event, int detail, void *context)
{
	(void)connection;
	(void)event;
	(void)detail;
	tell_changed(context, domain);
	return 0;
}

static void metadata(
	virConnectPtr connection, virDomainPtr domain, int type, const char *uri, void *context)
{
	(void)connection;
	(void)type;
	(void)uri;
	tell_changed(context, domain);
}

static void device(virConnectPtr connection, virDomainPtr domain, const char *alias, void *context)
{
	(void)connection;
	(void)alias;
	tell_changed(context, domain);
}

struct registration {
	int event;
	virConnectDomainEventGenericCallback callback;
};

/* With them a domain's memory, name or metadata changes. */
static const struct registration registrations[REGISTRATIONS] = {
	{VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(lifecycle)},
	{VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(metadata)},
	{VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(device)},
	{VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(device)},
};

static bool is_unsupported(void)
{
	virErrorPtr error = virGetLastError();

	return error && error->code == VIR_ERR_NO_SUPPORT;
}

static bool set_up(struct hypervisor *hypervisor)
{
	virConnectPtr connection = hypervisor->connection;

	/* A driver that is in this process is alive as long as it. */
	if (virConnectSetKeepAlive(connection, KEEPALIVE_SECONDS, KEEPALIVE_COUNT) < 0 &&
		!is_unsupported())
		return false;
	if (virConnectRegisterCloseCallback(connection, closed, hypervisor, NULL) < 0 &&
		!is_unsupported())
		return false;
	for (size_t i = 0; i < REGISTRATIONS; i++) {
		hypervisor->registered[i] = virConnectDomainEventRegisterAny(connection, NULL,
			registrations[i].event, registrations[i].callback, hypervisor, NULL);
		if (hypervisor->registered[i] < 0)
			return false;
	}
	return true;
}

static void connect_failed(struct hypervisor *hypervisor)
{
	if (!hypervisor->failing)
		say(LOG_WARNING, "%s: %s; it is tried again", hypervisor->uri, hypervisor_error());
	hypervisor->failing = true;
	close_connection(hypervisor);
	retry_later(&hypervisor->retry);
}

static void try_connect(evutil_socket_t fd, short what, void *context)
{
	struct hypervisor *hypervisor = context;

	(void)fd;
	(void)what;
	hypervisor->connection = virConnectOpenReadOnly(hypervisor->uri);
	if (!hypervisor->connection || !set_up(hypervisor)) {
		connect_failed(hypervisor);
		return;
	}
	say(LOG_INFO, "%s: connected", hypervisor->uri);
	hypervisor->failing = false;
	retry_reset(&hypervisor->retry);
	hypervisor->handlers->connected(hypervisor->handlers->context);
}

static void ended(evutil_socket_t fd, short what, void *context)
{
	struct hypervisor *hypervisor = context;

	(void)fd;
	(void)what;
	if (!hypervisor->connection)
		return;
	say(LOG_WARNING, "%s: the connection has ended; it is made again", hypervisor->uri);
	hypervisor->failing = true;
	close_connection(hypervisor);
	retry_later(&hypervisor->retry);
	hypervisor->handlers->lost(hypervisor->handlers->context);
}

int hypervisor_new(struct event_base *base, const char *uri,
	const struct hypervisor_handlers *handlers, struct hypervisor **ret)
{
	struct hypervisor *hypervisor = calloc(1, sizeof *hypervisor);

	if (!hypervisor)
		return -ENOMEM;
	hypervisor->uri = uri;
	hypervisor->handlers = handlers;
	for (size_t i = 0; i < REGISTRATIONS; i++)
		hypervisor->registered[i] = -1;
	virSetErrorFunc(NULL, keep_quiet);
	hypervisor->ended = event_new(base, -1, 0, ended, hypervisor);
	if (!hypervisor->ended ||
		retry_init(&hypervisor->retry, base, try_connect, hypervisor) < 0) {
		hypervisor_free(hypervisor);
		return -ENOMEM;
	}
	event_active(hypervisor->retry.timer, EV_TIMEOUT, 0);
	*ret = hypervisor;
	return 0;
}

struct hypervisor *hypervisor_free(struct hypervisor *hypervisor)
{
	if (!hypervisor)
		return NULL;
	close_connection(hypervisor);
	retry_clear(&hypervisor->retry);
	if (hypervisor->ended)
		event_free(hypervisor->ended);
	free(hypervisor);
	return NULL;
}

virConnectPtr hypervisor_connection(const struct hypervisor *hypervisor)
{
	return hypervisor->connection;
}
