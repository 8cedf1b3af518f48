/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics.get.
 */
#include <time.h>

#include "daemon/fdstore/fdstore.h"
#include "daemon/methods/methods.h"
#include "daemon/pressure/policy.h"
#include "daemon/pressure/watch.h"
#include "daemon/vm/memory.h"
#include "protocol/acts.h"
#include "protocol/json.h"

static void add_metric(struct json_object *result, unsigned metric, uint64_t value)
{
	json_add_uint(result, metric_fields[metric].name, value);
}

/* What the VMs have together. */
struct vm_sums {
	uint64_t vms, memories, committed, resident, closed;
};

static struct vm_sums sum_vms(struct registry *registry)
{
	struct vm_sums sums = {.vms = 0};
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &registry->vms) {
		sums.vms += vm_is_seen(vm);
		sums.memories += vm->n_memories;
		sums.committed += vm->budget.committed;
		sums.resident += vm_resident(vm);
		sums.closed += vm->closed_resident;
	}
	return sums;
}

static void add_sums(struct json_object *result, struct registry *registry)
{
	const struct vm_sums sums = sum_vms(registry);

	add_metric(result, METRIC_VMS, sums.vms);
	add_metric(result, METRIC_MEMORIES, sums.memories);
	add_metric(result, METRIC_COMMITTED, sums.committed);
	add_metric(result, METRIC_RESIDENT, sums.resident);
	add_metric(result, METRIC_CLOSED, sums.closed);
}

static void add_commitment(struct json_object *result, const struct gmemd *gmemd)
{
	const struct budget *host = &gmemd->capacity.host;

	add_metric(result, METRIC_PROMISED, host->promised);
	add_metric(result, METRIC_RESERVATIONS, gmemd->reservations.count);
	add_metric(result, METRIC_RESERVED, gmemd->reservations.bytes);
	add_metric(result, METRIC_LIMIT, host->limit);
	add_metric(result, METRIC_UNCOMMITTED,
		host->limit > host->committed ? host->limit - host->committed : 0);
}

static void add_pressure(struct json_object *result, struct gmemd *gmemd)
{
	const struct pressure_policy *policy = pressure_watch_policy(gmemd->pressure);
	const struct pressure_ask *ask = pressure_policy_ask_from(policy, 0);
	uint64_t asked = 0, overdue = 0;

	for (; ask; ask = pressure_policy_ask_from(policy, ask->key + 1)) {
		asked++;
		overdue += pressure_ask_is_overdue(ask);
	}
	add_metric(result, METRIC_AVAILABLE, pressure_watch_available(gmemd->pressure));
	add_metric(result, METRIC_FLOOR, policy->settings.floor);
	add_metric(result, METRIC_PRESSURE, policy->level);
	add_metric(result, METRIC_ASKED, asked);
	add_metric(result, METRIC_OVERDUE, overdue);
}

static bool keeper_holds_all(const struct fdstore *fdstore)
{
	struct fdstore_report report;

	if (!fdstore)
		return false;
	fdstore_describe(fdstore, &report);
	return report.state == FDSTORE_STATE_HELD;
}

static uint64_t uptime(const struct gmemd *gmemd)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec - gmemd->started;
}

int handle_metrics_get(struct request *request)
{
	struct json_object *result = request->result;
	struct gmemd *gmemd = request->gmemd;

	for (unsigned act = 0; act < ACTS; act++)
		add_metric(result, act, gmemd->audit.counts[act]);
	add_sums(result, &gmemd->registry);
	add_commitment(result, gmemd);
	add_pressure(result, gmemd);
	add_metric(result, METRIC_KEEPER, keeper_holds_all(gmemd->fdstore));
	add_metric(result, METRIC_RELOAD_REFUSED, gmemd->refusal != NULL);
	add_metric(result, METRIC_UPTIME, uptime(gmemd));
	request_times_describe(&gmemd->request_times,
		json_add_object(result, metric_fields[METRIC_REQUEST_TIMES].name));
	return 0;
}
