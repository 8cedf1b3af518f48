/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views. See slot_views.h.
 */
#include "daemon/vm/slot_views.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/base/log.h"
#include "daemon/peerfd/taker_client.h"
#include "daemon/vm/vm_ledger.h"

/* From one look that nobody waits for to the next, in milliseconds. */
#define PAUSE 5000

LIST_HEAD(waiters, views_waiter);

/* Of one VM: one taking after the other, each of as many slots as it can have. */
struct views_look {
	LIST_ENTRY(views_look) link;
	struct registry *registry;
	struct vm *vm; /* NULL: it is gone */
	struct taking *taking;
	bool again; /* another look was asked for amid this one */
	struct waiters waiters, waiters_for_next;
	/* The taking's. */
	size_t count;
	uint32_t numbers[TAKER_VIEWS_MAX];
	struct file_view views[TAKER_VIEWS_MAX];
};

/* CLOCK_MONOTONIC, milliseconds. */
static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

struct file_view slot_request_view(const struct slot_request *request)
{
	return (struct file_view){.address = request->userspace_addr,
		.length = request->memory_size,
		.offset = request->guest_memfd_offset,
		.file = request->shown->file};
}

static struct file_view view_of(const struct slot *slot)
{
	const struct slot_request request = {.userspace_addr = slot->userspace_addr,
		.memory_size = slot->memory_size,
		.guest_memfd_offset = slot->guest_memfd_offset,
		.shown = slot_shown(slot)};

	return slot_request_view(&request);
}

/* Whatever has been reported of it: the kernel may have it. */
static bool is_to_be_looked_at(const struct slot *slot)
{
	return slot->showing && !slot->astray;
}

static bool is_same_view(const struct file_view *a, const struct file_view *b)
{
	return a->address == b->address && a->length == b->length && a->offset == b->offset &&
	       file_identity_compare(&a->file, &b->file) == 0;
}

/* The next ones from that number on. */
static void fill_view(struct views_look *look, uint64_t from)
{
	struct slot *slot = vm_slot_from(look->vm, from);

	look->count = 0;
	for (; slot && look->count < TAKER_VIEWS_MAX; slot = vm_slot_after(slot)) {
		if (!is_to_be_looked_at(slot))
			continue;
		look->numbers[look->count] = slot->number;
		look->views[look->count++] = view_of(slot);
	}
}

static void note_astray(struct slot *slot)
{
	struct vm *vm = slot_vm(slot);

	if (!vm->said_astray)
		log_vm_warning(vm->id,
			"slot %u shows memory %" PRIu64 " no more: its %" PRIu64
			" bytes count as the VMM's own (further ones are not logged)",
			slot->number, slot->named->id, slot->memory_size);
	vm->said_astray = true;
	slot_go_astray(slot);
}

/* A slot may be another by now. */
static void note_shown(const struct views_look *look, uint64_t shown)
{
	for (size_t i = 0; i < look->count; i++) {
		struct slot *slot = vm_slot(look->vm, look->numbers[i]);
		struct file_view view;

		if (shown >> i & 1 || !slot || !is_to_be_looked_at(slot))
			continue;
		view = view_of(slot);
		if (is_same_view(&view, &look->views[i]))
			note_astray(slot);
	}
	vm_ledgers_commit(look->registry);
}

/* Its beginning and end */

static void tell(struct waiters *waiters)
{
	struct views_waiter *waiter;

	while ((waiter = LIST_FIRST(waiters))) {
		LIST_REMOVE(waiter, link);
		waiter->done(waiter);
	}
}

static void move(struct waiters *from, struct waiters *to)
{
	struct views_waiter *waiter;

	while ((waiter = LIST_FIRST(from))) {
		LIST_REMOVE(waiter, link);
		LIST_INSERT_HEAD(to, waiter, link);
	}
}

/* Who is called may ask for another look at once. */
static void finish_look(struct views_look *look)
{
	if (look->vm)
		look->vm->look = NULL;
	LIST_REMOVE(look, link);
	tell(&look->waiters);
	tell(&look->waiters_for_next);
	free(look);
}

static void looked(void *context, struct taking_result *result);

/* False where there is nothing left, or nobody to look. */
static bool look_on(struct views_look *look, uint64_t from)
{
	struct taking_request request = {
		.owner = look->vm->owner, .process = &look->vm->process, .views = look->views};

	fill_view(look, from);
	request.n_views = look->count;
	return look->count > 0 &&
	       taking_start(look->registry->takings, &request, looked, look, &look->taking) == 0;
}

/* Those that waited for this one are told while the next is under way. */
static bool begin_again(struct views_look *look)
{
	struct waiters over = LIST_HEAD_INITIALIZER(over);

	if (!look->vm || !look->again || !look_on(look, 0))
		return false;
	look->again = false;
	move(&look->waiters, &over);
	move(&look->waiters_for_next, &look->waiters);
	tell(&over);
	return true;
}

static void looked(void *context, struct taking_result *result)
{
	struct views_look *look = context;
	uint64_t next = look->numbers[look->count - 1] + UINT64_C(1);

	look->taking = NULL;
	if (look->vm && result->result == 0) {
		note_shown(look, result->shown);
		if (look_on(look, next))
			return;
	}
	if (!begin_again(look))
		finish_look(look);
}

static bool begin_look(struct vm *vm)
{
	struct views_look *look = calloc(1, sizeof *look);

	if (!look)
		return false;
	look->registry = vm->registry;
	look->vm = vm;
	if (!look_on(look, 0)) {
		free(look);
		return false;
	}
	LIST_INSERT_HEAD(&vm->registry->looks, look, link);
	vm->look = look;
	vm->looked = now();
	return true;
}

static bool has_any(struct vm *vm)
{
	if (!vm->registry->takings || vm->n_showing == 0)
		return false;
	EACH_SLOT (slot, vm) {
		if (is_to_be_looked_at(slot))
			return true;
	}
	return false;
}

void views_look(struct vm *vm)
{
	if (!vm->look && (vm->looked == 0 || now() - vm->looked >= PAUSE) && has_any(vm))
		begin_look(vm);
}

bool views_await(struct vm *vm, struct views_waiter *waiter)
{
	if (vm->look) {
		vm->look->again = true;
		LIST_INSERT_HEAD(&vm->look->waiters_for_next, waiter, link);
		return true;
	}
	if (!has_any(vm) || !begin_look(vm))
		return false;
	LIST_INSERT_HEAD(&vm->look->waiters, waiter, link);
	return true;
}

void views_await_no_more(struct views_waiter *waiter)
{
	LIST_REMOVE(waiter, link);
}

void views_forget(struct vm *vm)
{
	if (vm->look)
		vm->look->vm = NULL;
	vm->look = NULL;
}

void views_stop(struct registry *registry)
{
	struct views_look *look;

	registry->takings = NULL;
	while ((look = LIST_FIRST(&registry->looks))) {
		look->taking = taking_cancel(look->taking);
		finish_look(look);
	}
}
