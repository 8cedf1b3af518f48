/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching for memory pressure. See watch.h.
 */
#include "daemon/pressure/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/base/timer_file.h"
#include "daemon/budget/capacity_probe.h"
#include "daemon/pressure/kept_trigger.h"
#include "daemon/pressure/policy.h"
#include "daemon/pressure/tenant_pressure.h"
#include "daemon/vm/page_count.h"
#include "daemon/vm/slot_views.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/meminfo.h"
#include "kernel/host/pressure.h"

#define INTERVAL 1000000u /* microseconds between looks, at most */

/* Some tasks have waited for a twentieth of the time, or more. */
static const struct pressure_threshold threshold = {
	.kind = PRESSURE_SOME,
	.stall = PRESSURE_WINDOW_UNIT / 20,
	.window = PRESSURE_WINDOW_UNIT,
};

struct pressure_watch {
	struct gmemd *gmemd;
	struct pressure_policy policy;
	int meminfo;
	struct kept_trigger trigger; /* none where the kernel gives none */
	struct timer_file *timer;
	struct event *stalled;
	bool counting;   /* what VMs have, before a round */
	bool unreadable; /* and the log says so */
	struct tenant_pressure *tenants;
};

/* CLOCK_MONOTONIC in microseconds. */
static uint64_t monotonic_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

uint64_t pressure_watch_available(const struct pressure_watch *watch)
{
	struct meminfo meminfo = {.available = watch->policy.available};

	meminfo_read(watch->meminfo, &meminfo);
	return meminfo.available;
}

/* Telling */

static void tell_level(struct pressure_watch *watch)
{
	const struct pressure_policy *policy = &watch->policy;
	struct events *events = &watch->gmemd->events;
	struct vm *vm;

	log_info("memory pressure is %s: %" PRIu64 " bytes are available, the floor is %" PRIu64,
		pressure_level_name(policy->level), policy->available, policy->settings.floor);
	events_pressure_level(events, policy->level, policy->available, policy->settings.floor);
	RB_FOREACH (vm, vm_tree, &watch->gmemd->registry.vms) {
		if (!vm_is_released(vm))
			events_pressure(events, vm, policy->level);
	}
}

/* A VM that has none left that it can give owes none: it gave some between being counted and being
 * asked, or all that it could. */
static void forgive(struct pressure_watch *watch)
{
	const struct pressure_ask *ask = pressure_policy_ask_from(&watch->policy, 0);
	uint64_t key;

	for (; ask; ask = pressure_policy_ask_from(&watch->policy, key + 1)) {
		const struct vm *vm = registry_vm_by_number(&watch->gmemd->registry, ask->key);

		key = ask->key;
		if (pressure_ask_is_overdue(ask) && (!vm || vm_can_give(vm) == 0))
			pressure_policy_forget(&watch->policy, key);
	}
}

/* Each that has missed the deadline that has just passed. */
static void tell_overdue(struct pressure_watch *watch, uint64_t deadline)
{
	const struct pressure_ask *ask = pressure_policy_ask_from(&watch->policy, 0);

	for (; ask; ask = pressure_policy_ask_from(&watch->policy, ask->key + 1)) {
		const struct vm *vm;

		if (ask->deadline != deadline || !pressure_ask_is_overdue(ask))
			continue;
		vm = registry_vm_by_number(&watch->gmemd->registry, ask->key);
		if (vm)
			events_pressure_overdue(
				&watch->gmemd->events, vm, ask->asked, ask->given, ask->missed);
	}
}

/* Asking */

static size_t list_vms(struct pressure_watch *watch, struct pressure_vm *vms, size_t room)
{
	size_t count = 0;
	struct vm *vm;

	tenants_measure(&watch->gmemd->registry.tenants);
	RB_FOREACH (vm, vm_tree, &watch->gmemd->registry.vms) {
		uint64_t reclaimable = vm_gives_beyond_reserve(vm);

		if (reclaimable == 0)
			continue;
		if (count < room)
			vms[count] = (struct pressure_vm){.key = vm->number,
				.reclaimable = reclaimable,
				.priority = tenant_priority(vm->tenant)};
		count++;
	}
	return count;
}

static void tell_asked(struct pressure_watch *watch, const struct pressure_vm *vms, size_t n_vms)
{
	uint64_t deadline = watch->policy.settings.deadline / 1000;

	for (size_t i = 0; i < n_vms; i++) {
		const struct vm *vm = registry_vm_by_number(&watch->gmemd->registry, vms[i].key);

		events_pressure_asked(
			&watch->gmemd->events, vm, watch->policy.level, vms[i].ask, deadline);
	}
}

/* Without a VM that has pages there is no round, so that the first is asked at once. */
static void ask_vms(struct pressure_watch *watch)
{
	cleanup_free struct pressure_vm *vms = NULL;
	size_t count = list_vms(watch, NULL, 0), asked = 0;

	forgive(watch);
	if (count == 0)
		return;
	vms = calloc(count, sizeof *vms);
	if (!vms)
		return;
	list_vms(watch, vms, count);
	if (pressure_policy_ask(&watch->policy, monotonic_us(), vms, count, &asked) == 0)
		tell_asked(watch, vms, asked);
}

static void schedule_look(struct pressure_watch *watch)
{
	uint64_t time = monotonic_us(), next = pressure_policy_next(&watch->policy);
	uint64_t wait = next > time ? next - time : 1;

	if (wait > INTERVAL)
		wait = INTERVAL;
	timer_file_set(watch->timer, wait);
}

static void pages_counted(void *context)
{
	struct pressure_watch *watch = context;

	watch->counting = false;
	ask_vms(watch);
	schedule_look(watch);
}

/* Without memory for it there is another try at the next look. */
static void count_pages(struct pressure_watch *watch)
{
	struct page_count *count = page_count_new(&watch->gmemd->registry, watch->gmemd->self);
	struct vm *vm;
	int r = count ? 0 : -ENOMEM;

	RB_FOREACH (vm, vm_tree, &watch->gmemd->registry.vms) {
		if (r == 0 && !vm_is_released(vm))
			r = page_count_add(count, vm);
		views_look(vm);
	}
	if (r < 0) {
		page_count_free(count);
		return;
	}
	watch->counting = true;
	page_count_run(count, pages_counted, watch);
}

/* Looking */

static void complain_once(struct pressure_watch *watch, int r)
{
	if (!watch->unreadable)
		log_warning("memory pressure is not watched: /proc/meminfo: %s", strerror(-r));
	watch->unreadable = true;
}

static void observe_host(
	struct pressure_watch *watch, const struct pressure_observation *observation)
{
	struct pressure_policy *policy = &watch->policy;
	uint64_t deadline = policy->round_end;
	bool was_open = policy->round_open;

	if (pressure_policy_observe(policy, observation))
		tell_level(watch);
	if (was_open && !policy->round_open) {
		forgive(watch);
		tell_overdue(watch, deadline);
	}
	if (!watch->counting && pressure_policy_round_due(policy, observation->time))
		count_pages(watch);
}

static void audit_memory_change(struct gmemd *gmemd, uint64_t total)
{
	char old[24], new[24];

	snprintf(old, sizeof old, "%" PRIu64, gmemd->host.memory_total);
	snprintf(new, sizeof new, "%" PRIu64, total);
	audit_write(&gmemd->audit,
		&(struct audit_entry){.act = ACT_LIMIT_CHANGED,
			.also = {{"GMEMD_SCOPE", "host"}, {"GMEMD_LIMIT", "memory"},
				{"GMEMD_OLD", old}, {"GMEMD_NEW", new}}},
		"the host's memory is %s bytes now; it was %s", new, old);
}

static struct pressure_settings settings_of(const struct gmemd *gmemd)
{
	const struct config *config = &gmemd->config;

	return pressure_settings_for(
		config_bytes(&config->pressure_floor, gmemd->host.memory_total),
		config->pressure_deadline * 1000, gmemd->host.page_size);
}

/* Of what they have in percent. A reserve that the host can't give any more stays as it was. */
static void follow_tenants(struct gmemd *gmemd)
{
	struct tenants_refused refused;

	if (tenants_configure(&gmemd->registry.tenants, &gmemd->config, gmemd->host.memory_total,
		    &refused) < 0)
		log_warning("tenants' limits stay as they were: the host has not got what they "
			    "reserve");
}

/* What may be promised, and where pressure begins, follow the host's memory. */
static void follow_total(struct pressure_watch *watch, uint64_t total)
{
	struct gmemd *gmemd = watch->gmemd;

	if (total == gmemd->host.memory_total)
		return;
	audit_memory_change(gmemd, total);
	gmemd->host.memory_total = total;
	if (capacity_follow_host(&gmemd->capacity, &gmemd->config, total) < 0)
		log_warning("a NUMA node is new, and there is no memory for its budget: nothing is "
			    "made there");
	watch->policy.settings = settings_of(gmemd);
	follow_tenants(gmemd);
}

static void look_at_host(struct pressure_watch *watch, bool stalled)
{
	struct meminfo meminfo;
	int r = meminfo_read(watch->meminfo, &meminfo);

	if (r < 0) {
		complain_once(watch, r);
	} else {
		watch->unreadable = false;
		follow_total(watch, meminfo.total);
		tenant_pressure_look(watch->tenants);
		observe_host(watch,
			&(struct pressure_observation){monotonic_us(), meminfo.available, stalled});
	}
	schedule_look(watch);
}

static void timer_due(void *context)
{
	look_at_host(context, /* stalled= */ false);
}

static void stalled_event(evutil_socket_t fd, short what, void *context)
{
	struct pressure_watch *watch = context;

	(void)fd;
	(void)what;
	if (pressure_trigger_check(&watch->trigger.trigger) == -ENODEV)
		event_del(watch->stalled);
	else
		look_at_host(watch, /* stalled= */ true);
}

/* A host without PSI is looked at each second all the same. */
static int watch_stalls(struct pressure_watch *watch)
{
	int r = kept_trigger_open(watch->gmemd, PRESSURE_OF_HOST, &threshold, &watch->trigger);

	if (r < 0) {
		log_info("the kernel gives no pressure stall information: %s", strerror(-r));
		return 0;
	}
	watch->stalled = event_new(watch->gmemd->base, watch->trigger.trigger.ready,
		EV_READ | EV_PERSIST, stalled_event, watch);
	return watch->stalled && event_add(watch->stalled, NULL) == 0 ? 0 : -ENOMEM;
}

static int set_up(struct pressure_watch *watch)
{
	int r;

	r = meminfo_open(&watch->meminfo);
	if (r < 0)
		log_error("/proc/meminfo: %s", strerror(-r));
	if (r < 0)
		return r;
	r = tenant_pressure_new(watch->gmemd, &watch->tenants);
	if (r < 0)
		return r;
	r = timer_file_new(watch->gmemd->base, timer_due, watch, &watch->timer);
	if (r < 0)
		return r;
	look_at_host(watch, /* stalled= */ false);
	return 0;
}

/* Where all that is not reserved is promised and used, less than the floor is available. */
static void warn_of_reserve(const struct gmemd *gmemd, uint64_t floor)
{
	uint64_t reserve = config_bytes(&gmemd->config.host_reserve, gmemd->host.memory_total);

	if (reserve < floor)
		log_warning("[limits] host-reserve is %" PRIu64
			    " bytes, less than [pressure] floor, "
			    "which is %" PRIu64 ": a host that is full of VMs is always under "
			    "pressure",
			reserve, floor);
}

int pressure_watch_new(struct gmemd *gmemd, struct pressure_watch **ret)
{
	const struct pressure_settings settings = settings_of(gmemd);
	struct pressure_watch *watch = calloc(1, sizeof *watch);
	int r;

	if (!watch)
		return -ENOMEM;
	warn_of_reserve(gmemd, settings.floor);
	*watch = (struct pressure_watch){
		.gmemd = gmemd, .meminfo = -1, .trigger = KEPT_TRIGGER_NONE};
	pressure_policy_init(&watch->policy, &settings);
	r = set_up(watch);
	if (r < 0)
		pressure_watch_free(watch);
	else
		*ret = watch;
	return r;
}

int pressure_watch_begin(struct pressure_watch *watch)
{
	tenant_pressure_follow_config(watch->tenants);
	return watch->policy.settings.floor > 0 ? watch_stalls(watch) : 0;
}

void pressure_watch_drop(struct pressure_watch *watch)
{
	tenant_pressure_drop(watch->tenants);
	kept_trigger_drop(&watch->trigger);
}

void pressure_watch_follow_config(struct pressure_watch *watch)
{
	const struct pressure_settings settings = settings_of(watch->gmemd);

	if (settings.floor != watch->policy.settings.floor)
		warn_of_reserve(watch->gmemd, settings.floor);
	watch->policy.settings = settings;
	tenant_pressure_follow_config(watch->tenants);
	if (settings.floor > 0 && !watch->stalled && watch_stalls(watch) < 0)
		log_warning("there is no memory to be told of stalls: the host is looked at each "
			    "second");
	look_at_host(watch, /* stalled= */ false);
}

struct pressure_watch *pressure_watch_free(struct pressure_watch *watch)
{
	if (!watch)
		return NULL;
	tenant_pressure_free(watch->tenants);
	timer_file_free(watch->timer);
	if (watch->stalled)
		event_free(watch->stalled);
	kept_trigger_end(&watch->trigger);
	fd_close(watch->meminfo);
	pressure_policy_clear(&watch->policy);
	free(watch);
	return NULL;
}

void pressure_watch_given(struct pressure_watch *watch, uint64_t vm, uint64_t bytes)
{
	pressure_policy_given(&watch->policy, vm, bytes);
}

void pressure_watch_forget(struct pressure_watch *watch, const struct vm *vm)
{
	pressure_policy_forget(&watch->policy, vm->number);
}

const struct pressure_policy *pressure_watch_policy(const struct pressure_watch *watch)
{
	return &watch->policy;
}

void pressure_watch_ask_tenant(struct pressure_watch *watch, struct tenant *tenant)
{
	tenant_pressure_ask(watch->tenants, tenant);
}
