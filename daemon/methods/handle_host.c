/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ping, host.describe, host.open_kvm, rpc.discover.
 */
#include <stdio.h>
#include <time.h>

#include "daemon/fdstore/fdstore.h"
#include "daemon/methods/methods.h"
#include "daemon/peer/quiet_peers.h"
#include "daemon/pressure/policy.h"
#include "daemon/pressure/watch.h"
#include "daemon/request/answer_files.h"
#include "daemon/request/dispatch.h"
#include "daemon/request/request.h"
#include "daemon/vm/backend.h"
#include "kernel/base/uapi.h"
#include "protocol/json.h"

int handle_ping(struct request *request)
{
	(void)request;
	return 0;
}

static struct json_object *description_text(void)
{
	struct json_object *document = openrpc_document(GMEMD_VERSION, NULL);
	struct json_part part = {.bytes = NULL};
	struct json_object *text = NULL;

	if (document)
		part.bytes = json_print(document, &part.length);
	if (part.bytes)
		text = json_new_text(&part, 1);
	json_unref(document);
	return text;
}

static int describe_method(struct request *request, const char *name)
{
	const struct method *method = method_by_name(name);

	if (!method)
		return rpc_error_not_found(&request->error, "method", name);
	json_unref(request->result);
	request->result = openrpc_document(GMEMD_VERSION, method);
	return 0;
}

/* The whole never changes, and is long: it is made once, and kept as text. */
int handle_rpc_discover(struct request *request)
{
	const struct rpc_discover_parameters *parameters = &request->parameters.rpc_discover;
	struct gmemd *gmemd = request->gmemd;

	if (parameters->method)
		return describe_method(request, parameters->method);

	if (!gmemd->description)
		gmemd->description = description_text();
	if (!gmemd->description)
		return rpc_error_internal(&request->error, "no memory");
	json_unref(request->result);
	request->result = json_ref(gmemd->description);
	return 0;
}

/* The kernel's bits are in the order of the names. */
_Static_assert(GUEST_MEMFD_FLAG_MMAP == (uint64_t)MEMORY_MMAP, "flag");
_Static_assert(GUEST_MEMFD_FLAG_INIT_SHARED == (uint64_t)MEMORY_INIT_SHARED, "flag");

static void describe_vm_type(
	struct json_object *object, unsigned type, const struct vm_type_offer *offer)
{
	char number[16];

	snprintf(number, sizeof number, "%u", type);
	json_add_string(object, "name", vm_type_name(type) ? vm_type_name(type) : number);
	json_add_uint(object, "type", type);
	json_add_bool(object, "guest_memfd", offer->guest_memfd);
	json_add_flags(object, "guest_memfd_flags", offer->guest_memfd_flags, memory_flag_names);
	json_add_uint(object, "memory_attributes", offer->memory_attributes);
	json_add_bool(object, "converts_in_place", offer->converts_in_place);
	json_add_uint(object, "memslots", offer->memslots);
	json_add_bool(object, "pre_fault_memory", offer->pre_fault_memory);
}

static void describe_kernel(struct json_object *object, const struct host_offer *host)
{
	const struct vm_type_offer *type = &host->vm_types[0];
	struct json_object *types;
	uint64_t attributes = 0;

	json_add_string(object, "release", host->kernel_release);
	json_add_bool(object, "guest_memfd", type->guest_memfd);
	json_add_flags(object, "guest_memfd_flags", type->guest_memfd_flags, memory_flag_names);
	types = json_add_array(object, "vm_types");
	for (unsigned number = 0; number < VM_TYPES_MAX; number++) {
		if (!host->vm_types[number].offered)
			continue;
		describe_vm_type(json_append_object(types), number, &host->vm_types[number]);
		attributes |= host->vm_types[number].memory_attributes;
	}
	json_add_uint(object, "memory_attributes", attributes);
	json_add_bool(object, "pre_fault_memory", type->pre_fault_memory);
}

static void describe_limits(struct json_object *object, const struct gmemd *gmemd)
{
	const struct config *config = &gmemd->config;

	json_add_uint(object, "packet_bytes", PACKET_BYTES_MAX);
	json_add_uint(object, "packet_fds", PACKET_FDS_MAX);
	json_add_uint(object, "batch_requests", BATCH_REQUESTS_MAX);
	json_add_uint(object, "peers_per_user", config->peers_per_user);
	json_add_uint(object, "vms_per_user", config->vms_per_user);
	json_add_uint(object, "memories_per_vm", config->memories_per_vm);
	json_add_uint(object, "closed_memories_per_vm", config->closed_memories_per_vm);
	json_add_uint(object, "closed_memories_per_user", config->closed_memories_per_user);
	json_add_uint(object, "grants_per_vm", config->grants_per_vm);
	json_add_uint(object, "slots_per_vm", config->slots_per_vm);
	json_add_uint(object, "private_ranges_per_vm", config->private_ranges_per_vm);
	json_add_uint(object, "own_memory_bytes_per_vm", config->own_memory_per_vm);
	json_add_uint(object, "takers_per_owner", config->takers_per_owner);
	json_add_uint(object, "takers_per_user", config->takers_per_user);
	json_add_uint(object, "takers_on_host", config->takers_on_host);
	json_add_uint(object, "reservations_on_host", config->reservations_on_host);
	json_add_uint(object, "commit_bytes", gmemd->capacity.host.limit);
}

static void describe_gate(struct json_object *object, const struct host_offer *host)
{
	char reason[128];

	json_add_bool(object, "available", host->gate);
	if (host->gate)
		return;
	if (host->kvm)
		snprintf(reason, sizeof reason, "the kernel lacks %s", host->gate_missing);
	else
		snprintf(reason, sizeof reason,
			"the model makes no VM that a gate could be put round");
	json_add_string(object, "reason", reason);
}

/* Of many asks, so that they fit a packet with all the rest. */
#define ASKS_LISTED_MAX 200

static void describe_ask(
	struct json_object *object, const struct vm *vm, const struct pressure_ask *ask)
{
	json_add_string(object, "vm", vm->id);
	json_add_uint(object, "asked", ask->asked);
	json_add_uint(object, "given", ask->given);
	json_add_bool(object, "overdue", pressure_ask_is_overdue(ask));
}

/* Those that are overdue or those that are not. Returns how many there are. */
static size_t describe_asks(struct json_object *asks, struct gmemd *gmemd, bool overdue)
{
	const struct pressure_policy *policy = pressure_watch_policy(gmemd->pressure);
	const struct pressure_ask *ask = pressure_policy_ask_from(policy, 0);
	size_t count = 0;

	for (; ask; ask = pressure_policy_ask_from(policy, ask->key + 1)) {
		const struct vm *vm = registry_vm_by_number(&gmemd->registry, ask->key);

		if (!vm || pressure_ask_is_overdue(ask) != overdue)
			continue;
		count++;
		if (json_length(asks) < ASKS_LISTED_MAX)
			describe_ask(json_append_object(asks), vm, ask);
	}
	return count;
}

static void describe_pressure(
	struct json_object *object, struct gmemd *gmemd, enum method_access access)
{
	const struct pressure_policy *policy = pressure_watch_policy(gmemd->pressure);
	struct json_object *asks;
	size_t overdue, others;

	json_add_string(object, "level", pressure_level_name(policy->level));
	if (access != ACCESS_OPERATOR)
		return;
	json_add_uint(object, "available", pressure_watch_available(gmemd->pressure));
	json_add_uint(object, "floor", policy->settings.floor);
	asks = json_add_array(object, "asks");
	overdue = describe_asks(asks, gmemd, /* overdue= */ true);
	others = describe_asks(asks, gmemd, /* overdue= */ false);
	json_add_uint(object, "vms_asked", overdue + others);
	json_add_uint(object, "vms_overdue", overdue);
}

static uint64_t sum_committed(struct gmemd *gmemd)
{
	uint64_t sum = 0;
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &gmemd->registry.vms)
		sum += vm->budget.committed;
	return sum;
}

/* A promise counts as a whole against the limit. */
static void describe_commitment(struct json_object *object, struct gmemd *gmemd)
{
	const struct budget *host = &gmemd->capacity.host;

	json_add_uint(object, "limit", host->limit);
	json_add_uint(object, "committed", sum_committed(gmemd));
	json_add_uint(object, "promised", host->promised);
	json_add_uint(object, "reserved", gmemd->reservations.bytes);
	json_add_uint(object, "available",
		host->limit > host->committed ? host->limit - host->committed : 0);
}

static uint64_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

/* The last one that there was. */
static void describe_program(struct json_object *object, const struct keeper_report *keeper)
{
	char version[sizeof keeper->program_version + 1];

	snprintf(version, sizeof version, "%.*s", (int)sizeof keeper->program_version,
		keeper->program_version);
	json_add_string(object, "version", version);
	json_add_uint(object, "uptime", now_seconds() - keeper->started / 1000000000);
}

static void describe_keeper(struct json_object *result, const struct fdstore *fdstore)
{
	struct fdstore_report report;
	struct json_object *object;

	if (!fdstore) {
		json_add_null(result, "keeper");
		return;
	}
	fdstore_describe(fdstore, &report);
	object = json_add_object(result, "keeper");
	json_add_string(object, "state", keeper_state_names[report.state]);
	if (report.keeper)
		describe_program(object, report.keeper);
	json_add_uint(object, "held", report.held);
}

static void describe_recovered(struct json_object *object, const struct recovered *recovered)
{
	json_add_uint(object, "vms", recovered->vms);
	json_add_uint(object, "memories", recovered->memories);
	json_add_uint(object, "connections", recovered->peers);
	json_add_uint(object, "released", recovered->released);
	json_add_uint(object, "dropped", recovered->dropped);
}

int handle_host_describe(struct request *request)
{
	struct gmemd *gmemd = request->gmemd;

	json_add_string(request->result, "version", GMEMD_VERSION);
	json_add_uint(request->result, "protocol", PROTOCOL_VERSION);
	json_add_string(request->result, "backend", gmemd->registry.backend->name);
	json_add_uint(request->result, "page_size", gmemd->host.page_size);
	describe_kernel(json_add_object(request->result, "kernel"), &gmemd->host);
	describe_gate(json_add_object(request->result, "gate"), &gmemd->host);
	describe_limits(json_add_object(request->result, "limits"), gmemd);
	describe_pressure(
		json_add_object(request->result, "pressure"), gmemd, request->caller->access);
	if (request->caller->access == ACCESS_OPERATOR)
		describe_commitment(json_add_object(request->result, "commitment"), gmemd);
	json_add_uint(request->result, "uptime", now_seconds() - gmemd->started);
	quiet_peers_recover_all(gmemd->quiet_peers); /* those that are none any more don't count */
	describe_keeper(request->result, gmemd->fdstore);
	describe_recovered(json_add_object(request->result, "recovered"), &gmemd->recovered);
	return 0;
}

/* Nothing of it is gmemd's afterwards. */
int handle_host_open_kvm(struct request *request)
{
	const struct gmemd *gmemd = request->gmemd;
	int r;

	if (!gmemd->config.probes)
		return rpc_error_not_permitted(
			&request->error, "\"probes = yes\" in section [gate] of gmemd.conf");
	if (!gmemd->registry.backend->needs_gate)
		return rpc_error_unsupported(
			&request->error, "the KVM back end", gmemd->host.kernel_release);
	r = request_take_device(request);
	if (r == 0)
		json_add_uint(request->result, "kvm", 0);
	return r;
}
