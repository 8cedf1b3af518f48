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
/* Before others have a turn. */
#define SETTLED_AT_ONCE 256
#define NEXT_TURN_US    1
/* For one request of an operator's. */
#define SETTLED_FOR_OPERATOR 2048

struct call_reports {
	struct gmemd *gmemd;
	struct timer_file *timer;
	uint64_t pause; /* microseconds, for which it was set last; 0: it isn't set */
};

static bool is_reported(const struct call *call, unsigned *ret_done)
{
	struct report_place place;

	return !call->settling && call_report_place(call, &place) &&
	       report_page_read(call->vm->report_page, &place, call->id, ret_done);
}

/* How many were settled, at most that. What there was no memory for is looked at again. */
static unsigned settle_reported(struct gmemd *gmemd, struct vm *vm, unsigned most)
{
	struct call *call, *next;
	unsigned done, settled = 0;
	uint64_t discarded;

	TAILQ_FOREACH_SAFE (call, &vm->calls, link, next) {
		if (settled == most)
			break;
		if (!is_reported(call, &done))
			continue;
		STEP("report page: read");
		if (settlement_begin(gmemd, call, done, &discarded) == -ENOMEM)
			break;
		STEP("report page: settled");
		settled++;
	}
	return settled;
}

static bool awaits_any(const struct vm *vm)
{
	struct report_place place;
	const struct call *call;

	TAILQ_FOREACH (call, &vm->calls, link) {
		if (!call->settling && call_report_place(call, &place))
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
static unsigned settle_awaited(struct gmemd *gmemd, struct vm *vm, unsigned most)
{
	unsigned settled = settle_reported(gmemd, vm, most);

	leave(vm);
	vm->awaits_reports = awaits_any(vm);
	if (vm->awaits_reports)
		TAILQ_INSERT_TAIL(&vm->registry->awaiting, vm, awaiting);
	return settled;
}

/* Of each VM, until so many calls were settled. False where some are left. */
static bool settle_all(struct gmemd *gmemd, unsigned most, unsigned *ret_settled)
{
	struct awaiting_list *awaiting = &gmemd->registry.awaiting;
	const struct vm *last = TAILQ_LAST(awaiting, awaiting_list);
	bool was_last = !last;

	*ret_settled = 0;
	while (!was_last && *ret_settled < most) {
		struct vm *vm = TAILQ_FIRST(awaiting);

		*ret_settled += settle_awaited(gmemd, vm, most - *ret_settled);
		was_last = vm == last;
	}
	return was_last && *ret_settled < most;
}

static void look_after(struct call_reports *reports, uint64_t pause)
{
	reports->pause = pause;
	timer_file_set(reports->timer, pause);
}

static uint64_t next_pause(uint64_t pause, unsigned settled)
{
	if (settled > 0 || 2 * pause < LOOK_FIRST_US)
		return LOOK_FIRST_US;
	return 2 * pause < LOOK_LAST_US ? 2 * pause : LOOK_LAST_US;
}

static void look(void *context)
{
	struct call_reports *reports = context;
	unsigned settled;
	bool all = settle_all(reports->gmemd, SETTLED_AT_ONCE, &settled);
	uint64_t pause = all ? next_pause(reports->pause, settled) : NEXT_TURN_US;

	STEP("report page: looked");
	reports->pause = 0;
	if (!TAILQ_EMPTY(&reports->gmemd->registry.awaiting))
		look_after(reports, pause);
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
	if (reports->pause == 0 || reports->pause > LOOK_FIRST_US)
		look_after(reports, LOOK_FIRST_US);
}

void call_reports_settle(struct gmemd *gmemd, struct vm *vm)
{
	if (vm->awaits_reports)
		settle_awaited(gmemd, vm, UINT_MAX);
}

void call_reports_settle_for(const struct request *request)
{
	const struct caller *caller = request->caller;
	struct gmemd *gmemd = request->gmemd;
	unsigned settled;
	struct vm *vm;

	if (TAILQ_EMPTY(&gmemd->registry.awaiting))
		return;
	if (caller->access == ACCESS_OPERATOR) {
		settle_all(gmemd, SETTLED_FOR_OPERATOR, &settled);
		return;
	}
	vm = registry_vm_of_any_process(&gmemd->registry, &caller->process);
	if (vm)
		call_reports_settle(gmemd, vm);
}
