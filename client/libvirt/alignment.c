/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Having gmemd's VMs as their domains are to be. See alignment.h.
 */
#include "client/libvirt/alignment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/common/say.h"
#include "client/libvirt/broker.h"
#include "kernel/host/machine_cgroup.h"
#include "protocol/json.h"

/* What speaks against the VM of its UUID being the domain's. */
static bool is_of_domain(const struct domain *domain, const struct json_object *vm)
{
	char prefix[MACHINE_PREFIX_SIZE];
	int64_t pid = 0;

	machine_prefix(domain->facts.id, prefix);
	return json_get_int(vm, "pid", &pid) && pid > 0 && machine_has_process((pid_t)pid, prefix);
}

/* NULL where there is none. A stranger's may have the UUID as well. */
static struct json_object *find_vm(struct domain *domain, const struct json_object *vms)
{
	bool stranger = false;

	for (size_t i = 0; i < json_length(vms); i++) {
		struct json_object *vm = json_at(vms, i);

		if (strcasecmp(json_get_string(vm, "uuid"), domain->uuid) != 0)
			continue;
		if (is_of_domain(domain, vm))
			return vm;
		stranger = true;
	}
	if (stranger)
		snprintf(domain->refused, sizeof domain->refused,
			"the VM of its UUID is not in its machine's cgroup");
	return NULL;
}

/* Whether anything is to be set. */
static bool make_wish(struct domain *domain, const struct json_object *vm, struct broker_wish *ret)
{
	uint64_t limit = domain_facts_commit_limit(&domain->facts), promised = 0, committed = 0;
	const char *tenant = domain->facts.tenant;

	json_get_uint(vm, "promised", &promised);
	json_get_uint(vm, "committed", &committed);
	if (promised != limit && limit < committed)
		snprintf(domain->refused, sizeof domain->refused,
			"it has %" PRIu64 " bytes already, more than its limit, which is not set",
			committed);
	else if (promised != limit)
		ret->commit_limit = limit;
	if (tenant && strcmp(tenant, json_get_string(vm, "tenant")) != 0)
		ret->tenant = tenant;
	return ret->commit_limit || ret->tenant;
}

/* False where gmemd has gone. */
static bool align(struct broker *broker, struct domain *domain, const struct json_object *vms)
{
	const struct json_object *vm;
	struct broker_wish wish = {.vm = NULL};

	domain->refused[0] = '\0';
	vm = domain->facts.fault[0] ? NULL : find_vm(domain, vms);
	if (vm && make_wish(domain, vm, &wish)) {
		wish.vm = json_get_string(vm, "vm");
		if (!broker_set(broker, &wish, domain->refused, sizeof domain->refused) &&
			!broker_is_there(broker))
			return false;
	}
	if (domain->refused[0])
		say(LOG_WARNING, "%s: %s", domain->facts.name, domain->refused);
	return true;
}

static bool any_is_to_be_aligned(struct domain_tree *domains)
{
	struct domain *domain;

	RB_FOREACH (domain, domain_tree, domains) {
		if (domain->active && domain->unaligned)
			return true;
	}
	return false;
}

void align_domains(struct broker *broker, struct domain_tree *domains)
{
	struct json_object *vms = any_is_to_be_aligned(domains) ? broker_vms(broker) : NULL;
	struct domain *domain;

	RB_FOREACH (domain, domain_tree, domains) {
		if (!domain->active)
			domain->refused[0] = '\0';
		if (!vms || !domain->active || !domain->unaligned)
			continue;
		if (!align(broker, domain, vms))
			break;
		domain->unaligned = false;
	}
	json_unref(vms);
}
