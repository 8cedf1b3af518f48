/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry: the set of all VMs, by id and by process, and what they share.
 *
 * VMs are numbered together with memories. Nothing here makes a VM, or ends one: see vm_new.h and
 * vm_end.h.
 */
#pragma once

#include "daemon/tenant/tenant.h"
#include "daemon/vm/recount_policy.h"
#include "daemon/vm/vm.h"

struct backend;
struct capacity;
struct fdstore;
struct page_worker;
struct reservations;
struct takings;
struct views_look;

RB_HEAD(vm_tree, vm);
RB_HEAD(vm_process_tree, vm);
RB_HEAD(vm_name_tree, vm);
RB_HEAD(vm_uuid_tree, vm);
RB_HEAD(memory_id_tree, memory);
RB_HEAD(memory_file_tree, memory);

struct registry {
	const struct backend *backend;
	const struct config *config;
	const struct host_offer *host;
	struct owners *owners;
	struct page_worker *pages; /* NULL: files are closed as they are */
	struct takings *takings;   /* NULL: nobody looks at what slots show */
	struct fdstore *fdstore;   /* NULL: nothing outlives gmemd */
	struct noted_list noted;   /* VMs whose ledgers are to be committed */
	/* VMs with calls that may be reported by their report page. */
	struct awaiting_list awaiting;
	bool forgetting;           /* its VMs, which go on running on what they have */
	struct capacity *capacity; /* the host's */
	struct tenants tenants;
	struct reservations *reservations; /* NULL: there can be none */
	uint64_t last_id;                  /* of VMs and memories */
	uint64_t first_id;                 /* up to here they were an earlier gmemd's */
	struct vm_tree vms;
	uint64_t n_made;      /* that were ever there */
	uint64_t resumptions; /* of VMs, so far */
	struct vm_process_tree vms_by_process;
	struct vm_name_tree vms_by_name; /* of a user each */
	struct vm_uuid_tree vms_by_uuid;
	struct memory_id_tree memories, closed_memories;
	struct memory_file_tree memory_files; /* of both */
	struct closed_user_tree closed_users;
	struct closed_list closed_changed; /* that are to be told of */
	struct recounts recounts;
	LIST_HEAD(, vm) creating;      /* VMs of whose KVM_CREATE_VM KVM may tell */
	LIST_HEAD(, vm) lingering;     /* VMs that linger */
	LIST_HEAD(, views_look) looks; /* at what slots show */
};

RB_PROTOTYPE(vm_tree, vm, by_id, )
RB_PROTOTYPE(vm_process_tree, vm, by_process, )

/* All must outlive it. It has nothing of its own but VMs, which vms_free() ends, and tenants. */
void registry_init(struct registry *registry, const struct backend *backend,
	const struct config *config, const struct host_offer *host, struct owners *owners,
	struct capacity *capacity);
/* An id that no VM or memory had since the host booted. */
uint64_t registry_next_id(struct registry *registry);
/* A generation for a VM's calls that no gmemd has had which began before this one, unless gmemds
 * have followed one another faster than these count. */
uint32_t registry_late_generation(const struct registry *registry);

/* NULL where there is none. */
struct vm *registry_vm_by_id(struct registry *registry, const char *id);
struct vm *registry_vm_by_number(struct registry *registry, uint64_t number);
/* The first with a number of at least that. */
struct vm *registry_vm_from(struct registry *registry, uint64_t number);
/* The user's, one after another: several have the same where all but one are over. The first where
 * after is NULL; NULL: there are no more. */
struct vm *registry_vm_named(
	struct registry *registry, uid_t uid, const char *name, const struct vm *after);
/* The same, in whatever case the UUID is written. */
struct vm *registry_vm_of_uuid(
	struct registry *registry, uid_t uid, const char *uuid, const struct vm *after);
/* NULL where the process has ended, too. */
struct vm *registry_vm_of_process(struct registry *registry, const struct process *process);
/* The same of one that has ended, too. */
struct vm *registry_vm_of_any_process(struct registry *registry, const struct process *process);
/* Whether a VM is of that process, be it one that has ended. */
bool registry_has_process(struct registry *registry, const struct process *process);

/* The VM can be found from then on, and has its id; or can't be any more, if it could. */
void registry_add(struct vm *vm);
void registry_remove(struct vm *vm);
/* Whether it is among those in registry.creating. */
void registry_list_creation(struct vm *vm);
void registry_unlist_creation(struct vm *vm);

/* What the limit is of this VM. */
uint64_t vm_limit(const struct vm *vm, enum limit limit);
/* Why a VM can't be moved: where budget is NULL, limit says so. */
struct vm_move_refused {
	const struct budget *budget;
	enum limit limit;
};

/*
 * It is another tenant's from now on, with that commit limit: all that is charged to it, what gmemd
 * holds for its process, and whose turns its work takes. -EDQUOT, and what has no room for that;
 * -ENOMEM. Then nothing has changed.
 */
int vm_move(struct vm *vm, struct tenant *to, uint64_t commit_limit, struct vm_move_refused *ret);

/* What is charged to it is charged to no tenant, host or node, as if it were released, till it is
 * put back. */
void vm_set_aside(struct vm *vm);
void vm_put_back(struct vm *vm);

/* What a VM of its type offers. */
const struct vm_type_offer *vm_offer(const struct vm *vm);
/* Whether its guest frames can be private. */
bool vm_has_private_memory(const struct vm *vm);
