/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports by the page. See call_reports.h.
 */
#include "daemon/release/call_reports.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/timer_file.h"
#include "daemon/release/settlement.h"
#include "daemon/vm/call.h"

/* Microseconds between looks that nobody has asked for: fewer where nothing is ever found. */
#define LOOK_FIRST_US UINT64_C(100000)
#define LOOK_LAST_US  UINT64_C(1600000)
#define NEXT_TURN_US  1

/* How many calls are yet to be looked at, and settled, at most. */
struct bounds {
	unsigned looked, settled;
};

/* Before others have a turn. A VM has fewer calls. */
static const struct bounds of_a_turn = {.looked = 4096, .settled = 256};
/* For one request of an operator's. */
static const struct bounds of_an_operator = {.looked = UINT_MAX, .settled = 2048};
static const struct bounds none = {.looked = UINT_MAX, .settled = UINT_MAX};

struct call_reports {
	struct gmemd *gmemd;
	struct timer_file *timer;
	uint64_t pause;    /* microseconds, for which it was set last; 0: it isn't set */
	uint64_t interval; /* between rounds, of which each looks at all VMs that wait */
	unsigned left;     /* of the VMs of a round, when its next turn comes; 0: none is amid it */
	bool found;        /* in that round */
};

static bool awaits_report(const struct call *call, struct report_place *ret)
{
	return !call->settlement && call_report_place(call, ret);
}

/* One that is settling, and is not being settled, is begun again: there was no memory for it. */
static bool is_reported(const struct call *call, unsigned *ret_done)
{
	struct report_place place;

	if (!awaits_report(call, &place))
		return false;
	*ret_done = call->done;
	return call->settling ||
	       report_page_read(call->vm->report_page, &place, call->id, ret_done);
}

static bool are_reached(const struct bounds *left)
{
	return left->looked == 0 || left->settled == 0;
}

/* What there was no memory for is looked at again. */
static void settle_reported(struct gmemd *gmemd, struct vm *vm, struct bounds *left)
{
	struct call *call, *next;
	uint64_t discarded;
	unsigned done;

	TAILQ_FOREACH_SAFE (call, &vm->calls, link, next) {
		if (are_reached(left))
			break;
		left->looked--;
		if (!is_reported(call, &done))
			continue;
		STEP("report page: read");
		if (settlement_begin(gmemd, call, done, &discarded) == -ENOMEM)
			break;
		STEP("report page: settled");
		left->settled--;
	}
}

static bool awaits_any(const struct vm *vm)
{
	struct report_place place;
	const struct call *call;

	TAILQ_FOREACH (call, &vm->calls, link) {
		if (awaits_report(call, &place))
			return true;
	}
	return false;
}

static void leave(struct vm *vm)
{
	TAILQ_REMOVE(&vm->registry->awaiting, vm, awaiting);
	vm->awaits_reports = false;
}

/* It is the last of those that wait, or none of them any more. */
static void settle_awaited(struct gmemd *gmemd, struct vm *vm, struct bounds *left)
{
	settle_reported(gmemd, vm, left);
	leave(vm);
	vm->awaits_reports = awaits_any(vm);
	if (vm->awaits_reports)
		TAILQ_INSERT_TAIL(&vm->registry->awaiting, vm, awaiting);
}

/* The first of so many VMs, within bounds: how many are left. What a turn begins with it looks at
 * whole, or settles something of it. */
static unsigned settle_some(struct gmemd *gmemd, unsigned vms, struct bounds *left)
{
	struct awaiting_list *awaiting = &gmemd->registry.awaiting;

	while (vms > 0 && !TAILQ_EMPTY(awaiting) && !are_reached(left)) {
		settle_awaited(gmemd, TAILQ_FIRST(awaiting), left);
		vms -= !are_reached(left);
	}
	return TAILQ_EMPTY(awaiting) ? 0 : vms;
}

static unsigned count_awaiting(const struct gmemd *gmemd)
{
	const struct vm *vm;
	unsigned count = 0;

	TAILQ_FOREACH (vm, &gmemd->registry.awaiting, awaiting)
		count++;
	return count;
}

static void look_after(struct call_reports *reports, uint64_t pause)
{
	reports->pause = pause;
	timer_file_set(reports->timer, pause);
}

static void begin_round(struct call_reports *reports)
{
	reports->left = count_awaiting(reports->gmemd);
	reports->found = false;
}

static void end_round(struct call_reports *reports)
{
	reports->interval = reports->found ? LOOK_FIRST_US : 2 * reports->interval;
	if (reports->interval > LOOK_LAST_US)
		reports->interval = LOOK_LAST_US;
}

static void look(void *context)
{
	struct call_reports *reports = context;
	struct bounds left = of_a_turn;

	if (reports->left == 0)
		begin_round(reports);
	reports->left = settle_some(reports->gmemd, reports->left, &left);
	STEP("report page: looked");
	reports->found |= left.settled < of_a_turn.settled;
	if (reports->left == 0)
		end_round(reports);
	reports->pause = 0;
	if (!TAILQ_EMPTY(&reports->gmemd->registry.awaiting))
		look_after(reports, reports->left > 0 ? NEXT_TURN_US : reports->interval);
}

int call_reports_new(struct gmemd *gmemd, struct call_reports **ret)
{
	struct call_reports *reports = calloc(1, sizeof *reports);
	int r;

	if (!reports)
		return -ENOMEM;
	reports->gmemd = gmemd;
	r = timer_file_new(gmemd->base, look, reports, &reports->timer);
	if (r < 0)
		call_reports_free(reports);
	else
		*ret = reports;
	return r;
}

struct call_reports *call_reports_free(struct call_reports *reports)
{
	if (!reports)
		return NULL;
	timer_file_free(reports->timer);
	free(reports);
	return NULL;
}

void call_reports_await(struct gmemd *gmemd, struct vm *vm)
{
	struct call_reports *reports = gmemd->call_reports;

	if (!vm->awaits_reports && !awaits_any(vm))
		return;
	if (!vm->awaits_reports)
		TAILQ_INSERT_TAIL(&vm->registry->awaiting, vm, awaiting);
	vm->awaits_reports = true;
	reports->interval = LOOK_FIRST_US;
	if (reports->pause == 0 || reports->pause > LOOK_FIRST_US)
		look_after(reports, LOOK_FIRST_US);
}

void call_reports_settle(struct gmemd *gmemd, struct vm *vm)
{
	struct bounds left = none;

	if (vm->awaits_reports)
		settle_awaited(gmemd, vm, &left);
}

void call_reports_settle_for(const struct request *request)
{
	const struct caller *caller = request->caller;
	struct gmemd *gmemd = request->gmemd;
	struct bounds left = of_an_operator;
	struct vm *vm;

	if (TAILQ_EMPTY(&gmemd->registry.awaiting))
		return;
	if (caller->access == ACCESS_OPERATOR) {
		settle_some(gmemd, count_awaiting(gmemd), &left);
		return;
	}
	vm = registry_vm_of_any_process(&gmemd->registry, &caller->process);
	if (vm)
		call_reports_settle(gmemd, vm);
}
