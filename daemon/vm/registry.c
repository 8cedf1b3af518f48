/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The set of VMs. See registry.h.
 */
#include "daemon/vm/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/budget/capacity.h"
#include "daemon/pages/page_worker.h"
#include "daemon/vm/mailbox_label.h"
#include "daemon/vm/memory.h"

static int vm_compare_id(struct vm *a, struct vm *b)
{
	return a->number < b->number ? -1 : a->number > b->number;
}

static int vm_compare_process(struct vm *a, struct vm *b)
{
	return a->process.identity < b->process.identity
		       ? -1
		       : a->process.identity > b->process.identity;
}

static int compare_users(const struct vm *a, const struct vm *b)
{
	return a->process.uid < b->process.uid ? -1 : a->process.uid > b->process.uid;
}

static int vm_compare_name(struct vm *a, struct vm *b)
{
	int order = compare_users(a, b);

	if (order == 0)
		order = strcmp(a->name, b->name);
	return order ? order : vm_compare_id(a, b);
}

static int vm_compare_uuid(struct vm *a, struct vm *b)
{
	int order = compare_users(a, b);

	if (order == 0)
		order = strcasecmp(a->uuid, b->uuid);
	return order ? order : vm_compare_id(a, b);
}

RB_GENERATE(vm_tree, vm, by_id, vm_compare_id)
RB_GENERATE(vm_process_tree, vm, by_process, vm_compare_process)
RB_GENERATE_LOCAL(vm_name_tree, vm, by_name, vm_compare_name)
RB_GENERATE_LOCAL(vm_uuid_tree, vm, by_uuid, vm_compare_uuid)

/*
 * Ids must not repeat before the host reboots, though gmemd may restart: they begin with the time
 * since boot, which runs faster than VMs and memories can be made.
 */
#define IDS_PER_SECOND 10000

static uint64_t first_id(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * IDS_PER_SECOND +
	       (uint64_t)now.tv_nsec / (1000000000 / IDS_PER_SECOND);
}

void registry_init(struct registry *registry, const struct backend *backend,
	const struct config *config, const struct host_offer *host, struct owners *owners,
	struct capacity *capacity)
{
	*registry = (struct registry){
		.backend = backend,
		.config = config,
		.host = host,
		.owners = owners,
		.capacity = capacity,
		.last_id = first_id(),
	};
	registry->first_id = registry->last_id;
	tenants_init(&registry->tenants, config, capacity);
	TAILQ_INIT(&registry->noted);
	TAILQ_INIT(&registry->awaiting);
	recounts_init(&registry->recounts);
	TAILQ_INIT(&registry->closed_changed);
}

uint64_t registry_next_id(struct registry *registry)
{
	return ++registry->last_id;
}

struct vm *registry_vm_by_number(struct registry *registry, uint64_t number)
{
	struct vm key = {.number = number};

	return RB_FIND(vm_tree, &registry->vms, &key);
}

struct vm *registry_vm_from(struct registry *registry, uint64_t number)
{
	struct vm key = {.number = number};

	return RB_NFIND(vm_tree, &registry->vms, &key);
}

static uint64_t number_behind(const struct vm *after)
{
	return after ? after->number + 1 : 0;
}

struct vm *registry_vm_named(
	struct registry *registry, uid_t uid, const char *name, const struct vm *after)
{
	struct vm key = {
		.number = number_behind(after), .process = {.uid = uid}, .name = (char *)name};
	struct vm *vm = RB_NFIND(vm_name_tree, &registry->vms_by_name, &key);

	return vm && vm->process.uid == uid && strcmp(vm->name, name) == 0 ? vm : NULL;
}

struct vm *registry_vm_of_uuid(
	struct registry *registry, uid_t uid, const char *uuid, const struct vm *after)
{
	struct vm key = {.number = number_behind(after), .process = {.uid = uid}};
	struct vm *vm;

	snprintf(key.uuid, sizeof key.uuid, "%s", uuid);
	vm = RB_NFIND(vm_uuid_tree, &registry->vms_by_uuid, &key);
	return vm && vm->process.uid == uid && strcasecmp(vm->uuid, uuid) == 0 ? vm : NULL;
}

struct vm *registry_vm_by_id(struct registry *registry, const char *id)
{
	static const char prefix[] = "vm-";
	struct vm *vm;

	if (strncmp(id, prefix, strlen(prefix)) != 0)
		return NULL;
	vm = registry_vm_by_number(registry, strtoull(id + strlen(prefix), NULL, 10));
	return vm && strcmp(vm->id, id) == 0 ? vm : NULL;
}

struct vm *registry_vm_of_any_process(struct registry *registry, const struct process *process)
{
	struct vm key = {.process = {.identity = process->identity}};

	return RB_FIND(vm_process_tree, &registry->vms_by_process, &key);
}

struct vm *registry_vm_of_process(struct registry *registry, const struct process *process)
{
	struct vm *vm = registry_vm_of_any_process(registry, process);

	/* A connection of one that has ended is another's, who has inherited it. */
	return vm && !process_ended(process->pidfd) ? vm : NULL;
}

bool registry_has_process(struct registry *registry, const struct process *process)
{
	return registry_vm_of_any_process(registry, process) != NULL;
}

void registry_add(struct vm *vm)
{
	struct registry *registry = vm->registry;

	snprintf(vm->id, sizeof vm->id, "vm-%" PRIu64, vm->number);
	registry->n_made++;
	LIST_INSERT_HEAD(&vm->tenant->vms, vm, of_tenant);
	vm->tenant->n_vms++;
	RB_INSERT(vm_tree, &registry->vms, vm);
	RB_INSERT(vm_name_tree, &registry->vms_by_name, vm);
	RB_INSERT(vm_uuid_tree, &registry->vms_by_uuid, vm);
	if (vm->state != VM_REMAINING)
		RB_INSERT(vm_process_tree, &registry->vms_by_process, vm);
}

void registry_list_creation(struct vm *vm)
{
	if (!vm->creation.listed)
		LIST_INSERT_HEAD(&vm->registry->creating, vm, creation.link);
	vm->creation.listed = true;
}

void registry_unlist_creation(struct vm *vm)
{
	if (vm->creation.listed)
		LIST_REMOVE(vm, creation.link);
	vm->creation.listed = false;
}

void registry_remove(struct vm *vm)
{
	struct registry *registry = vm->registry;

	if (registry_vm_by_number(registry, vm->number) != vm)
		return;
	if (vm->awaits_reports)
		TAILQ_REMOVE(&registry->awaiting, vm, awaiting);
	vm->awaits_reports = false;
	registry_unlist_creation(vm);
	LIST_REMOVE(vm, of_tenant);
	vm->tenant->n_vms--;
	RB_REMOVE(vm_tree, &registry->vms, vm);
	RB_REMOVE(vm_name_tree, &registry->vms_by_name, vm);
	RB_REMOVE(vm_uuid_tree, &registry->vms_by_uuid, vm);
	if (vm->state != VM_REMAINING)
		RB_REMOVE(vm_process_tree, &registry->vms_by_process, vm);
}

/* Generations begin anew after two years, so that calls' ids stay positive, also those of gmemds
 * that take over afterwards. */
#define GENERATIONS_PER_SECOND 32
#define GENERATIONS_END        ((1u << 31) - (1u << 20))

uint32_t registry_late_generation(const struct registry *registry)
{
	uint64_t time = registry->first_id / (IDS_PER_SECOND / GENERATIONS_PER_SECOND);

	return (uint32_t)(time % GENERATIONS_END) + 1;
}

static void change_tenant(struct vm *vm, struct tenant *to)
{
	LIST_REMOVE(vm, of_tenant);
	vm->tenant->n_vms--;
	tenant_ref(to);
	tenant_unref(vm->tenant);
	vm->tenant = to;
	LIST_INSERT_HEAD(&to->vms, vm, of_tenant);
	to->n_vms++;
}

/* As owners name it. */
static const char *name_of_tenant(const struct vm *vm, const struct tenant *tenant)
{
	char own[TENANT_NAME_SIZE];

	tenant_name_of_user(vm->process.uid, own);
	return strcmp(tenant->name, own) == 0 ? "" : tenant->name;
}

/* Of what it is promised of a node that is the tenant's, too. */
static void move_on_nodes(struct vm *vm, struct tenant *to, struct budget *reserved_within)
{
	memories_move(vm, to);
	if (vm->reserved && vm->reserved->of_node.within)
		budget_move_anyway(&vm->reserved->of_node, reserved_within);
}

/* All that can fail for want of memory: *ret_reserved_within is for move_on_nodes(). */
static int prepare_nodes(struct vm *vm, struct tenant *to, struct budget **ret_reserved_within)
{
	int r = memories_prepare_move(vm, to);

	*ret_reserved_within = NULL;
	if (r == 0 && vm->reserved && vm->reserved->of_node.within)
		r = tenant_of_node(to, (unsigned)vm->reserved->node, ret_reserved_within);
	return r;
}

/* Nodes first: that can be undone whatever the limits. */
static const struct budget *move_budgets(
	struct vm *vm, struct tenant *to, struct budget *reserved_within, uint64_t commit_limit)
{
	struct budget *reserved_before = vm->reserved ? vm->reserved->of_node.within : NULL;
	const struct budget *refused;

	capacity_note_nodes(vm->registry->capacity);
	move_on_nodes(vm, to, reserved_within);
	refused = capacity_passed_node(vm->registry->capacity);
	if (!refused)
		refused = budget_move(&vm->budget, &to->budget, commit_limit);
	if (refused)
		move_on_nodes(vm, vm->tenant, reserved_before);
	return refused;
}

static int move(
	struct vm *vm, struct tenant *to, uint64_t commit_limit, struct vm_move_refused *ret)
{
	struct budget *reserved_within;
	int r = prepare_nodes(vm, to, &reserved_within);

	if (r == 0)
		ret->budget = move_budgets(vm, to, reserved_within, commit_limit);
	return r == 0 && ret->budget ? -EDQUOT : r;
}

int vm_move(struct vm *vm, struct tenant *to, uint64_t commit_limit, struct vm_move_refused *ret)
{
	struct owner *place;
	int r;

	*ret = (struct vm_move_refused){.budget = NULL};
	if (owner_get_place(vm->owner, name_of_tenant(vm, to), &place) < 0)
		return -ENOMEM;
	ret->limit = owner_move_refused(vm->owner, place);
	r = ret->limit == LIMITS ? move(vm, to, commit_limit, ret) : -EDQUOT;
	if (r < 0) {
		owner_unref(place);
		return r;
	}
	page_worker_move_owner(vm->registry->pages, vm->owner, place);
	change_tenant(vm, to);
	if (mailbox_label_note_tenant(vm) < 0)
		log_vm_warning(vm->id, "there is no memory to note its tenant in its mailbox");
	return 0;
}

void vm_set_aside(struct vm *vm)
{
	memories_set_aside(vm, true);
	if (vm->reserved)
		budget_move_anyway(&vm->reserved->of_node, NULL);
	budget_move_anyway(&vm->budget, NULL);
}

/* Its tenant has had the node's budget before. */
void vm_put_back(struct vm *vm)
{
	struct budget *of_node = NULL;

	if (vm_reserved_node(vm) != NODE_ANY)
		tenant_of_node(vm->tenant, (unsigned)vm->reserved->node, &of_node);
	budget_move_anyway(&vm->budget, &vm->tenant->budget);
	if (vm->reserved)
		budget_move_anyway(&vm->reserved->of_node, of_node);
	memories_set_aside(vm, false);
}

uint64_t vm_limit(const struct vm *vm, enum limit limit)
{
	return limit_value_for(vm->registry->config, vm->tenant->config, limit);
}

const struct vm_type_offer *vm_offer(const struct vm *vm)
{
	return &vm->registry->host->vm_types[vm->type];
}

bool vm_has_private_memory(const struct vm *vm)
{
	return vm_offer(vm)->memory_attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}
