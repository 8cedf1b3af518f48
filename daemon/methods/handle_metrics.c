/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics.get.
 */
#include "daemon/methods/methods.h"
#include "daemon/vm/memory.h"
#include "protocol/acts.h"
#include "protocol/json.h"

static void add_metric(struct json_object *result, unsigned metric, uint64_t value)
{
	json_add_uint(result, metric_fields[metric].name, value);
}

static void add_sums(struct json_object *result, struct registry *registry)
{
	uint64_t vms = 0, memories = 0, committed = 0;
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &registry->vms) {
		vms += vm_is_seen(vm);
		memories += vm->n_memories;
		committed += vm->budget.committed;
	}
	add_metric(result, METRIC_VMS, vms);
	add_metric(result, METRIC_MEMORIES, memories);
	add_metric(result, METRIC_COMMITTED, committed);
}

int handle_metrics_get(struct request *request)
{
	struct gmemd *gmemd = request->gmemd;

	for (unsigned act = 0; act < ACTS; act++)
		add_metric(request->result, act, gmemd->audit.counts[act]);
	add_sums(request->result, &gmemd->registry);
	add_metric(request->result, METRIC_PROMISED, gmemd->capacity.host.promised);
	add_metric(request->result, METRIC_RESERVATIONS, gmemd->reservations.count);
	add_metric(request->result, METRIC_RESERVED, gmemd->reservations.bytes);
	add_metric(request->result, METRIC_LIMIT, gmemd->capacity.host.limit);
	return 0;
}
