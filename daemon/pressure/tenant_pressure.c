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
#include "daemon/pressure/cgroup_watch.h"
#include "daemon/vm/page_count.h"

/* Of what a tenant's VMs have, where its cgroup waits for memory. */
#define STALLED_PART 20

/* The watch of a tenant's cgroup. */
struct stall_watch {
	TAILQ_ENTRY(stall_watch) link;
	struct tenant_pressure *pressure;
	struct tenant *tenant; /* a reference */
	struct cgroup_watch *watch;
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

static void stalled(void *context)
{
	struct stall_watch *watch = context;

	watch->tenant->stalled = true;
	if (monotonic_us() >= watch->tenant->ask_again)
		tenant_pressure_ask(watch->pressure, watch->tenant);
}

static void watch_free(struct stall_watch *watch)
{
	cgroup_watch_free(watch->watch);
	watch->tenant->is_watched = false;
	tenant_unref(watch->tenant);
	free(watch);
}

static int watch_cgroup(struct tenant_pressure *pressure, struct tenant *tenant, const char *cgroup)
{
	struct stall_watch *watch = calloc(1, sizeof *watch);
	int r;

	if (!watch)
		return -ENOMEM;
	*watch = (struct stall_watch){.pressure = pressure, .tenant = tenant_ref(tenant)};
	r = cgroup_watch_new(pressure->gmemd, cgroup, stalled, watch, &watch->watch);
	if (r < 0) {
		watch_free(watch);
		return r;
	}
	tenant->is_watched = true;
	TAILQ_INSERT_TAIL(&pressure->watches, watch, link);
	return 0;
}

/* NULL where it names none. */
static const char *cgroup_of(const struct tenant *tenant)
{
	const struct config_list *cgroup = tenant->config ? &tenant->config->pressure_cgroup : NULL;

	return cgroup && cgroup->count > 0 ? cgroup->words[0] : NULL;
}

static void follow_tenant(struct tenant_pressure *pressure, struct tenant *tenant)
{
	const char *cgroup = cgroup_of(tenant);
	int r = cgroup && !tenant->is_watched ? watch_cgroup(pressure, tenant, cgroup) : 0;

	if (r < 0)
		log_warning("tenant %s: the memory pressure of cgroup %s can't be watched: %s",
			tenant->name, cgroup, strerror(-r));
}

/* What stays as it was is watched on. */
void tenant_pressure_follow_config(struct tenant_pressure *pressure)
{
	struct stall_watch *watch, *next;
	struct tenant *tenant;

	TAILQ_FOREACH_SAFE (watch, &pressure->watches, link, next) {
		const char *cgroup = cgroup_of(watch->tenant);

		if (cgroup && cgroup_watch_is_of(watch->watch, cgroup))
			continue;
		TAILQ_REMOVE(&pressure->watches, watch, link);
		watch_free(watch);
	}
	tenant = tenants_from(&pressure->gmemd->registry.tenants, "");
	for (; tenant; tenant = tenants_next(tenant))
		follow_tenant(pressure, tenant);
}

void tenant_pressure_drop(struct tenant_pressure *pressure)
{
	struct stall_watch *watch;

	TAILQ_FOREACH (watch, &pressure->watches, link)
		cgroup_watch_drop(watch->watch);
}

int tenant_pressure_new(struct gmemd *gmemd, struct tenant_pressure **ret)
{
	struct tenant_pressure *pressure = calloc(1, sizeof *pressure);

	if (!pressure)
		return -ENOMEM;
	pressure->gmemd = gmemd;
	TAILQ_INIT(&pressure->watches);
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
