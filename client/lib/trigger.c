/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Triggering calls. See trigger.h.
 */
#include "client/lib/trigger.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "client/lib/reconnect.h"
#include "client/lib/resume.h"
#include "client/lib/stale_half.h"
#include "kernel/base/uapi.h"
#include "protocol/json.h"

/* gmemd is told of waits from then on: no answer takes so long where there is a gmemd. */
#define WAITED_TOLD_MS 2000

static struct json_object *report_params(const struct gmem_vm *vm, uint64_t call, uint64_t done)
{
	struct json_object *params = vm_params(vm);

	json_add_uint(params, "call", call);
	json_add_uint(params, "done", done);
	return params;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int vm_request_call(struct gmem_vm *vm, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result)
{
	uint64_t began = now_ms(), waited;
	int r = connection_request(vm->gmem, method, take_params, exchange, ret_result);

	waited = now_ms() - began;
	vm->waited_ms = waited >= WAITED_TOLD_MS && waited <= UINT32_MAX ? waited : 0;
	return r;
}

/* With a report of what it was for. */
static void tell_waited(struct gmem_vm *vm, struct json_object *params)
{
	uint64_t waited_ms = atomic_exchange(&vm->waited_ms, 0);

	if (waited_ms > 0)
		json_add_uint(params, "waited_ms", waited_ms);
}

static struct json_object *failure_params(
	const struct gmem_vm *vm, uint64_t call, uint64_t done, int number)
{
	struct json_object *params = report_params(vm, call, done);

	json_add_string(params, "errno", strerrorname_np(number));
	return params;
}

static void report_failure(struct gmem_vm *vm, uint64_t call, uint64_t done, int number)
{
	connection_notify(vm->gmem, "call.done", failure_params(vm, call, done, number));
}

/* Where a report is repeated, gmemd knows of it by the first one or by what it was told of the
 * VM. */
static bool is_unknown_call(void)
{
	return strcmp(last_error_details()->what, "call") == 0;
}

/* gmemd has lost the VM, and was told of it by another thread before this one had its file. */
static int tell_again(struct gmem_vm *vm)
{
	bool rebuilt;
	int r = connection_take_turn(vm->gmem);

	if (r < 0)
		return r;
	r = resume_tell(vm, &rebuilt);
	if (r == -ECONNRESET)
		r = reconnect(vm->gmem);
	connection_leave_turn(vm->gmem);
	return r;
}

static int report_done(struct gmem_vm *vm, uint64_t call, uint64_t count, uint64_t *discarded)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *result;
	struct json_object *params = report_params(vm, call, count);
	uint64_t bytes = 0;
	int r;

	tell_waited(vm, params);
	if (!discarded)
		return connection_notify(vm->gmem, "call.done", params);
	r = connection_request(vm->gmem, "call.done", params, &exchange, &result);
	if (r == -EREMOTEIO && exchange.repeated && is_unknown_call())
		return 0;
	if (r == -ECONNRESET)
		connection_notify_later(vm->gmem, "call.done", report_params(vm, call, count));
	if (r < 0)
		return r;
	json_get_uint(result, "discarded", &bytes);
	json_unref(result);
	*discarded += bytes;
	return 0;
}

void vm_report_untouched(struct gmem_vm *vm, struct json_object *call)
{
	uint64_t id;

	if (json_get_uint(call, "id", &id))
		report_failure(vm, id, 0, ECANCELED);
}

int vm_report_created(struct gmem_vm *vm, uint64_t call, int fd)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *params = report_params(vm, call, 1);
	int r;

	json_add_uint(params, "fd", (uint64_t)fd);
	tell_waited(vm, params);
	r = connection_request(vm->gmem, "call.done", params, &exchange, NULL);
	if (r == -EREMOTEIO && is_unknown_call())
		return exchange.repeated ? 0 : tell_again(vm);
	if (r == -EREMOTEIO)
		report_failure(vm, call, 0, ECANCELED);
	if (r == -ECONNRESET)
		connection_notify_later(
			vm->gmem, "call.done", failure_params(vm, call, 0, ECANCELED));
	return r;
}

/* Without a signal handler's SA_RESTART an ioctl can be interrupted. */
static int trigger_untrapped(int vm_fd, unsigned long request, uint64_t address)
{
	int r;

	do
		r = ioctl(vm_fd, request, (void *)(uintptr_t)address);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* Carrying out a call. */
struct carrying_out {
	struct conversion_order order;
	bool left; /* something that gmemd is to give back */
};

/* What it does is noted, whatever is known of the VM elsewhere. */
static int trigger_conversion(struct gmem_vm *vm, unsigned long request, uint64_t address,
	struct carrying_out *carrying_out)
{
	const struct conversion_order *order = &carrying_out->order;
	struct conversion_issue issue;
	bool certain;
	int r = conversions_issue(
		&vm->conversions, (void *)(uintptr_t)address, order->told, &issue);

	if (r < 0)
		return r;
	r = trigger_untrapped(vm->fd, request, address);
	certain = conversions_issued(&vm->conversions, &issue, r);
	if (r >= 0 && order->discard) {
		const struct gmem_range range = {issue.was.address, issue.was.size};

		carrying_out->left |=
			!certain || !stale_half_give_back(vm, conversion_issue_to(&issue), &range,
					    order->discarded);
	}
	return r;
}

static int trigger_one(struct gmem_vm *vm, unsigned long request, uint64_t address,
	struct carrying_out *carrying_out, struct trapped **ret_given_up)
{
	*ret_given_up = NULL;
	if (vm->opening.gated && request == KVM_CREATE_GUEST_MEMFD)
		return trapped_ioctl(vm->gmem, vm->fd, request, address, ret_given_up);
	if (request == KVM_SET_MEMORY_ATTRIBUTES)
		return trigger_conversion(vm, request, address, carrying_out);
	return trigger_untrapped(vm->fd, request, address);
}

void vm_settle_given_up(struct gmem_vm *vm)
{
	struct trapped *trapped, *next;

	connection_take_turn_anyway(vm->gmem);
	for (trapped = LIST_FIRST(&vm->given_up); trapped; trapped = next) {
		uint64_t call = trapped->call;

		next = LIST_NEXT(trapped, link);
		if (!trapped_is_over(trapped))
			continue;
		LIST_REMOVE(trapped, link);
		trapped_free_over(trapped);
		report_failure(vm, call, 0, ECANCELED);
	}
	connection_leave_turn(vm->gmem);
}

static void note_given_up(struct gmem_vm *vm, struct trapped *take_trapped, uint64_t call)
{
	take_trapped->call = call;
	connection_take_turn_anyway(vm->gmem);
	LIST_INSERT_HEAD(&vm->given_up, take_trapped, link);
	connection_leave_turn(vm->gmem);
}

static void explain_call(int r)
{
	if (r == -ENOSYS || r == -EPERM)
		last_error_own(r, "the gate has refused an ioctl of this VM: %s",
			r == -EPERM ? "gmemd's log says why"
				    : "nobody listens at it any more, for gmemd and its keeper "
				      "have both died");
	else
		last_error_complete(r, "an ioctl of this VM that gmemd has prepared");
}

/* gmemd is told; what the caller is told stays so, whatever comes of that. */
static void fail_call(struct gmem_vm *vm, uint64_t call, uint64_t done, int r)
{
	struct last_error *error;

	explain_call(r);
	error = last_error_save();
	report_failure(vm, call, done, -r);
	last_error_restore(error);
}

/* A gmemd that has lost the VM since knows nothing of the call, and answers so. One that has not,
 * and is told of the VM on another connection, waits for the call. */
static void return_stale_call(struct gmem_vm *vm, uint64_t call, uint64_t done)
{
	struct json_object *params = failure_params(vm, call, done, ECANCELED);

	if (connection_request(vm->gmem, "call.done", json_ref(params), NULL, NULL) == -ECONNRESET)
		connection_notify_later(vm->gmem, "call.done", params);
	else
		json_unref(params);
}

static int trigger_of(struct gmem_vm *vm, struct json_object *call,
	struct carrying_out *carrying_out, const struct trigger_notes *notes, uint64_t *ret_id)
{
	uint64_t id, request, address, stride, count;
	int r = 0;

	if (!json_get_uint(call, "id", &id) || !json_get_uint(call, "request", &request) ||
		!json_get_uint(call, "address", &address) ||
		!json_get_uint(call, "stride", &stride) || !json_get_uint(call, "count", &count))
		return -EPROTO;
	for (uint64_t i = 0; i < count; i++) {
		struct trapped *given_up;

		r = trigger_one(vm, request, address + i * stride, carrying_out, &given_up);
		if (given_up)
			note_given_up(vm, given_up, id);
		else if (r == -ESTALE)
			return_stale_call(vm, id, i);
		else if (r < 0)
			fail_call(vm, id, i, r);
		if (r < 0)
			return r;
		if (notes)
			notes->done(notes->context);
	}
	*ret_id = id;
	return r;
}

int vm_trigger_each(struct gmem_vm *vm, struct json_object *call, const struct trigger_notes *notes,
	uint64_t *ret_id)
{
	struct carrying_out carrying_out = {.order.told = conversions_told(&vm->conversions)};

	return trigger_of(vm, call, &carrying_out, notes, ret_id);
}

int vm_trigger(struct gmem_vm *vm, struct json_object *call, uint64_t *ret_id)
{
	return vm_trigger_each(vm, call, NULL, ret_id);
}

/* False where it can't be reported there. */
static bool write_report(struct gmem_vm *vm, struct json_object *call, uint64_t id, uint64_t count)
{
	struct report_page *page = vm_report_page(vm);
	struct report_place place;
	uint64_t offset, stride;

	if (!page || count > UINT_MAX || !json_get_uint(call, "report", &offset) ||
		!json_get_uint(call, "stride", &stride))
		return false;
	place = report_place_told(offset, stride, (unsigned)count);
	if (!report_place_is_right(&place))
		return false;
	report_page_write(page, &place, id, place.count, /* failed= */ false);
	return true;
}

/* What gmemd is to be told besides needs a message. */
int vm_report(struct gmem_vm *vm, struct json_object *call)
{
	uint64_t id, count;

	if (!json_get_uint(call, "id", &id) || !json_get_uint(call, "count", &count))
		return -EPROTO;
	if (vm->waited_ms == 0 && write_report(vm, call, id, count))
		return 0;
	return report_done(vm, id, count, NULL);
}

/* The page is that of the gmemd that has the call: a word that is written later may be that of
 * another call already, whose report would be lost. */
static bool write_conversion_report(
	struct gmem_vm *vm, struct json_object *call, uint64_t id, uint64_t count, uint64_t told)
{
	bool written;

	if (vm->waited_ms > 0 || !conversions_hold(&vm->conversions, told))
		return false;
	written = write_report(vm, call, id, count);
	conversions_release(&vm->conversions);
	return written;
}

/* gmemd begins at once with what it is to give back. */
static int report_conversion(
	struct gmem_vm *vm, struct json_object *call, const struct carrying_out *carrying_out)
{
	const struct conversion_order *order = &carrying_out->order;
	uint64_t id, count, nothing = 0;

	if (!json_get_uint(call, "id", &id) || !json_get_uint(call, "count", &count))
		return -EPROTO;
	if (carrying_out->left)
		return report_done(vm, id, count, order->discarded);
	if (write_conversion_report(vm, call, id, count, order->told))
		return 0;
	return report_done(vm, id, count, &nothing);
}

/* Where gmemd has nothing to give back, the page suffices. */
int vm_carry_out_conversion(
	struct gmem_vm *vm, struct json_object *call, const struct conversion_order *order)
{
	struct carrying_out carrying_out = {.order = *order};
	uint64_t id;
	int r = trigger_of(vm, call, &carrying_out, NULL, &id);

	if (r == 0)
		r = report_conversion(vm, call, &carrying_out);
	return r == -EREMOTEIO && is_unknown_call() ? -ESTALE : r;
}
