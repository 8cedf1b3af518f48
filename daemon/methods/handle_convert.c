/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.convert, and the conversion of slots that are private from the start.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon/methods/call_answer.h"
#include "daemon/methods/handle_convert.h"
#include "daemon/methods/methods.h"
#include "daemon/methods/type_lack.h"
#include "daemon/release/discard.h"
#include "daemon/release/lingering.h"
#include "daemon/release/settlement.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/vm/conversion.h"
#include "protocol/json.h"

/* Calls of one answer, at most, so that it fits a packet. There is one, unless what waits to be
 * reported leaves only gaps between. */
#define CALLS_MAX          256
#define CALLS_IN_BATCH_MAX 4

struct call_span {
	struct call *calls[CALLS_MAX];
	unsigned count;
};

static int range_error(
	struct request *request, size_t index, const char *member, const char *expected)
{
	char param[64];

	snprintf(param, sizeof param, "ranges[%zu].%s", index, member);
	return rpc_error_invalid_param(&request->error, param, expected);
}

static int fault_error(struct request *request, int fault, size_t index)
{
	switch (fault) {
	case CONVERSION_UNBOUND:
		return range_error(request, index, "guest_phys_addr",
			"an address that a bound slot with a memory holds");
	case CONVERSION_LEAVES:
		return range_error(request, index, "size",
			"at most what bound slots with a memory hold from guest_phys_addr on");
	case CONVERSION_REPEATED:
		return range_error(
			request, index, "guest_phys_addr", "outside of the request's other ranges");
	case CONVERSION_BUSY:
		return rpc_error_busy(&request->error,
			"An earlier conversion of some of these addresses is not done yet", 0);
	case CONVERSION_TOO_MANY:
		return request_limit_error(request, LIMIT_PRIVATE_RANGES_PER_VM,
			"The VM has as many ranges of private memory as it may have");
	}
	return rpc_error_internal(&request->error, "no memory");
}

/* All of them or none. */
static int submit(
	struct vm *vm, struct conversion *conversion, unsigned calls_max, struct call_span *span)
{
	unsigned first = 0;
	int r = 0;

	while (r == 0 && first < conversion->count) {
		struct call **next = &span->calls[span->count];

		r = span->count < calls_max ? call_new_convert(vm, conversion, first, next)
					    : -E2BIG;
		if (r < 0)
			break;
		first += (*next)->count;
		span->count++;
	}
	while (r < 0 && span->count > 0)
		call_free(span->calls[--span->count]);
	return r;
}

static int begin(struct request *request, struct vm *vm, struct conversion *conversion)
{
	const struct budget *refused = NULL;
	uint64_t requested = 0;
	int r;

	r = conversion_begin(vm, conversion, &refused, &requested);
	if (r == -ENOSPC && refused) {
		request->refused_by = refused;
		r = rpc_error_budget_exceeded(&request->error, refused->scope, budget_most(refused),
			refused->committed, refused->promised, requested);
		return request_before_lingering(request, r);
	}
	return r < 0 ? rpc_error_internal(&request->error, "no memory") : 0;
}

static int start_conversion(struct request *request, struct vm *vm,
	const struct conversion_plan *plan, struct call_span *span)
{
	unsigned calls_max = request->batch ? CALLS_IN_BATCH_MAX : CALLS_MAX;
	struct conversion *conversion;
	int r;

	if (conversion_new(plan, &conversion) < 0)
		return rpc_error_internal(&request->error, "no memory");
	r = begin(request, vm, conversion);
	if (r == 0) {
		r = submit(vm, conversion, calls_max, span);
		if (r < 0) {
			conversion_end(vm, conversion, 0, conversion->count, 0);
			request_call_error(request, vm, MAILBOX_ATTRIBUTES, r);
		}
	}
	conversion_unref(conversion);
	return request->error.code;
}

static void answer_submitted(struct request *request, const struct call_span *span)
{
	struct json_object *calls = json_add_array(request->result, "calls");

	for (unsigned i = 0; i < span->count; i++)
		json_append_made(calls, request_describe_call(request, span->calls[i]));
}

/* One that the back end has carried out, all of it, is finished at once; else it is the VMM's. */
static int answer_conversion(
	struct request *request, const struct call_span *span, uint64_t discarded)
{
	uint64_t bytes = 0;
	int r = 0;

	if (span->count > 0 && span->calls[0]->progress == CALL_SUBMITTED) {
		answer_submitted(request, span);
	} else {
		json_add_null(request->result, "calls");
		if (span->count > 0)
			r = settlement_begin(
				request->gmemd, span->calls[0], span->calls[0]->count, &bytes);
	}
	if (r == REQUEST_DEFERRED)
		return settlement_await(request, span->calls[0], &discarded);
	if (r < 0)
		return rpc_error_internal(&request->error, "no memory");
	json_add_uint(request->result, "discarded", discarded + bytes);
	return 0;
}

/* Before pages are discarded for it. */
static int check_room(
	struct request *request, const struct vm *vm, const struct conversion_plan *plan)
{
	if (!vm->mailbox || mailbox_free_entries(vm->mailbox, MAILBOX_ATTRIBUTES) >= plan->count)
		return 0;
	return request_call_error(request, vm, MAILBOX_ATTRIBUTES, -EBUSY);
}

static int carry_out(struct request *request, struct vm *vm, const struct conversion_plan *plan)
{
	size_t count = plan->discard ? plan->n_unchanged : 0;
	struct call_span span = {.count = 0};
	uint64_t discarded;
	int r;

	r = check_room(request, vm, plan);
	if (r == 0)
		r = request_discard(request, vm, plan->to, plan->unchanged, count, &discarded);
	if (r == 0 && plan->count > 0)
		r = start_conversion(request, vm, plan, &span);
	return r == 0 ? answer_conversion(request, &span, discarded) : r;
}

int handle_memory_convert(struct request *request)
{
	const struct memory_convert_parameters *parameters = &request->parameters.memory_convert;
	struct conversion_plan plan;
	struct vm *vm;
	size_t index;
	int r;

	r = request_gated_vm(request, parameters->vm, &vm);
	if (r < 0)
		return r;
	if (!vm_has_private_memory(vm))
		return request_type_lacks(request, vm->type, "KVM_CAP_MEMORY_ATTRIBUTES", 0);
	r = conversion_plan(vm, parameters, &plan, &index);
	if (r != CONVERSION_FITS)
		return fault_error(request, r, index);
	r = carry_out(request, vm, &plan);
	conversion_plan_clear(&plan);
	return r;
}

int request_convert_slot(struct request *request, const struct slot *slot, struct call **ret)
{
	struct call_span span = {.count = 0};
	struct conversion_plan plan;
	int r;

	*ret = NULL;
	r = conversion_plan_slot(slot, &plan);
	if (r != CONVERSION_FITS)
		return fault_error(request, r, 0);
	if (plan.count > 0)
		r = start_conversion(request, slot_vm(slot), &plan, &span);
	if (r == 0 && span.count > 0)
		*ret = span.calls[0];
	conversion_plan_clear(&plan);
	return r;
}

void request_undo_convert(struct call *take_call)
{
	conversion_end(take_call->vm, take_call->conversion, take_call->first, take_call->count, 0);
	call_free(take_call);
}
