/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over. See takeover.h.
 */
#include "daemon/start/takeover.h"

#include <errno.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/fdstore/inherited_fds.h"
#include "daemon/pages/page_closer.h"
#include "daemon/peer/listener.h"
#include "daemon/peer/quiet_peers.h"
#include "daemon/pressure/kept_trigger.h"
#include "daemon/pressure/watch.h"
#include "daemon/release/lapse.h"
#include "daemon/request/peer_ledger.h"
#include "daemon/reservation/reservation_ledger.h"
#include "daemon/start/recover_rest.h"
#include "daemon/start/recover_vm.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/vm_end.h"

/* What was granted stays so, whatever the limits are now. */
static void lift_limits(struct gmemd *gmemd, bool lifted)
{
	owners_lift_limits(gmemd->owners, lifted);
	capacity_lift_limits(&gmemd->capacity, lifted);
	tenants_lift_limits(&gmemd->registry.tenants, lifted);
}

/* The model's VMs end with their gmemd. */
int takeover_begin(struct gmemd *gmemd)
{
	int r;

	if (!gmemd->config.keeper || gmemd->config.backend == BACKEND_MODEL)
		return 0;
	r = fdstore_new(
		gmemd->base, gmemd->config.runtime_directory, &gmemd->stages, &gmemd->fdstore);
	if (r < 0)
		return r;
	fdstore_make_room(gmemd->fdstore);
	gmemd->registry.fdstore = gmemd->fdstore;
	overrides_init(&gmemd->overrides, &gmemd->registry.tenants, gmemd->fdstore);
	return 0;
}

/* Those that a VM has become the promise of, before anything is done to it. */
static int end_used_reservations(struct gmemd *gmemd)
{
	struct reservations *reservations = &gmemd->reservations;
	struct reservation *reservation;
	struct vm *vm;
	int r = 0;

	RB_FOREACH (vm, vm_tree, &gmemd->registry.vms) {
		reservation =
			vm->reserved ? reservations_by_id(reservations, vm->reserved->id) : NULL;
		if (r == 0 && reservation)
			r = reservations_end(reservations, reservation);
	}
	if (r == 0)
		reservation_ledger_commit(reservations);
	STEP("recovery: used reservations ended");
	return r;
}

int takeover_take_over(struct gmemd *gmemd)
{
	int r;

	if (!gmemd->fdstore)
		return 0;
	r = inherited_fds_new(gmemd->fdstore, &gmemd->inherited);
	if (r == 0)
		r = peer_ledger_new(gmemd->fdstore, gmemd->inherited, &gmemd->peer_ledger);
	if (r == -EADDRINUSE)
		log_error("%s: another gmemd serves there", gmemd->config.runtime_directory);
	if (r < 0)
		return r;
	STEP("recovery: what was held taken");
	lift_limits(gmemd, true);
	r = overrides_take_over(&gmemd->overrides, gmemd->inherited);
	if (r == 0)
		r = reservation_ledger_open(&gmemd->reservations, gmemd->fdstore, gmemd->inherited);
	STEP("recovery: reservations");
	if (r == 0)
		r = recover_vms(gmemd, gmemd->inherited);
	STEP("recovery: VMs");
	if (r == 0)
		r = end_used_reservations(gmemd);
	return r == 0 ? recovery_rest_begin(gmemd) : r;
}

/* The page worker closes what is large. */
static void drop_file(void *context, const struct keeper_id *id, int take_fd)
{
	struct gmemd *gmemd = context;

	if (id->kind == FDSTORE_PRESSURE)
		kept_trigger_dispose(gmemd->fdstore, id, take_fd);
	else
		page_file_dispose_held(gmemd->pages, gmemd->self, gmemd->fdstore, id, take_fd);
}

void takeover_finish(struct gmemd *gmemd)
{
	struct recovered *recovered = &gmemd->recovered;

	if (!gmemd->fdstore)
		return;
	STEP("recovery: connections");
	peer_ledger_delete_rest(gmemd->peer_ledger);
	recovered->dropped = inherited_fds_drop_rest(gmemd->inherited, drop_file, gmemd);
	gmemd->inherited = inherited_fds_free(gmemd->inherited);
	lift_limits(gmemd, false);
	STEP("recovery: rest dropped");
	recovery_finish(gmemd);
	lapses_schedule(gmemd->lapses);
	fdstore_await_sent(gmemd->fdstore, FDSTORE_SEND_MS);
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
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, (struct vm_tree *)&gmemd->registry.vms) {
		if (vm_is_seen(vm))
			return true;
	}
	return gmemd->reservations.count > 0 || overrides_any(&gmemd->overrides) ||
	       (gmemd->listeners && listeners_have_peers(gmemd->listeners)) ||
	       quiet_peers_any(gmemd->quiet_peers) ||
	       (gmemd->inherited && !inherited_fds_is_empty(gmemd->inherited));
}

void takeover_leave(struct gmemd *gmemd)
{
	if (!gmemd->fdstore)
		return;
	if (anybody_would_miss_it(gmemd)) {
		fdstore_await_sent(gmemd->fdstore, FDSTORE_SEND_MS);
		fdstore_leave(gmemd->fdstore);
	} else {
		vms_free_unseen(&gmemd->registry);
		fdstore_await_sent(gmemd->fdstore, FDSTORE_SEND_MS);
		pressure_watch_drop(gmemd->pressure);
		peer_ledger_drop(gmemd->peer_ledger);
		reservation_ledger_drop(&gmemd->reservations);
		overrides_drop(&gmemd->overrides);
	}
}

void takeover_clear(struct gmemd *gmemd)
{
	inherited_fds_free(gmemd->inherited);
	peer_ledger_free(gmemd->peer_ledger);
	overrides_clear(&gmemd->overrides);
	fdstore_free(gmemd->fdstore);
}
