/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memories. See memory.h.
 */
#include "daemon/vm/memory.h"
#include "daemon/pages/page_closer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/kill_step.h"
#include "daemon/budget/capacity.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/owner/limit.h"
#include "daemon/vm/commitment.h"
#include "daemon/vm/vm_ledger.h"
#include "kernel/base/cleanup.h"
#include "kernel/model/model.h"

static int memory_compare_id(struct memory *a, struct memory *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

static int memory_compare_file(struct memory *a, struct memory *b)
{
	return file_identity_compare(&a->file, &b->file);
}

RB_GENERATE(memory_tree, memory, in_vm, memory_compare_id)
RB_GENERATE_LOCAL(memory_id_tree, memory, by_id, memory_compare_id)
RB_GENERATE_LOCAL(memory_file_tree, memory, by_file, memory_compare_file)

static int memory_set_up(struct memory *memory, const char *name)
{
	struct vm *vm = memory->vm;
	int r;

	r = owner_charge(vm->owner, OWNER_MEMORIES);
	if (r < 0)
		return r;
	memory->is_charged = true;
	if (name) {
		memory->name = strdup(name);
		if (!memory->name)
			return -ENOMEM;
	}
	return 0;
}

static void give_back_count(struct memory *memory)
{
	if (memory->is_charged)
		owner_give_back(memory->vm->owner, OWNER_MEMORIES);
	memory->is_charged = false;
}

static void memory_unset(struct memory *memory)
{
	give_back_count(memory);
	model_memory_unref(memory->model);
	free(memory->name);
	free(memory);
}

/* The VM's budget is within the host's, which so is charged once; or within that of its node, which
 * is so as well. */
static const struct budget *memory_charge(struct memory *memory, uint64_t *ret_bytes)
{
	const struct budget *refused =
		commitment_grow(memory->vm, memory->backing, memory->size, ret_bytes);

	if (refused || !memory->node_budget)
		return refused;
	refused = budget_charge(memory->node_budget, memory->size);
	if (refused) {
		commitment_shrink(memory->vm, memory->backing, memory->size);
		*ret_bytes = memory->size;
	}
	return refused;
}

static void memory_give_back(struct memory *memory)
{
	commitment_shrink(memory->vm, memory->backing, memory->size);
	if (memory->node_budget)
		budget_give_back(memory->node_budget, memory->size);
}

/* Of what was reserved for the VM there, as long as that has room for it. */
static int find_node_budget(struct memory *memory)
{
	struct vm *vm = memory->vm;
	struct budget *reserved = vm->reserved ? &vm->reserved->of_node : NULL;

	if (memory->node == NODE_ANY ||
		(memory->backing == BACKING_MEMFD && vm_has_private_memory(vm)))
		return 0;
	if (!reserved || memory->node != vm->reserved->node || !reserved->is_promised ||
		budget_refuses(reserved, memory->size))
		return tenant_of_node(vm->tenant, (unsigned)memory->node, &memory->node_budget);
	memory->node_budget = reserved;
	return 0;
}

static bool is_of_tenants_node(const struct memory *memory)
{
	const struct vm_reserved *reserved = memory->vm->reserved;

	return memory->node_budget && (!reserved || memory->node_budget != &reserved->of_node);
}

int memories_prepare_move(struct vm *vm, struct tenant *to)
{
	struct budget *budget;
	struct memory *memory;
	int r = 0;

	RB_FOREACH (memory, memory_tree, &vm->memories) {
		if (r == 0 && is_of_tenants_node(memory))
			r = tenant_of_node(to, (unsigned)memory->node, &budget);
	}
	RB_FOREACH (memory, memory_tree, &vm->closed) {
		if (r == 0 && is_of_tenants_node(memory))
			r = tenant_of_node(to, (unsigned)memory->node, &budget);
	}
	return r;
}

static void move(struct memory *memory, struct tenant *to, uint64_t bytes)
{
	if (!is_of_tenants_node(memory))
		return;
	budget_give_back(memory->node_budget, bytes);
	tenant_of_node(to, (unsigned)memory->node, &memory->node_budget);
	budget_charge_anyway(memory->node_budget, bytes);
}

void memories_set_aside(struct vm *vm, bool aside)
{
	struct memory *memory;

	RB_FOREACH (memory, memory_tree, &vm->memories) {
		if (!is_of_tenants_node(memory))
			continue;
		if (aside)
			budget_give_back(memory->node_budget, memory->size);
		else
			budget_charge_anyway(memory->node_budget, memory->size);
	}
}

void memories_move(struct vm *vm, struct tenant *to)
{
	struct memory *memory;

	RB_FOREACH (memory, memory_tree, &vm->memories)
		move(memory, to, memory->size);
	RB_FOREACH (memory, memory_tree, &vm->closed)
		move(memory, to, memory->resident);
}

static void memory_enlist(struct memory *memory)
{
	struct vm *vm = memory->vm;

	RB_INSERT(memory_tree, &vm->memories, memory);
	RB_INSERT(memory_id_tree, &vm->registry->memories, memory);
	vm->n_memories++;
}

static enum memory_flags known_flags(const struct memory_request *request)
{
	return (enum memory_flags)request->flags & (MEMORY_MMAP | MEMORY_INIT_SHARED);
}

int memory_new(struct vm *vm, const struct memory_request *request, struct memory **ret,
	const struct budget **ret_refused, uint64_t *ret_bytes)
{
	const struct budget *refused;
	struct memory *memory;
	int r;

	if (vm->n_memories >= vm_limit(vm, LIMIT_MEMORIES_PER_VM))
		return -E2BIG;
	memory = calloc(1, sizeof *memory);
	if (!memory)
		return -ENOMEM;
	memory->vm = vm;
	memory->fd = -1;
	memory->size = request->size;
	memory->backing = request->backing;
	memory->flags = known_flags(request);
	memory->node = (int16_t)request->node;
	memory->page_size = request->page_size;
	memory->id = request->id ? request->id : registry_next_id(vm->registry);
	r = memory_set_up(memory, request->name);
	if (r == 0)
		r = find_node_budget(memory);
	refused = r == 0 ? memory_charge(memory, ret_bytes) : NULL;
	if (r < 0 || refused) {
		memory_unset(memory);
		*ret_refused = refused;
		return r < 0 ? r : -ENOSPC;
	}
	memory_enlist(memory);
	vm_ledger_note_memory(memory);
	*ret = memory;
	return 0;
}

static void memfd_name(const struct memory *memory, char ret[static 64])
{
	snprintf(ret, 64, "gmemd-memory-%" PRIu64, memory->id);
}

static bool is_right_memfd(const struct memory *memory, int fd)
{
	char name[64];

	memfd_name(memory, name);
	return memory_file_is_own_memfd(fd, name) && memory_file_huge(fd) == memory->page_size;
}

/* Whether the file, which the keeper has held or gmemd-taker has looked at, is one that this memory
 * can have, which knows it then. -ENOMEM where that can't be found out. */
static int check_file(struct memory *memory, int fd)
{
	struct file_look look;
	bool is;

	if (file_look_at(fd, &look) < 0)
		return -EINVAL;
	errno = 0;
	is = memory->backing == BACKING_MEMFD
		     ? is_right_memfd(memory, fd)
		     : memory->page_size == 0 && memory_file_is_kept_guest_memfd(fd, &look);
	if (!is && errno == ENOMEM)
		return -ENOMEM;
	if (!is || look.size != memory->size)
		return -EINVAL;
	memory->file = look.identity;
	return 0;
}

/* Which file it is, is known. */
static int memory_take_file(struct memory *memory, int consume_fd)
{
	struct registry *registry = memory->vm->registry;

	if (RB_FIND(memory_file_tree, &registry->memory_files, memory))
		return -EEXIST;
	memory->pages = page_file_new(
		registry->pages, memory->vm->owner, consume_fd, memory->size, memory->page_size);
	if (!memory->pages)
		return -ENOMEM;
	RB_INSERT(memory_file_tree, &registry->memory_files, memory);
	memory->fd = consume_fd;
	memory->state = OBJECT_READY;
	if (memory->page_size == 0) /* huge pages know no policy of their file's */
		node_bind_file(memory->fd, memory->size, memory->node);
	vm_ledger_note_memory(memory);
	return 0;
}

/* One that the keeper doesn't hold yet. */
static int memory_take_new_file(struct memory *memory, int consume_fd)
{
	int r = file_identity_of(consume_fd, &memory->file);

	if (r == 0)
		r = memory_take_file(memory, consume_fd);
	STEP("memory: file taken");
	if (r == 0)
		fdstore_put_one(memory->vm->registry->fdstore, FDSTORE_MEMORY, memory->vm->number,
			memory->id, memory->fd);
	STEP("memory: put");
	return r;
}

static struct memory *allocate_recovered(struct vm *vm, const struct memory_request *request)
{
	struct memory *memory = calloc(1, sizeof *memory);

	if (!memory)
		return NULL;
	*memory = (struct memory){.vm = vm,
		.id = request->id,
		.size = request->size,
		.backing = request->backing,
		.flags = known_flags(request),
		.node = (int16_t)request->node,
		.page_size = request->page_size,
		.fd = -1};
	if (find_node_budget(memory) == 0)
		return memory;
	free(memory);
	return NULL;
}

int memory_recover(
	struct vm *vm, const struct memory_request *request, int consume_fd, struct memory **ret)
{
	struct memory *memory = allocate_recovered(vm, request);
	uint64_t none;
	int r;

	if (!memory)
		return -ENOMEM;
	r = consume_fd >= 0 ? check_file(memory, consume_fd) : 0;
	if (r == 0)
		r = memory_set_up(memory, /* name= */ NULL);
	if (r == 0 && memory_charge(memory, &none))
		r = -ENOSPC;
	if (r < 0) {
		memory_unset(memory);
		return r;
	}
	memory_enlist(memory);
	if (consume_fd >= 0)
		r = memory_take_file(memory, consume_fd);
	if (r < 0)
		memory_free(memory);
	else
		*ret = memory;
	return r;
}

static void memory_enlist_closed(struct memory *memory)
{
	RB_INSERT(memory_tree, &memory->vm->closed, memory);
	RB_INSERT(memory_id_tree, &memory->vm->registry->closed_memories, memory);
}

int memory_recover_closed(
	struct vm *vm, const struct memory_request *request, int consume_fd, struct memory **ret)
{
	struct memory *memory = allocate_recovered(vm, request);
	int r;

	if (!memory)
		return -ENOMEM;
	r = check_file(memory, consume_fd);
	if (r == 0)
		r = memory_take_file(memory, consume_fd);
	if (r < 0) {
		memory_unset(memory);
		return r;
	}
	page_file_set_released(memory->pages);
	memory_enlist_closed(memory);
	*ret = memory;
	return 0;
}

static void memory_leave(struct memory *memory)
{
	struct vm *vm = memory->vm;

	assert(memory->n_slots == 0);
	RB_REMOVE(memory_tree, &vm->memories, memory);
	RB_REMOVE(memory_id_tree, &vm->registry->memories, memory);
	vm->n_memories--;
	memory_give_back(memory);
}

/* holdings: who has opened it is of no interest any more, too. */
static void end_grants(struct memory *memory, bool holdings)
{
	struct vm *vm = memory->vm;
	struct grant *grant, *next;

	TAILQ_FOREACH_SAFE (grant, &vm->grants.all, link, next) {
		if (grant->memory != memory->id || (grant->kind == GRANT_HOLDING && !holdings))
			continue;
		vm_ledger_forget_grant(vm, grant);
		grants_remove(&vm->grants, grant);
	}
}

void memory_to_closed(struct memory *memory)
{
	end_grants(memory, /* holdings= */ false);
	memory_leave(memory);
	give_back_count(memory);
	memory->model = model_memory_unref(memory->model);
	memory_enlist_closed(memory);
}

/* Until its file is closed it counts as a memory again. */
static void memory_leave_closed(struct memory *memory)
{
	struct vm *vm = memory->vm;

	RB_REMOVE(memory_tree, &vm->closed, memory);
	RB_REMOVE(memory_id_tree, &vm->registry->closed_memories, memory);
	owner_charge_anyway(vm->owner, OWNER_MEMORIES);
	memory->is_charged = true;
}

/* Its charge goes with it. */
static void memory_drop_file(struct memory *memory)
{
	struct vm *vm = memory->vm;

	RB_REMOVE(memory_file_tree, &vm->registry->memory_files, memory);
	page_file_take_charge(memory->pages);
	memory->is_charged = false;
	fdstore_release(vm->registry->fdstore, FDSTORE_MEMORY, vm->number, memory->id, memory->fd,
		page_file_closer(memory->pages));
}

struct memory *memory_free(struct memory *memory)
{
	if (!memory)
		return NULL;
	end_grants(memory, /* holdings= */ true);
	vm_ledger_forget_memory(memory);
	if (memory->state == OBJECT_CLOSED)
		memory_leave_closed(memory);
	else
		memory_leave(memory);
	if (memory->pages)
		memory_drop_file(memory);
	STEP("memory: dropped");
	memory_unset(memory);
	return NULL;
}

int memory_adopt(struct memory *memory, int consume_fd)
{
	int r = check_file(memory, consume_fd);

	return r < 0 ? r : memory_take_new_file(memory, consume_fd);
}

int memory_take_model(struct memory *memory, struct model_memory *consume_model, int consume_fd)
{
	int r = memory_take_new_file(memory, consume_fd);

	if (r == 0)
		memory->model = consume_model;
	return r;
}

int memory_make_memfd(struct memory *memory)
{
	cleanup_fd int fd = -1;
	char name[64];
	int r;

	memfd_name(memory, name);
	r = memory->page_size > 0
		    ? memory_file_create_huge(name, memory->size, memory->page_size, &fd)
		    : memory_file_create_memfd(name, memory->size, &fd);
	if (r == 0)
		r = memory_take_new_file(memory, fd);
	if (r == 0)
		fd = -1; /* consumed */
	return r;
}

uint64_t memory_page_size(const struct memory *memory)
{
	return memory->page_size > 0 ? memory->page_size : (uint64_t)sysconf(_SC_PAGESIZE);
}

struct memory *registry_memory(struct registry *registry, uint64_t id)
{
	struct memory key = {.id = id};

	return RB_FIND(memory_id_tree, &registry->memories, &key);
}

struct memory *registry_closed_memory(struct registry *registry, uint64_t id)
{
	struct memory key = {.id = id};

	return RB_FIND(memory_id_tree, &registry->closed_memories, &key);
}

bool registry_has_had_id(const struct registry *registry, uint64_t id)
{
	struct registry *searched = (struct registry *)registry;

	return id > 0 && id <= registry->first_id && !registry_vm_by_number(searched, id) &&
	       !registry_memory(searched, id) && !registry_closed_memory(searched, id);
}

struct memory *vm_memory_by_name(struct vm *vm, const char *name)
{
	struct memory *memory;

	RB_FOREACH (memory, memory_tree, &vm->memories) {
		if (memory->name && strcmp(memory->name, name) == 0)
			return memory;
	}
	return NULL;
}

struct memory *vm_memory_from(struct vm *vm, uint64_t id)
{
	struct memory key = {.id = id};

	return RB_NFIND(memory_tree, &vm->memories, &key);
}

struct memory *vm_closed_memory_from(struct vm *vm, uint64_t id)
{
	struct memory key = {.id = id};

	return RB_NFIND(memory_tree, &vm->closed, &key);
}

static uint64_t sum_resident(const struct vm *vm, bool huge)
{
	uint64_t resident = 0;
	struct memory *memory;

	RB_FOREACH (memory, memory_tree, (struct memory_tree *)&vm->memories)
		resident += memory->page_size == 0 || huge ? memory->resident : 0;
	return resident;
}

uint64_t vm_resident(const struct vm *vm)
{
	return sum_resident(vm, /* huge= */ true);
}

uint64_t vm_resident_ordinary(const struct vm *vm)
{
	return sum_resident(vm, /* huge= */ false);
}
