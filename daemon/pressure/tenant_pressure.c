/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pressure of a tenant's own. See tenant_pressure.h.
 */
#include "daemon/pressure/tenant_pressure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/base/privileges.h"
#include "daemon/vm/page_count.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/pressure.h"

#define CGROUPS "/sys/fs/cgroup"
/* Of what a tenant's VMs have, where its cgroup waits for memory. */
#define STALLED_PART 20

/* Some tasks have waited for a twentieth of the time, or more. */
static const struct pressure_threshold threshold = {
	.kind = PRESSURE_SOME,
	.stall = PRESSURE_WINDOW_UNIT / 20,
	.window = PRESSURE_WINDOW_UNIT,
};

/* The watch of a tenant's cgroup. */
struct stall_watch {
	TAILQ_ENTRY(stall_watch) link;
	struct tenant_pressure *pressure;
	struct tenant *tenant; /* a reference */
	struct pressure_trigger trigger;
	struct event *event;
};

TAILQ_HEAD(stall_watches, stall_watch);

struct tenant_pressure {
	struct gmemd *gmemd;
	struct stall_watches watches;
	struct counting *counting; /* of one tenant at a time */
};

struct counting {
	struct tenant_pressure *pressure; /* NULL: it is gone */
	struct tenant *tenant;            /* a reference */
};

/* CLOCK_MONOTONIC in microseconds. */
static uint64_t monotonic_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* What VMs have */

uint64_t vm_can_give(const struct vm *vm)
{
	uint64_t resident = vm_is_released(vm) ? 0 : vm_resident_ordinary(vm);

	return resident > vm->minimum ? resident - vm->minimum : 0;
}

static void measure(struct tenant *tenant)
{
	const struct vm *vm;

	tenant->resident = tenant->can_give = 0;
	LIST_FOREACH (vm, &tenant->vms, of_tenant) {
		tenant->resident += vm_is_released(vm) ? 0 : vm_resident_ordinary(vm);
		tenant->can_give += vm_can_give(vm);
	}
}

void tenants_measure(struct tenants *tenants)
{
	for (struct tenant *tenant = tenants_from(tenants, ""); tenant;
		tenant = tenants_next(tenant))
		measure(tenant);
}

__extension__ typedef unsigned __int128 wide;

/* Each as large a part of what it can give. */
static uint64_t part_of(uint64_t can_give, uint64_t of_all, uint64_t wanted)
{
	if (wanted >= of_all)
		return can_give;
	return (uint64_t)((wide)can_give * wanted / of_all);
}

uint64_t vm_gives_beyond_reserve(const struct vm *vm)
{
	const struct tenant *tenant = vm->tenant;
	uint64_t reserve = tenant->budget.reserve;
	uint64_t beyond = tenant->resident > reserve ? tenant->resident - reserve : 0;

	return tenant->can_give > 0 ? part_of(vm_can_give(vm), tenant->can_give, beyond) : 0;
}

unsigned tenant_priority(const struct tenant *tenant)
{
	return tenant->config ? (unsigned)tenant->config->priority : CONFIG_PRIORITY_DEFAULT;
}

/* Asking */

static uint64_t lacking(const struct tenant *tenant)
{
	uint64_t beyond = tenant->resident > tenant->budget.limit
				  ? tenant->resident - tenant->budget.limit
				  : 0;
	uint64_t stalled = tenant->stalled ? tenant->resident / STALLED_PART : 0;

	return beyond > stalled ? beyond : stalled;
}

static void ask_vms(struct gmemd *gmemd, struct tenant *tenant, uint64_t wanted)
{
	uint64_t page = gmemd->host.page_size;
	struct vm *vm;

	LIST_FOREACH (vm, &tenant->vms, of_tenant) {
		uint64_t ask = tenant->can_give > 0 ? part_of(vm_can_give(vm), tenant->can_give,
							      wanted + page - 1)
						    : 0;

		if (ask >= page)
			events_pressure_asked(&gmemd->events, vm, PRESSURE_LEVEL_LOW,
				ask / page * page, gmemd->config.pressure_deadline);
	}
}

static void tell_change(struct tenant *tenant, bool under)
{
	if (tenant->under_pressure != under)
		log_info("tenant %s %s", tenant->name,
			under ? "is under pressure: its VMs are asked for memory"
			      : "is under pressure no more");
	tenant->under_pressure = under;
}

static void ask(struct gmemd *gmemd, struct tenant *tenant)
{
	uint64_t wanted;

	measure(tenant);
	wanted = lacking(tenant);
	tell_change(tenant, wanted > 0);
	tenant->stalled = false;
	if (wanted == 0)
		return;
	tenant->ask_again = monotonic_us() + gmemd->config.pressure_deadline * 1000;
	ask_vms(gmemd, tenant, wanted);
}

static void counted(void *context)
{
	struct counting *counting = context;

	if (counting->pressure) {
		counting->pressure->counting = NULL;
		ask(counting->pressure->gmemd, counting->tenant);
	}
	tenant_unref(counting->tenant);
	free(counting);
}

static int add_vms(struct page_count *count, const struct tenant *tenant)
{
	struct vm *vm;
	int r = 0;

	LIST_FOREACH (vm, &tenant->vms, of_tenant) {
		if (r == 0 && !vm_is_released(vm))
			r = page_count_add(count, vm);
	}
	return r;
}

/* Without memory for it there is another try at the next look. */
void tenant_pressure_ask(struct tenant_pressure *pressure, struct tenant *tenant)
{
	struct gmemd *gmemd = pressure->gmemd;
	struct page_count *count;
	struct counting *counting;

	if (pressure->counting)
		return;
	count = page_count_new(&gmemd->registry, gmemd->self);
	counting = malloc(sizeof *counting);
	if (!count || !counting || add_vms(count, tenant) < 0) {
		page_count_free(count);
		free(counting);
		return;
	}
	*counting = (struct counting){pressure, tenant_ref(tenant)};
	pressure->counting = counting;
	page_count_run(count, counted, counting);
}

static bool is_to_be_asked(const struct tenant *tenant, uint64_t now)
{
	return (tenant->stalled || tenant->under_pressure ||
		       tenant->budget.used > tenant->budget.limit) &&
	       now >= tenant->ask_again;
}

/* What was given back since is known already. */
static void ease(struct tenant *tenant)
{
	measure(tenant);
	if (!tenant->stalled && lacking(tenant) == 0)
		tell_change(tenant, false);
}

void tenant_pressure_look(struct tenant_pressure *pressure)
{
	struct tenant *tenant = tenants_from(&pressure->gmemd->registry.tenants, "");
	uint64_t now = monotonic_us();

	for (; tenant; tenant = tenants_next(tenant)) {
		if (tenant->under_pressure)
			ease(tenant);
		if (is_to_be_asked(tenant, now)) {
			tenant_pressure_ask(pressure, tenant);
			return; /* the others at the next look, or when this one is done */
		}
	}
}

/* Cgroups */

static void stalled_event(evutil_socket_t fd, short what, void *context)
{
	struct stall_watch *watch = context;

	(void)fd;
	(void)what;
	if (pressure_trigger_check(&watch->trigger) == -ENODEV) {
		event_del(watch->event);
		return;
	}
	watch->tenant->stalled = true;
	if (monotonic_us() >= watch->tenant->ask_again)
		tenant_pressure_ask(watch->pressure, watch->tenant);
}

static void watch_free(struct stall_watch *watch)
{
	if (watch->event)
		event_free(watch->event);
	pressure_trigger_close(&watch->trigger);
	tenant_unref(watch->tenant);
	free(watch);
}

static int open_watch(struct stall_watch *watch, const char *cgroup)
{
	cleanup_free char *path = NULL;
	int r;

	if (asprintf(&path, CGROUPS "%s/memory.pressure", cgroup) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	privileges_raise_to_enter();
	r = pressure_trigger_open(path, &threshold, &watch->trigger);
	privileges_lower();
	if (r < 0)
		return r;
	watch->event = event_new(watch->pressure->gmemd->base, watch->trigger.ready,
		EV_READ | EV_PERSIST, stalled_event, watch);
	return watch->event && event_add(watch->event, NULL) == 0 ? 0 : -ENOMEM;
}

static int watch_cgroup(struct tenant_pressure *pressure, struct tenant *tenant, const char *cgroup)
{
	struct stall_watch *watch = calloc(1, sizeof *watch);
	int r;

	if (!watch)
		return -ENOMEM;
	*watch = (struct stall_watch){
		.pressure = pressure, .tenant = tenant_ref(tenant), .trigger = {-1, -1}};
	r = open_watch(watch, cgroup);
	if (r < 0)
		watch_free(watch);
	else
		TAILQ_INSERT_TAIL(&pressure->watches, watch, link);
	return r;
}

void tenant_pressure_follow_config(struct tenant_pressure *pressure)
{
	struct tenant *tenant = tenants_from(&pressure->gmemd->registry.tenants, "");
	struct stall_watch *watch;

	while ((watch = TAILQ_FIRST(&pressure->watches))) {
		TAILQ_REMOVE(&pressure->watches, watch, link);
		watch_free(watch);
	}
	for (; tenant; tenant = tenants_next(tenant)) {
		const struct config_list *cgroup =
			tenant->config ? &tenant->config->pressure_cgroup : NULL;
		int r = cgroup && cgroup->count > 0
				? watch_cgroup(pressure, tenant, cgroup->words[0])
				: 0;

		if (r < 0)
			log_warning("tenant %s: the memory pressure of cgroup %s can't be watched: "
				    "%s",
				tenant->name, cgroup->words[0], strerror(-r));
	}
}

int tenant_pressure_new(struct gmemd *gmemd, struct tenant_pressure **ret)
{
	struct tenant_pressure *pressure = calloc(1, sizeof *pressure);

	if (!pressure)
		return -ENOMEM;
	pressure->gmemd = gmemd;
	TAILQ_INIT(&pressure->watches);
	tenant_pressure_follow_config(pressure);
	*ret = pressure;
	return 0;
}

struct tenant_pressure *tenant_pressure_free(struct tenant_pressure *pressure)
{
	struct stall_watch *watch;

	if (!pressure)
		return NULL;
	while ((watch = TAILQ_FIRST(&pressure->watches))) {
		TAILQ_REMOVE(&pressure->watches, watch, link);
		watch_free(watch);
	}
	if (pressure->counting)
		pressure->counting->pressure = NULL;
	free(pressure);
	return NULL;
}
