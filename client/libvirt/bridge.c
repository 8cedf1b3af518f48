/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between libvirt and gmemd. See bridge.h.
 */
#include "client/libvirt/bridge.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/common/say.h"
#include "client/libvirt/alignment.h"
#include "client/libvirt/broker.h"
#include "client/libvirt/domain.h"
#include "client/libvirt/hypervisor.h"
#include "client/libvirt/state_file.h"
#include "kernel/base/cleanup.h"

/* What changes within it is read once. */
#define SETTLE_MS 20

struct bridge {
	const struct bridge_plan *plan;
	struct hypervisor_handlers handlers;
	struct hypervisor *hypervisor;
	struct broker *broker;
	struct domain_tree domains;
	struct event *settle;
	int unwritable; /* why the state file could not be written, as it was said */
};

static void schedule(struct bridge *bridge)
{
	const struct timeval soon = {.tv_usec = SETTLE_MS * 1000L};

	if (!event_pending(bridge->settle, EV_TIMEOUT, NULL))
		event_add(bridge->settle, &soon);
}

/* Reading a domain */

static void tell_fault(const struct domain *domain, const char *fault_before)
{
	const struct domain_facts *facts = &domain->facts;

	if (facts->fault[0] && strcmp(facts->fault, fault_before) != 0)
		say(LOG_WARNING, "%s: <gmem:memory> in its metadata: %s", facts->name,
			facts->fault);
}

static void take_facts(struct domain *domain, struct domain_facts *take_facts, bool active)
{
	char fault[FACTS_TEXT_MAX];

	snprintf(fault, sizeof fault, "%s", domain->facts.fault);
	domain_facts_clear(&domain->facts);
	domain->facts = *take_facts;
	domain->active = active;
	domain->unaligned = true;
	domain->unread[0] = '\0';
	tell_fault(domain, fault);
}

static void read_domain(struct domain *domain, virDomainPtr handle)
{
	cleanup_free char *xml = virDomainGetXMLDesc(handle, 0);
	int active = virDomainIsActive(handle);
	struct domain_facts facts;

	if (!xml || active < 0)
		snprintf(domain->unread, sizeof domain->unread, "%s", hypervisor_error());
	else if (domain_facts_read(xml, &facts, domain->unread) == 0)
		take_facts(domain, &facts, active > 0);
	if (domain->unread[0])
		say(LOG_WARNING, "%s: it can't be read: %s",
			domain->facts.name ? domain->facts.name : domain->uuid, domain->unread);
}

static bool is_gone(void)
{
	virErrorPtr error = virGetLastError();

	return error && error->code == VIR_ERR_NO_DOMAIN;
}

/* What can't be asked for now stays as it is known: the next connection has all read anew. */
static void refresh_domain(struct bridge *bridge, struct domain *domain)
{
	virConnectPtr connection = hypervisor_connection(bridge->hypervisor);
	virDomainPtr handle = virDomainLookupByUUIDString(connection, domain->uuid);

	if (!handle) {
		if (is_gone())
			domain_remove(&bridge->domains, domain);
		return;
	}
	domain->stale = false;
	read_domain(domain, handle);
	virDomainFree(handle);
}

static void refresh_stale(struct bridge *bridge)
{
	struct domain *domain, *next;

	RB_FOREACH_SAFE (domain, domain_tree, &bridge->domains, next) {
		if (domain->stale && hypervisor_connection(bridge->hypervisor))
			refresh_domain(bridge, domain);
	}
}

/* The whole of it */

static void write_state(struct bridge *bridge)
{
	const struct state state = {
		.uri = bridge->plan->uri,
		.libvirt = hypervisor_connection(bridge->hypervisor),
		.gmemd = broker_is_there(bridge->broker),
		.domains = &bridge->domains,
	};
	int r = state_file_write(bridge->plan->state, &state);

	if (r < 0 && r != bridge->unwritable)
		say(LOG_ERR, "%s: %s", bridge->plan->state, strerror(-r));
	bridge->unwritable = r;
}

static void settle(evutil_socket_t fd, short what, void *context)
{
	struct bridge *bridge = context;

	(void)fd;
	(void)what;
	refresh_stale(bridge);
	if (broker_is_there(bridge->broker))
		align_domains(bridge->broker, &bridge->domains);
	write_state(bridge);
}

/* What happens */

static void note(struct bridge *bridge, virDomainPtr handle)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct domain *domain = NULL;

	if (virDomainGetUUIDString(handle, uuid) == 0)
		domain = domain_have(&bridge->domains, uuid);
	if (domain)
		domain->stale = true;
}

static void domain_changed(void *context, virDomainPtr handle)
{
	note(context, handle);
	schedule(context);
}

/* Those that are gone meanwhile are found out about by reading them. */
static void libvirt_connected(void *context)
{
	struct bridge *bridge = context;
	virDomainPtr *handles = NULL;
	struct domain *domain;
	int count = virConnectListAllDomains(
		hypervisor_connection(bridge->hypervisor), &handles, /* flags= */ 0);

	if (count < 0)
		say(LOG_WARNING, "%s: %s", bridge->plan->uri, hypervisor_error());
	RB_FOREACH (domain, domain_tree, &bridge->domains)
		domain->stale = true;
	for (int i = 0; i < count; i++) {
		note(bridge, handles[i]);
		virDomainFree(handles[i]);
	}
	free(handles);
	schedule(bridge);
}

static void libvirt_lost(void *context)
{
	schedule(context);
}

static void gmemd_appeared(void *context)
{
	struct bridge *bridge = context;
	struct domain *domain;

	RB_FOREACH (domain, domain_tree, &bridge->domains)
		domain->unaligned = true;
	schedule(bridge);
}

static int set_up(struct bridge *bridge, struct event_base *base)
{
	int r;

	bridge->settle = event_new(base, -1, 0, settle, bridge);
	if (!bridge->settle)
		return -ENOMEM;
	r = broker_new(base, bridge->plan->socket, gmemd_appeared, bridge, &bridge->broker);
	if (r == 0)
		r = hypervisor_new(base, bridge->plan->uri, &bridge->handlers, &bridge->hypervisor);
	return r;
}

int bridge_new(struct event_base *base, const struct bridge_plan *plan, struct bridge **ret)
{
	struct bridge *bridge = calloc(1, sizeof *bridge);
	int r;

	if (!bridge)
		return -ENOMEM;
	bridge->plan = plan;
	bridge->handlers = (struct hypervisor_handlers){.connected = libvirt_connected,
		.lost = libvirt_lost,
		.changed = domain_changed,
		.context = bridge};
	RB_INIT(&bridge->domains);
	r = set_up(bridge, base);
	if (r < 0)
		bridge_free(bridge);
	else
		*ret = bridge;
	return r;
}

struct bridge *bridge_free(struct bridge *bridge)
{
	struct domain *domain, *next;

	if (!bridge)
		return NULL;
	hypervisor_free(bridge->hypervisor);
	broker_free(bridge->broker);
	if (bridge->settle)
		event_free(bridge->settle);
	RB_FOREACH_SAFE (domain, domain_tree, &bridge->domains, next)
		domain_remove(&bridge->domains, domain);
	unlink(bridge->plan->state);
	free(bridge);
	return NULL;
}
