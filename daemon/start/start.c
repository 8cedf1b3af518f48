/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Setting the daemon's shared state up and down. See start.h.
 */
#include "daemon/start/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "daemon/base/helper_process.h"
#include "daemon/base/log.h"
#include "daemon/budget/capacity_probe.h"
#include "daemon/gate/vm_creations.h"
#include "daemon/owner/file_reserve.h"
#include "daemon/owner/scheduler.h"
#include "daemon/pages/page_worker.h"
#include "daemon/peer/in_flight.h"
#include "daemon/peer/screening.h"
#include "daemon/peerfd/taker_client.h"
#include "daemon/prealloc/preallocations.h"
#include "daemon/pressure/watch.h"
#include "daemon/release/call_reports.h"
#include "daemon/release/lapse.h"
#include "daemon/release/recount.h"
#include "daemon/release/vm_watch.h"
#include "daemon/start/core.h"
#include "daemon/start/recover_rest.h"
#include "daemon/start/reload.h"
#include "daemon/start/start_failure.h"
#include "daemon/start/takeover.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/slot_views.h"
#include "daemon/vm/vm_end.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/passrights.h"
#include "protocol/json.h"

static int probe_device(struct gmemd *gmemd, int kvm)
{
	struct stat status;
	int r = kvm < 0 || fstat(kvm, &status) < 0 ? -errno : 0;

	if (r == 0) {
		gmemd->kvm_device = status.st_rdev;
		r = creations_new(&gmemd->creations);
	}
	if (r == 0)
		r = probe_host(kvm, &gmemd->host);
	if (r == 0)
		creations_try(gmemd->creations);
	if (r < 0)
		snprintf(gmemd->lack, sizeof gmemd->lack, "/dev/kvm (%s)", strerror(-r));
	return r;
}

static int probe_kvm(struct gmemd *gmemd)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int r = probe_device(gmemd, kvm);

	if (r < 0)
		return r;
	if (!gmemd->host.vm_types[0].guest_memfd) {
		snprintf(
			gmemd->lack, sizeof gmemd->lack, "guest_memfd for VMs of the default type");
		return -ENOTSUP;
	}
	if (!gmemd->host.gate)
		log_warning("VMs can have no gate: the kernel lacks %s", gmemd->host.gate_missing);
	if (process_attaching_is_off())
		log_warning("no VM can have memory: kernel.yama.ptrace_scope is 3, so that no file "
			    "of a VMM can be taken");
	return 0;
}

/*
 * What a host lacks it may have later, as when its modules are loaded: a gmemd that was started by
 * who wants to use it says so to them, for a while; then the service manager starts it anew.
 */
static int go_on_lacking(struct gmemd *gmemd, int why)
{
	int r = probe_host(/* kvm_fd= */ -1, &gmemd->host);

	if (r < 0)
		return r;
	log_error("this host lacks %s, kernel %s", gmemd->lack, gmemd->host.kernel_release);
	return sd_listen_fds(/* unset_environment= */ 0) > 0 ? 0 : why;
}

/* Peers could send gmemd files that stop it: only for developing it may do without. */
static int check_passrights(bool required)
{
	static const char lack[] =
		"the kernel lacks SO_PASSRIGHTS, of Linux 6.16: peers could send "
		"gmemd files that stop it";

	if (passrights_probe() == 0)
		return 0;
	if (required)
		log_error("%s", lack);
	else
		log_warning("%s", lack);
	return required ? -ENOTSUP : 0;
}

static int probe(struct gmemd *gmemd)
{
	bool model = gmemd->config.backend == BACKEND_MODEL;
	int r = check_passrights(!model);

	if (r < 0)
		return r;
	if (model) {
		log_warning("the back end is the model: no VM can run on what it makes");
		return probe_model(&gmemd->host);
	}
	r = probe_kvm(gmemd);
	return gmemd->lack[0] ? go_on_lacking(gmemd, r) : r;
}

static int set_up_owners(struct gmemd *gmemd)
{
	const struct owner_name self = {.kind = OWNER_IS_GMEMD};
	int r;

	r = owner_get(gmemd->owners, &self, &gmemd->self);
	if (r == 0)
		r = scheduler_new(gmemd->base, gmemd->owners, &gmemd->scheduler);
	return r;
}

/* What it has of its own. */
static int set_up(struct gmemd *gmemd)
{
	int r;

	r = helper_process_reserve();
	if (r < 0)
		return start_failed("room for the files of helper processes", r);
	r = core_set_up(
		gmemd, gmemd->config.backend == BACKEND_MODEL ? &backend_model : &backend_kvm);
	if (r == 0)
		r = set_up_owners(gmemd);
	if (r == 0)
		r = in_flight_new(&gmemd->in_flight);
	if (r == 0)
		r = takings_new(gmemd->base, &gmemd->config, /* program= */ NULL, &gmemd->takings);
	if (r < 0)
		return start_failed("the ledger of users", r);
	r = takeover_begin(gmemd);
	if (r < 0)
		return start_failed("finding gmemd-keeper", r);
	r = screening_new(gmemd, &gmemd->screening);
	if (r < 0)
		return start_failed("screening connections", r);
	/* The first that has threads. */
	r = page_worker_new(gmemd->base, gmemd->scheduler, gmemd->owners, NULL, &gmemd->pages);
	if (r < 0)
		return start_failed("starting a thread", r);
	gmemd->registry.pages = gmemd->pages;
	gmemd->registry.takings = gmemd->takings;
	r = gmemd->creations ? creations_watch(gmemd->creations, gmemd->base, &gmemd->registry) : 0;
	if (r < 0)
		return start_failed("listening for KVM's uevents", r);
	r = pressure_watch_new(gmemd, &gmemd->pressure);
	if (r < 0)
		return start_failed("watching memory pressure", r);
	r = recounting_new(gmemd, &gmemd->recounting);
	if (r < 0)
		return start_failed("counting closed memories", r);
	r = lapses_new(gmemd, &gmemd->lapses);
	if (r < 0)
		return start_failed("a timer for reservations", r);
	r = call_reports_new(gmemd, &gmemd->call_reports);
	if (r < 0)
		return start_failed("a timer for reports", r);
	r = takeover_take_over(gmemd);
	if (r < 0)
		return start_failed("taking over from a predecessor", r);
	r = pressure_watch_begin(gmemd->pressure);
	return r < 0 ? start_failed("watching memory pressure", r) : 0;
}

/* One thread has it; and it looks at the clock for a timer that is set, not for each packet. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/* What it takes to set anything up. */
static int prepare(struct gmemd *gmemd)
{
	int r = file_reserve_set_up();

	if (r < 0)
		return start_failed("reserving files for operators", r);
	r = probe(gmemd);
	if (r < 0) {
		creations_free(gmemd->creations);
		return start_failed("probing the host", r);
	}
	errno = 0;
	gmemd->base = new_base();
	if (!gmemd->base || event_base_priority_init(gmemd->base, SCHEDULER_PRIORITIES) < 0)
		return start_failed("making an event loop", errno ? -errno : -ENOMEM);
	return 0;
}

int gmemd_init(
	struct gmemd *gmemd, const struct config *take_config, const struct config_faults *faults)
{
	struct timespec now;
	int r;

	core_init(gmemd, take_config);
	clock_gettime(CLOCK_MONOTONIC, &now);
	gmemd->started = (uint64_t)now.tv_sec;
	gmemd->faults = faults;
	gmemd->reload = reload_configuration;
	r = prepare(gmemd);
	if (r < 0) {
		config_clear(&gmemd->config);
		return r;
	}
	r = set_up(gmemd);
	if (r < 0)
		gmemd_clear(gmemd);
	return r;
}

void gmemd_clear(struct gmemd *gmemd)
{
	struct vm *vm;

	preallocating_stop_all(gmemd);
	page_worker_stop(gmemd->pages);
	recovery_rest_end(gmemd);
	views_stop(&gmemd->registry);
	pressure_watch_free(gmemd->pressure);
	recounting_free(gmemd->recounting);
	RB_FOREACH (vm, vm_tree, &gmemd->registry.vms)
		watch_stop(vm);
	vms_free(&gmemd->registry);
	lapses_free(gmemd->lapses);
	call_reports_free(gmemd->call_reports);
	reservations_clear(&gmemd->reservations);
	tenants_clear(&gmemd->registry.tenants);
	capacity_clear(&gmemd->capacity);
	json_unref(gmemd->description);
	takeover_clear(gmemd);
	screening_free(gmemd->screening);
	in_flight_free(gmemd->in_flight);
	takings_free(gmemd->takings);
	page_worker_free(gmemd->pages);
	scheduler_free(gmemd->scheduler);
	owner_unref(gmemd->self);
	owners_free(gmemd->owners);
	creations_free(gmemd->creations);
	event_base_free(gmemd->base);
	free(gmemd->refusal);
	config_clear(&gmemd->config);
}
