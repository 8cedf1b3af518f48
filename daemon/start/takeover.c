/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Succession. See takeover.h.
 */
#include "daemon/start/takeover.h"

#include <errno.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/fdstore/inherited_fds.h"
#include "daemon/peer/listener.h"
#include "daemon/request/peer_ledger.h"
#include "daemon/start/recover_vm.h"

/* What was granted stays so, whatever the limits are now. */
static void lift_limits(struct gmemd *gmemd, bool lifted)
{
	owners_lift_limits(gmemd->owners, lifted);
	capacity_lift_limits(&gmemd->capacity, lifted);
}

/* The model's VMs end with their gmemd. */
int succession_begin(struct gmemd *gmemd)
{
	int r;

	if (!gmemd->config.keeper || gmemd->config.backend == BACKEND_MODEL)
		return 0;
	r = custody_new(gmemd->base, gmemd->config.runtime_directory, &gmemd->custody);
	if (r < 0)
		return r;
	custody_make_room(gmemd->custody);
	gmemd->registry.custody = gmemd->custody;
	return 0;
}

int succession_take_over(struct gmemd *gmemd)
{
	int r;

	if (!gmemd->custody)
		return 0;
	r = inheritance_new(gmemd->custody, &gmemd->inheritance);
	if (r == 0)
		r = peer_ledger_new(gmemd->custody, gmemd->inheritance, &gmemd->peer_ledger);
	if (r == -EADDRINUSE)
		log_error("%s: another gmemd serves there", gmemd->config.runtime_directory);
	if (r < 0)
		return r;
	STEP("recovery: what was held taken");
	lift_limits(gmemd, true);
	recover_vms(gmemd, gmemd->inheritance);
	STEP("recovery: VMs");
	return 0;
}

void succession_finish(struct gmemd *gmemd)
{
	struct recovered *recovered = &gmemd->recovered;

	if (!gmemd->custody)
		return;
	STEP("recovery: connections");
	peer_ledger_settle_rest(gmemd->peer_ledger);
	recovered->dropped = inheritance_drop_rest(gmemd->inheritance, gmemd->bulk, gmemd->self);
	gmemd->inheritance = inheritance_free(gmemd->inheritance);
	lift_limits(gmemd, false);
	STEP("recovery: rest dropped");
	recovery_finish(gmemd);
	custody_settle(gmemd->custody, SUCCESSION_SETTLE_MS);
	STEP("recovery: finished");
	if (recovered->vms > 0 || recovered->peers > 0 || recovered->dropped > 0)
		log_info("took over from a predecessor: VMs %u, memories %u, connections %u; VMs "
			 "that "
			 "had ended %u, files that belonged to nothing %u",
			recovered->vms, recovered->memories, recovered->peers, recovered->released,
			recovered->dropped);
}

/* One that could not begin to serve leaves what it has not taken over, too. */
static bool anybody_would_miss_it(const struct gmemd *gmemd)
{
	return !RB_EMPTY(&gmemd->registry.vms) ||
	       (gmemd->listeners && listeners_have_peers(gmemd->listeners)) ||
	       (gmemd->inheritance && !inheritance_is_empty(gmemd->inheritance));
}

void succession_leave(struct gmemd *gmemd)
{
	if (!gmemd->custody)
		return;
	custody_settle(gmemd->custody, SUCCESSION_SETTLE_MS);
	gmemd->leaving = anybody_would_miss_it(gmemd);
	if (gmemd->leaving)
		peer_ledger_leave(gmemd->peer_ledger);
	else
		peer_ledger_drop(gmemd->peer_ledger);
}

void succession_clear(struct gmemd *gmemd)
{
	inheritance_free(gmemd->inheritance);
	peer_ledger_free(gmemd->peer_ledger);
	custody_free(gmemd->custody);
}
