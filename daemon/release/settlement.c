/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settlements. See settlement.h.
 */
#include "daemon/release/settlement.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/container_of.h"
#include "daemon/gate/call_outcome.h"
#include "daemon/release/call_reports.h"
#include "daemon/release/discard.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/vm/conversion.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"

struct waiter {
	STAILQ_ENTRY(waiter) link;
	struct deferred_answer *deferred;
	struct json_object *result;
	bool tells;
	uint64_t discarded;
};

STAILQ_HEAD(waiters, waiter);

struct settlement {
	struct discard discard;
	uint64_t call; /* its id */
	struct waiters waiters;
};

static void give_answer(struct waiter *waiter, uint64_t discarded)
{
	if (waiter->tells)
		json_add_uint(waiter->result, "discarded", waiter->discarded + discarded);
	deferred_answer_give_committed(waiter->deferred, json_ref(waiter->result));
}

static void refuse(const struct settlement *settlement, struct waiter *waiter, int r)
{
	struct rpc_error error = {.code = RPC_OK};
	char vm[32];

	snprintf(vm, sizeof vm, "vm-%" PRIu64, settlement->discard.vm);
	if (r == -ESRCH)
		rpc_error_gone(&error, "vm", vm);
	else
		rpc_error_internal(&error, "no memory");
	deferred_answer_refuse(waiter->deferred, &error);
}

static void answer_settled(struct settlement *settlement, int r, uint64_t discarded)
{
	struct waiter *waiter;

	while ((waiter = STAILQ_FIRST(&settlement->waiters))) {
		STAILQ_REMOVE_HEAD(&settlement->waiters, link);
		if (r == 0)
			give_answer(waiter, discarded);
		else
			refuse(settlement, waiter, r);
		json_unref(waiter->result);
		free(waiter);
	}
}

/* Who has reported it to a predecessor, and was not answered, reports it again. */
static int settle_call(struct gmemd *gmemd, struct call *take_call)
{
	struct vm *vm = take_call->vm;
	bool inherited = take_call->inherited;
	int r = call_outcome_settle(&gmemd->events, take_call, take_call->done);

	if (r == 0 && inherited)
		vm->inherited = vm->settled;
	return r;
}

static void stale_discarded(struct discard *discard, struct vm *vm, uint64_t bytes)
{
	struct settlement *settlement = CONTAINER_OF(discard, struct settlement, discard);
	struct call *call = vm ? vm_call(vm, settlement->call) : NULL;
	int r = -ESRCH;

	if (call) {
		call->settlement = NULL;
		r = settle_call(discard->gmemd, call);
		if (r < 0)
			call_reports_await(discard->gmemd, vm);
	}
	answer_settled(settlement, r, bytes);
	vm_ledgers_commit(&discard->gmemd->registry);
	free(settlement);
}

/* A successor repeats what follows, should this gmemd end amid it. */
static void note_settling(struct call *call, unsigned done)
{
	call->settling = true;
	call->done = done;
	vm_ledger_note_call(call);
	vm_ledger_commit(call->vm);
}

static int discard(struct gmemd *gmemd, struct call *call, uint64_t *ret_discarded)
{
	const struct conversion *conversion = call->conversion;
	struct settlement *settlement = malloc(sizeof *settlement);
	int r;

	if (!settlement)
		return -ENOMEM;
	*settlement = (struct settlement){
		.discard = {.gmemd = gmemd, .done = stale_discarded}, .call = call->id};
	STAILQ_INIT(&settlement->waiters);
	r = discard_begin(&settlement->discard, call->vm, conversion->to,
		&conversion->ranges[call->first], call->done, ret_discarded);
	if (r == REQUEST_DEFERRED)
		call->settlement = settlement;
	else
		free(settlement);
	return r;
}

/* Without a gate nothing tells that the VM was made but its first call. */
static void note_running(struct gmemd *gmemd, struct vm *vm)
{
	if (vm->gate != VM_GATE_NONE || vm->state != VM_OPENING)
		return;
	vm_state_change(&vm->state, VM_RUNNING);
	vm_ledger_note_vm(vm);
	audit_vm(&gmemd->audit, ACT_VM_RUNNING, vm, "made without a gate by process %d",
		vm->process.pid);
	events_vm(&gmemd->events, vm, EVENT_VM_RUNNING);
}

int settlement_begin(
	struct gmemd *gmemd, struct call *take_call, unsigned done, uint64_t *ret_discarded)
{
	int r = 0;

	*ret_discarded = 0;
	if (done > 0)
		note_running(gmemd, take_call->vm);
	if (take_call->kind != CALL_CONVERT)
		return call_outcome_settle(&gmemd->events, take_call, done);
	note_settling(take_call, done);
	if (take_call->conversion->discard && done > 0)
		r = discard(gmemd, take_call, ret_discarded);
	return r == 0 ? settle_call(gmemd, take_call) : r;
}

int settlement_await(struct request *request, struct call *call, const uint64_t *discarded)
{
	struct waiter *waiter = malloc(sizeof *waiter);

	if (!waiter)
		return rpc_error_internal(&request->error, "no memory");
	*waiter = (struct waiter){.result = json_ref(request->result),
		.deferred = request_defer(request, DEFERRED_ANSWER_IN_ORDER, NULL, NULL),
		.tells = discarded,
		.discarded = discarded ? *discarded : 0};
	if (!waiter->deferred) {
		json_unref(waiter->result);
		free(waiter);
		return rpc_error_internal(&request->error, "no memory");
	}
	STAILQ_INSERT_TAIL(&call->settlement->waiters, waiter, link);
	return REQUEST_DEFERRED;
}
