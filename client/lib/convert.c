/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion of guest frames. See gmem.h.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "client/lib/trigger.h"
#include "protocol/json.h"
#include "protocol/methods.h"

/* While gmemd says that it is busy. */
#define FIRST_PAUSE_US 500
#define LAST_PAUSE_US  50000

_Static_assert(GMEM_SHARED == (unsigned)CONVERT_TO_SHARED, "state");
_Static_assert(GMEM_PRIVATE == (unsigned)CONVERT_TO_PRIVATE, "state");

static struct json_object *convert_params(const struct gmem_vm *vm, enum gmem_state to,
	const struct gmem_range *ranges, size_t count, unsigned flags)
{
	struct json_object *params = vm_params(vm);
	struct json_object *list;

	json_add_string(params, "to", convert_to_names[to]);
	json_add_bool(params, "discard", !(flags & GMEM_CONVERT_KEEP));
	list = json_add_array(params, "ranges");
	for (size_t i = 0; i < count; i++) {
		struct json_object *range = json_append_object(list);

		json_add_uint(range, "guest_phys_addr", ranges[i].guest_phys_addr);
		json_add_uint(range, "size", ranges[i].size);
	}
	return params;
}

/* Those after one that failed are reported, too: as not done. */
static int trigger_all(
	struct gmem_vm *vm, struct json_object *calls, const struct conversion_order *order)
{
	int r = 0;

	for (size_t i = 0; i < json_length(calls); i++) {
		struct json_object *call = json_at(calls, i);

		if (r < 0)
			vm_report_untouched(vm, call);
		else
			r = vm_carry_out_conversion(vm, call, order);
	}
	return r;
}

static int check_arguments(enum gmem_state to, size_t count, unsigned flags)
{
	if (to != GMEM_SHARED && to != GMEM_PRIVATE)
		return last_error_own(
			-EINVAL, "to must be GMEM_SHARED or GMEM_PRIVATE, not %d", (int)to);
	if (flags & ~GMEM_CONVERT_KEEP)
		return last_error_own(-EINVAL, "flags must be 0 or GMEM_CONVERT_KEEP");
	return vm_check_range_count(count);
}

/* In one turn, to know what the gmemd that has answered was told. */
static int ask(struct gmem_vm *vm, struct json_object *take_params, uint64_t *ret_told,
	struct json_object **ret_result)
{
	int r = connection_take_turn(vm->gmem);

	if (r < 0) {
		json_unref(take_params);
		return r;
	}
	r = connection_request(vm->gmem, "memory.convert", take_params, NULL, ret_result);
	*ret_told = conversions_told(&vm->conversions);
	connection_leave_turn(vm->gmem);
	return r;
}

/* -ESTALE where gmemd has lost the VM meanwhile. */
static int convert_once(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges,
	size_t count, unsigned flags, uint64_t *discarded)
{
	struct conversion_order order = {
		.discard = !(flags & GMEM_CONVERT_KEEP), .discarded = discarded};
	struct json_object *result;
	uint64_t bytes = 0;
	int r;

	r = ask(vm, convert_params(vm, to, ranges, count, flags), &order.told, &result);
	if (r < 0)
		return r;
	json_get_uint(result, "discarded", &bytes);
	r = trigger_all(vm, json_get(result, "calls"), &order);
	json_unref(result);
	if (discarded)
		*discarded += bytes;
	return r == -ECONNRESET || conversions_told(&vm->conversions) == order.told ? r : -ESTALE;
}

/* What gmemd is still amid: it discards the half of an earlier conversion that went stale. */
static bool is_busy(int r)
{
	return r == -EREMOTEIO && strcmp(last_error_details()->reason, "busy") == 0;
}

/* Where gmemd has lost the VM meanwhile, it knows nothing of the calls, and was told that these
 * frames may be either: it is asked anew, until nothing has come between. */
static int convert_until_known(struct gmem_vm *vm, enum gmem_state to,
	const struct gmem_range *ranges, size_t count, unsigned flags, uint64_t *discarded)
{
	int64_t began = connection_now_ms();
	useconds_t pause = FIRST_PAUSE_US;
	int r;

	for (;;) {
		r = convert_once(vm, to, ranges, count, flags, discarded);
		if (connection_now_ms() > connection_until_of(vm->gmem, began))
			return r == -ESTALE ? -ECONNRESET : r;
		if (r == -ESTALE)
			continue;
		if (!is_busy(r))
			return r;
		usleep(pause);
		pause = pause < LAST_PAUSE_US ? 2 * pause : pause;
	}
}

static int convert_ranges(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges,
	size_t count, unsigned flags, uint64_t *ret_discarded)
{
	uint64_t discarded = 0;
	int r = check_arguments(to, count, flags);

	if (r == 0)
		r = conversions_begin(&vm->conversions, ranges, count);
	if (r < 0)
		return r;
	r = convert_until_known(vm, to, ranges, count, flags, ret_discarded ? &discarded : NULL);
	if (r == 0)
		conversions_note(&vm->conversions, to, ranges, count);
	conversions_end(&vm->conversions, ranges, count);
	if (r == 0 && ret_discarded)
		*ret_discarded = discarded;
	return r;
}

int gmem_convertv(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges,
	size_t count, unsigned flags, uint64_t *ret_discarded)
{
	int r = connection_enter(vm->gmem);

	if (r == 0)
		r = convert_ranges(vm, to, ranges, count, flags, ret_discarded);
	return last_error_complete(r, "converting");
}

int gmem_convert(struct gmem_vm *vm, enum gmem_state to, uint64_t guest_phys_addr, uint64_t size,
	unsigned flags, uint64_t *ret_discarded)
{
	struct gmem_range range = {guest_phys_addr, size};

	return gmem_convertv(vm, to, &range, 1, flags, ret_discarded);
}
