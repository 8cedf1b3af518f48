/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The core. See core.h.
 */
#include "daemon/start/core.h"

#include <string.h>

#include "daemon/budget/capacity_probe.h"
#include "daemon/methods/methods.h"
#include "daemon/owner/owner.h"
#include "daemon/release/call_reports.h"
#include "daemon/start/start_failure.h"

void core_init(struct gmemd *gmemd, const struct config *config)
{
	memset(gmemd, 0, sizeof *gmemd);
	gmemd->config = gmemd->configured = *config;
	gmemd->handlers = method_handlers;
	gmemd->settle_for = call_reports_settle_for;
	TAILQ_INIT(&gmemd->events);
	TAILQ_INIT(&gmemd->preallocating);
	TAILQ_INIT(&gmemd->preallocating_waits);
}

/* Nobody has anything yet. */
static int tenants_set_up(struct gmemd *gmemd)
{
	struct tenants_refused refused;

	return tenants_configure(
		&gmemd->registry.tenants, &gmemd->config, gmemd->host.memory_total, &refused);
}

int core_set_up(struct gmemd *gmemd, const struct backend *backend)
{
	int r = owners_new(&gmemd->config, &gmemd->owners);

	if (r < 0)
		return start_failed("the ledger of users", r);
	registry_init(&gmemd->registry, backend, &gmemd->config, &gmemd->host, gmemd->owners,
		&gmemd->capacity);
	reservations_init(&gmemd->reservations, &gmemd->capacity, &gmemd->registry.tenants);
	gmemd->registry.reservations = &gmemd->reservations;
	r = capacity_init_host(&gmemd->capacity, &gmemd->config, &gmemd->host);
	overrides_init(&gmemd->overrides, &gmemd->registry.tenants, NULL);
	if (r == 0)
		r = tenants_set_up(gmemd);
	return r < 0 ? start_failed("the host's capacity", r) : 0;
}
