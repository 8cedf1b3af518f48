/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closed memories. See closed_memory.h.
 */
#include "daemon/vm/closed_memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/vm/vm_ledger.h"

/* Of gmemd's files, those that are kept of one user's at most. */
#define FILES_SHARE 8

/* What there is of one user's. */
struct closed_of_user {
	RB_ENTRY(closed_of_user) link;
	uid_t uid;
	struct closed_counts counts;
	struct closed_list empty; /* the one that has been so for longest is the first */
};

static int compare_users(struct closed_of_user *a, struct closed_of_user *b)
{
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

RB_GENERATE_LOCAL(closed_user_tree, closed_of_user, link, compare_users)

uint64_t closed_memory_clock(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * RECOUNT_SECOND + (uint64_t)time.tv_nsec / 1000;
}

/* Users */

static struct closed_of_user *closed_user_of(const struct vm *vm)
{
	struct closed_of_user key = {.uid = vm->process.uid};

	return RB_FIND(closed_user_tree, &vm->registry->closed_users, &key);
}

/* NULL without memory. */
static struct closed_of_user *get_closed_user(const struct vm *vm)
{
	struct closed_of_user *user = closed_user_of(vm);

	if (user)
		return user;
	user = calloc(1, sizeof *user);
	if (!user)
		return NULL;
	user->uid = vm->process.uid;
	TAILQ_INIT(&user->empty);
	RB_INSERT(closed_user_tree, &vm->registry->closed_users, user);
	return user;
}

static void put_closed_user(struct registry *registry, struct closed_of_user *user)
{
	if (user->counts.all > 0)
		return;
	RB_REMOVE(closed_user_tree, &registry->closed_users, user);
	free(user);
}

/* Which are empty, and which are not */

static void list_as_counted(struct memory *memory, struct closed_of_user *user)
{
	struct vm *vm = memory->vm;

	if (memory->resident > 0) {
		vm->closed_counts.filled++;
		user->counts.filled++;
		return;
	}
	TAILQ_INSERT_TAIL(&vm->closed_empty, memory->closed, in_vm_empty);
	TAILQ_INSERT_TAIL(&user->empty, memory->closed, in_user_empty);
}

static void unlist_as_counted(struct memory *memory, struct closed_of_user *user)
{
	struct vm *vm = memory->vm;

	if (memory->resident > 0) {
		vm->closed_counts.filled--;
		user->counts.filled--;
		return;
	}
	TAILQ_REMOVE(&vm->closed_empty, memory->closed, in_vm_empty);
	TAILQ_REMOVE(&user->empty, memory->closed, in_user_empty);
}

/* Charges */

static void charge_closed(struct memory *memory, uint64_t bytes)
{
	memory->vm->closed_resident += bytes;
	budget_charge_anyway(&memory->vm->budget, bytes);
	if (memory->node_budget)
		budget_charge_anyway(memory->node_budget, bytes);
}

static void give_back_closed(struct memory *memory, uint64_t bytes)
{
	memory->vm->closed_resident -= bytes;
	budget_give_back(&memory->vm->budget, bytes);
	if (memory->node_budget)
		budget_give_back(memory->node_budget, bytes);
}

static void set_closed_changed(struct closed *closed, bool changed)
{
	struct closed_list *list = &closed->memory->vm->registry->closed_changed;

	if (changed && !closed->is_changed)
		TAILQ_INSERT_TAIL(list, closed, in_changed);
	if (!changed && closed->is_changed)
		TAILQ_REMOVE(list, closed, in_changed);
	closed->is_changed = changed;
}

static void note_if_changed(struct closed *closed)
{
	set_closed_changed(closed, (closed->memory->resident > 0) != closed->told_filled);
}

struct memory *closed_memory_take_changed(struct registry *registry)
{
	struct closed *closed = TAILQ_FIRST(&registry->closed_changed);

	if (!closed)
		return NULL;
	set_closed_changed(closed, false);
	closed->told_filled = closed->memory->resident > 0;
	return closed->memory;
}

/* Its place among the empty ones is by how long it has been one. */
static void set_closed_resident(struct memory *memory, uint64_t resident)
{
	bool moves = (resident > 0) != (memory->resident > 0);
	struct closed_of_user *user = moves ? closed_user_of(memory->vm) : NULL;

	if (moves)
		unlist_as_counted(memory, user);
	if (resident > memory->resident)
		charge_closed(memory, resident - memory->resident);
	else
		give_back_closed(memory, memory->resident - resident);
	memory->resident = resident;
	if (moves)
		list_as_counted(memory, user);
	note_if_changed(memory->closed);
	vm_ledger_note_memory(memory);
	vm_ledger_commit(memory->vm);
}

bool closed_memory_count(struct memory *memory, uint64_t resident, bool given_back)
{
	if (resident != memory->resident)
		set_closed_resident(memory, resident);
	return recounts_note(
		&memory->closed->recount, resident > 0, given_back, closed_memory_clock());
}

/* Beginning and end */

static void enlist_closed(
	struct memory *memory, struct closed *take_closed, struct closed_of_user *user)
{
	struct vm *vm = memory->vm;
	uint64_t resident = memory->resident;

	take_closed->memory = memory;
	memory->closed = take_closed;
	memory->state = OBJECT_CLOSED;
	vm_ledger_note_memory(memory);
	vm->closed_counts.all++;
	vm->closed_size += memory->size;
	user->counts.all++;
	charge_closed(memory, resident);
	list_as_counted(memory, user);
	recounts_add(&vm->registry->recounts, &take_closed->recount, resident > 0,
		closed_memory_clock());
	note_if_changed(memory->closed);
}

struct memory *closed_memory_free(struct memory *memory)
{
	struct vm *vm = memory->vm;
	struct closed_of_user *user = closed_user_of(vm);

	recounts_remove(&vm->registry->recounts, &memory->closed->recount);
	set_closed_changed(memory->closed, false);
	unlist_as_counted(memory, user);
	give_back_closed(memory, memory->resident);
	vm->closed_counts.all--;
	vm->closed_size -= memory->size;
	user->counts.all--;
	put_closed_user(vm->registry, user);
	free(memory->closed);
	memory->closed = NULL;
	return memory_free(memory);
}

static uint64_t limit_of_vm(const struct vm *vm)
{
	return limit_value(vm->registry->config, LIMIT_CLOSED_MEMORIES_PER_VM);
}

/* A gmemd that may have few files keeps few. */
static uint64_t limit_of_user(const struct vm *vm)
{
	uint64_t limit = limit_value(vm->registry->config, LIMIT_CLOSED_MEMORIES_PER_USER);
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / FILES_SHARE < limit)
		limit = files.rlim_cur / FILES_SHARE;
	return limit;
}

static bool may_keep_closed(const struct vm *vm)
{
	return limit_of_vm(vm) > 0 && limit_of_user(vm) > 0;
}

/* A file of huge pages keeps those reserved that were never touched, as long as anybody has it. */
static bool is_to_be_kept(const struct memory *memory)
{
	return memory->pages && memory->page_size == 0 && may_keep_closed(memory->vm);
}

bool closed_memory_keep(struct memory *memory)
{
	struct vm *vm = memory->vm;
	struct closed_of_user *user = is_to_be_kept(memory) ? get_closed_user(vm) : NULL;
	struct closed *closed = user ? calloc(1, sizeof *closed) : NULL;

	if (closed) {
		memory_to_closed(memory);
		enlist_closed(memory, closed, user);
	} else if (user) {
		put_closed_user(vm->registry, user);
	}
	return closed;
}

static struct memory *first_of(const struct closed_list *list)
{
	const struct closed *closed = TAILQ_FIRST(list);

	return closed ? closed->memory : NULL;
}

/* The last of its user's may go, and then there is none. */
struct memory *closed_memory_too_many(const struct vm *vm)
{
	const struct closed_of_user *user = closed_user_of(vm);

	if (vm->closed_counts.all > limit_of_vm(vm) && !TAILQ_EMPTY(&vm->closed_empty))
		return first_of(&vm->closed_empty);
	return user && user->counts.all > limit_of_user(vm) ? first_of(&user->empty) : NULL;
}

int closed_memory_recover(struct vm *vm, const struct memory_request *request, uint64_t resident,
	int consume_fd, struct memory **ret)
{
	struct closed_of_user *user = get_closed_user(vm);
	struct closed *closed = user ? calloc(1, sizeof *closed) : NULL;
	int r;

	if (!user)
		return -ENOMEM;
	r = closed ? memory_recover_closed(vm, request, consume_fd, ret) : -ENOMEM;
	if (r == 0) {
		(*ret)->resident = resident < request->size ? resident : request->size;
		closed->told_filled = resident > 0;
		enlist_closed(*ret, closed, user);
	} else {
		free(closed);
	}
	put_closed_user(vm->registry, user);
	return r;
}

/* Looking */

enum limit closed_memories_limit(const struct vm *vm)
{
	const struct closed_of_user *user = closed_user_of(vm);
	uint64_t of_vm = limit_of_vm(vm), of_user;

	if (!user || of_vm == 0)
		return LIMITS;
	of_user = limit_of_user(vm);
	if (of_user == 0)
		return LIMITS;
	if (vm->closed_counts.filled >= of_vm)
		return LIMIT_CLOSED_MEMORIES_PER_VM;
	return user->counts.filled >= of_user ? LIMIT_CLOSED_MEMORIES_PER_USER : LIMITS;
}

struct memory *vm_filled_memory_from(struct vm *vm, uint64_t id)
{
	struct memory *memory = vm_closed_memory_from(vm, id);

	while (memory && memory->resident == 0)
		memory = RB_NEXT(memory_tree, _, memory);
	return memory;
}
