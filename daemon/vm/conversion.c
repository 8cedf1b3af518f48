/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversions. See conversion.h.
 */
#include "daemon/vm/conversion.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/vm/both_halves.h"
#include "daemon/vm/commitment.h"
#include "kernel/store/frames.h"

/* A range that was asked for, as [start, end). */
struct asked {
	uint64_t start;
	uint64_t end;
	size_t index;
};

/* Whether an earlier conversion there is not reported, or its stale half is not gone yet. */
static bool is_under_way(const struct vm *vm, uint64_t guest_phys_addr, uint64_t size)
{
	return ranges_covered(&vm->converting, guest_phys_addr, size) > 0 ||
	       ranges_covered(&vm->discarding, guest_phys_addr, size) > 0;
}

/* What is private must come from a memory. */
static enum conversion_fault check_bound(struct vm *vm, const struct guest_range *range)
{
	uint64_t end = range->guest_phys_addr + range->size;

	for (uint64_t at = range->guest_phys_addr; at < end;) {
		const struct slot *slot = vm_slot_at_or_after(vm, at);

		if (!slot || slot->guest_phys_addr > at || !slot_memory(slot))
			return at == range->guest_phys_addr ? CONVERSION_UNBOUND
							    : CONVERSION_LEAVES;
		at = slot->guest_phys_addr + slot->memory_size;
	}
	return CONVERSION_FITS;
}

/* Whether some of it is under way, of slots too. */
static bool is_busy(struct vm *vm, const struct guest_range *range)
{
	uint64_t end = range->guest_phys_addr + range->size, at = range->guest_phys_addr;
	const struct slot *slot = vm_slot_at_or_after(vm, at);

	for (; slot && slot->guest_phys_addr < end; slot = vm_slot_at_or_after(vm, at)) {
		if (slot_memory(slot) && slot->state != OBJECT_READY)
			return true;
		at = slot->guest_phys_addr + slot->memory_size;
	}
	return is_under_way(vm, range->guest_phys_addr, range->size);
}

/* Frames that were left private when their slot went can be shared again, whatever is there. */
static enum conversion_fault check_range(
	struct vm *vm, enum convert_to to, const struct guest_range *range)
{
	enum conversion_fault fault = CONVERSION_FITS;

	if (to == CONVERT_TO_PRIVATE)
		fault = check_bound(vm, range);
	if (fault == CONVERSION_FITS && is_busy(vm, range))
		fault = CONVERSION_BUSY;
	return fault;
}

static int compare(const void *left, const void *right)
{
	const struct asked *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* By address. Ranges mostly come so, and then nothing needs to be sorted. */
static void sort(struct asked *asked, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (asked[i].start < asked[i - 1].start) {
			qsort(asked, count, sizeof *asked, compare);
			return;
		}
	}
}

/* The last of those asked for that overlaps one before it, by its place in the request. */
static bool find_repeated(const struct asked *asked, size_t count, size_t *ret_index)
{
	for (size_t i = 1; i < count; i++) {
		if (asked[i].start >= asked[i - 1].end)
			continue;
		*ret_index =
			asked[i].index > asked[i - 1].index ? asked[i].index : asked[i - 1].index;
		return true;
	}
	return false;
}

/* Makes one of those that touch. Returns how many are left. */
static size_t merge(struct asked *asked, size_t count)
{
	size_t last = 0;

	for (size_t i = 1; i < count; i++) {
		if (asked[i].start == asked[last].end)
			asked[last].end = asked[i].end;
		else
			asked[++last] = asked[i];
	}
	return last + 1;
}

/* The first piece of [at, end) that is in the set. False where there is none. */
static bool next_in(const struct ranges *ranges, uint64_t at, uint64_t end, struct asked *ret)
{
	struct range_place place;
	const struct range *range = ranges_from(ranges, at, &place);

	if (at >= end || !range || range->start >= end)
		return false;
	ret->start = range->start > at ? range->start : at;
	ret->end = range->end < end ? range->end : end;
	return true;
}

/* The same of what is not in the set. */
static bool next_out(const struct ranges *ranges, uint64_t at, uint64_t end, struct asked *ret)
{
	struct range_place place;
	const struct range *range = ranges_from(ranges, at, &place);

	if (range && range->start <= at) {
		at = range->end;
		range = ranges_next(&place);
	}
	if (at >= end)
		return false;
	ret->start = at;
	ret->end = range && range->start < end ? range->start : end;
	return true;
}

/* The same of what is not as wanted, or may not be. */
static bool next_other(
	const struct vm *vm, enum convert_to to, uint64_t at, uint64_t end, struct asked *ret)
{
	struct asked other, uncertain;
	bool is_other = to == CONVERT_TO_PRIVATE ? next_out(&vm->private_ranges, at, end, &other)
						 : next_in(&vm->private_ranges, at, end, &other);

	if (next_in(&vm->uncertain, at, end, &uncertain) &&
		(!is_other || uncertain.start < other.start)) {
		*ret = uncertain;
		return true;
	}
	if (is_other)
		*ret = other;
	return is_other;
}

/* The smallest part that has all of what is not as wanted yet; empty where all is. */
static struct asked narrow(const struct vm *vm, enum convert_to to, const struct asked *whole)
{
	struct asked found = {.end = 0}, piece = {.end = whole->start};

	while (next_other(vm, to, piece.end, whole->end, &piece)) {
		if (found.end == 0)
			found.start = piece.start;
		found.end = piece.end;
	}
	return found;
}

static void settle(struct conversion_plan *plan, uint64_t start, uint64_t end)
{
	if (start < end)
		plan->unchanged[plan->n_unchanged++] = (struct guest_range){start, end - start};
}

/* Whether there is one piece more then: private where nothing that touches it is, or shared in the
 * midst of one. */
static bool adds_piece(const struct ranges *private, enum convert_to to, const struct asked *part)
{
	struct range_place place;
	const struct range *range =
		ranges_from(private, part->start > 0 ? part->start - 1 : 0, &place);

	if (to == CONVERT_TO_PRIVATE)
		return !range || range->start > part->end;
	return range && range->start < part->start && range->end > part->end;
}

/* Returns how many pieces there are more then. */
static size_t plan_range(
	struct conversion_plan *plan, const struct vm *vm, const struct asked *whole)
{
	struct asked part = narrow(vm, plan->to, whole);

	if (part.end == 0) {
		settle(plan, whole->start, whole->end);
		return 0;
	}
	settle(plan, whole->start, part.start);
	settle(plan, part.end, whole->end);
	plan->ranges[plan->count++] = (struct guest_range){part.start, part.end - part.start};
	return adds_piece(&vm->private_ranges, plan->to, &part);
}

/* Whether so many pieces more fit into the VM's private memory. */
static int check_pieces(const struct vm *vm, size_t added)
{
	uint64_t limit = vm_limit(vm, LIMIT_PRIVATE_RANGES_PER_VM);

	if (added > 0 &&
		ranges_count(&vm->private_ranges) + ranges_count(&vm->converting) + added > limit)
		return CONVERSION_TOO_MANY;
	return CONVERSION_FITS;
}

static int plan_all(struct vm *vm, struct asked *asked, size_t count, struct conversion_plan *plan)
{
	size_t added = 0;

	count = merge(asked, count);
	plan->ranges = calloc(count, sizeof *plan->ranges);
	plan->unchanged = calloc(2 * count, sizeof *plan->unchanged);
	if (!plan->ranges || !plan->unchanged)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		added += plan_range(plan, vm, &asked[i]);
	return check_pieces(vm, added);
}

static int check_all(struct vm *vm, const struct memory_convert_parameters *parameters,
	struct asked *asked, size_t *ret_index)
{
	const struct guest_range *ranges = parameters->ranges.items;
	size_t count = parameters->ranges.count;

	for (size_t i = 0; i < count; i++) {
		const struct guest_range *range = &ranges[i];
		enum conversion_fault fault = check_range(vm, parameters->to, range);

		asked[i] = (struct asked){
			range->guest_phys_addr, range->guest_phys_addr + range->size, i};
		*ret_index = i;
		if (fault != CONVERSION_FITS)
			return fault;
	}
	sort(asked, count);
	return find_repeated(asked, count, ret_index) ? CONVERSION_REPEATED : CONVERSION_FITS;
}

int conversion_plan(struct vm *vm, const struct memory_convert_parameters *parameters,
	struct conversion_plan *ret, size_t *ret_index)
{
	size_t count = parameters->ranges.count;
	struct asked *asked = calloc(count, sizeof *asked);
	struct conversion_plan plan = {.to = parameters->to, .discard = parameters->discard};
	int r = -ENOMEM;

	if (asked)
		r = check_all(vm, parameters, asked, ret_index);
	if (r == CONVERSION_FITS)
		r = plan_all(vm, asked, count, &plan);
	free(asked);
	if (r == CONVERSION_FITS)
		*ret = plan;
	else
		conversion_plan_clear(&plan);
	return r;
}

/* What is private there already has a stale half as well, which goes once the slot is bound. */
int conversion_plan_slot(const struct slot *slot, struct conversion_plan *ret)
{
	struct asked whole = {slot->guest_phys_addr, slot->guest_phys_addr + slot->memory_size, 0};
	struct vm *vm = slot_vm(slot);
	struct guest_range *range;
	int r;

	if (is_under_way(vm, slot->guest_phys_addr, slot->memory_size))
		return CONVERSION_BUSY;
	r = check_pieces(vm, adds_piece(&vm->private_ranges, CONVERT_TO_PRIVATE, &whole));
	if (r != CONVERSION_FITS)
		return r;
	range = malloc(sizeof *range);
	if (!range)
		return -ENOMEM;
	*range = (struct guest_range){slot->guest_phys_addr, slot->memory_size};
	*ret = (struct conversion_plan){
		.to = CONVERT_TO_PRIVATE, .discard = true, .count = 1, .ranges = range};
	return CONVERSION_FITS;
}

void conversion_plan_clear(struct conversion_plan *plan)
{
	free(plan->ranges);
	free(plan->unchanged);
}

int conversion_new(const struct conversion_plan *plan, struct conversion **ret)
{
	struct conversion *conversion =
		malloc(sizeof *conversion + plan->count * sizeof *conversion->ranges);

	if (!conversion)
		return -ENOMEM;
	*conversion = (struct conversion){.users = 1,
		.to = plan->to,
		.discard = plan->discard,
		.count = (unsigned)plan->count};
	memcpy(conversion->ranges, plan->ranges, plan->count * sizeof *conversion->ranges);
	*ret = conversion;
	return 0;
}

struct conversion *conversion_ref(struct conversion *conversion)
{
	conversion->users++;
	return conversion;
}

struct conversion *conversion_unref(struct conversion *conversion)
{
	if (!conversion || --conversion->users > 0)
		return NULL;
	ranges_clear(&conversion->kept);
	free(conversion);
	return NULL;
}

/* Removes from a set what another has of a range. */
static int subtract(
	struct ranges *ranges, const struct ranges *other, const struct guest_range *within)
{
	uint64_t end = within->guest_phys_addr + within->size;
	struct range_place place;
	const struct range *range = ranges_from(other, within->guest_phys_addr, &place);
	int r = 0;

	for (; r == 0 && range && range->start < end; range = ranges_next(&place))
		r = ranges_remove(ranges, range->start, range->end - range->start);
	return r;
}

/* What of a range would be in both halves; what is as wanted already is not converted. */
static int find_kept_in(
	struct vm *vm, enum convert_to to, const struct guest_range *within, struct ranges *ret)
{
	uint64_t end = within->guest_phys_addr + within->size;
	struct asked piece = {.end = within->guest_phys_addr};
	int r = 0;

	while (r == 0 && next_other(vm, to, piece.end, end, &piece))
		r = both_halves_find(vm, piece.start, piece.end - piece.start, ret);
	return r;
}

/* And is not yet. */
static int find_kept(struct vm *vm, struct conversion *conversion)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && !conversion->discard && i < conversion->count; i++) {
		const struct guest_range *range = &conversion->ranges[i];

		r = find_kept_in(vm, conversion->to, range, &conversion->kept);
		if (r == 0)
			r = subtract(&conversion->kept, &vm->in_both, range);
	}
	return r;
}

static void outlive(struct vm *vm, enum frames_set set, const struct ranges *ranges, uint64_t start,
	uint64_t size)
{
	int r = vm->frames < 0 ? 0 : frames_write(vm->frames, set, ranges, start, size);

	if (r < 0)
		log_vm_warning(
			vm->id, "its file of private frames can't be written: %s", strerror(-r));
}

static int mark(struct vm *vm, const struct conversion *conversion)
{
	struct range_place place;
	const struct range *kept = ranges_from(&conversion->kept, 0, &place);
	int r = 0;

	for (; r == 0 && kept; kept = ranges_next(&place)) {
		r = ranges_add(&vm->in_both, kept->start, kept->end - kept->start);
		outlive(vm, FRAMES_IN_BOTH, &vm->in_both, kept->start, kept->end - kept->start);
	}
	for (unsigned i = 0; r == 0 && i < conversion->count; i++) {
		const struct guest_range *range = &conversion->ranges[i];

		r = ranges_add(&vm->converting, range->guest_phys_addr, range->size);
	}
	return r;
}

int conversion_begin(struct vm *vm, struct conversion *conversion,
	const struct budget **ret_refused, uint64_t *ret_bytes)
{
	int r;

	r = find_kept(vm, conversion);
	if (r < 0)
		return r;
	*ret_refused = commitment_keep(vm, ranges_total(&conversion->kept), ret_bytes);
	if (*ret_refused)
		return -ENOSPC;
	r = mark(vm, conversion);
	if (r < 0)
		conversion_end(vm, conversion, 0, conversion->count, 0);
	return r;
}

/* The guest frames are in one half alone. */
static int leave_both(struct vm *vm, uint64_t start, uint64_t size)
{
	uint64_t before = ranges_total(&vm->in_both);
	int r;

	r = ranges_remove(&vm->in_both, start, size);
	if (ranges_total(&vm->in_both) == before)
		return r;
	commitment_discard(vm, before - ranges_total(&vm->in_both));
	outlive(vm, FRAMES_IN_BOTH, &vm->in_both, start, size);
	return r;
}

int conversion_leave_slot(const struct slot *slot)
{
	return leave_both(slot_vm(slot), slot->guest_phys_addr, slot->memory_size);
}

/* The kernel has set them. */
static int make_certain(struct vm *vm, const struct guest_range *range)
{
	int r;

	if (ranges_covered(&vm->uncertain, range->guest_phys_addr, range->size) == 0)
		return 0;
	r = ranges_remove(&vm->uncertain, range->guest_phys_addr, range->size);
	outlive(vm, FRAMES_UNCERTAIN, &vm->uncertain, range->guest_phys_addr, range->size);
	return r;
}

static int note_done(
	struct vm *vm, const struct conversion *conversion, const struct guest_range *range)
{
	int (*change)(struct ranges *, uint64_t, uint64_t) =
		conversion->to == CONVERT_TO_PRIVATE ? ranges_add : ranges_remove;
	int r;

	r = change(&vm->private_ranges, range->guest_phys_addr, range->size);
	outlive(vm, FRAMES_PRIVATE, &vm->private_ranges, range->guest_phys_addr, range->size);
	if (r == 0)
		r = make_certain(vm, range);
	if (r < 0 || !conversion->discard)
		return r;
	return leave_both(vm, range->guest_phys_addr, range->size);
}

static int note_not_done(
	struct vm *vm, const struct conversion *conversion, const struct guest_range *range)
{
	struct range_place place;
	const struct range *kept = ranges_from(&conversion->kept, range->guest_phys_addr, &place);
	uint64_t end = range->guest_phys_addr + range->size;
	int r = 0;

	for (; r == 0 && kept && kept->start < end; kept = ranges_next(&place)) {
		uint64_t start =
			kept->start > range->guest_phys_addr ? kept->start : range->guest_phys_addr;

		r = leave_both(vm, start, (kept->end < end ? kept->end : end) - start);
	}
	return r;
}

int conversion_end(struct vm *vm, const struct conversion *conversion, unsigned first,
	unsigned count, unsigned done)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < count; i++) {
		const struct guest_range *range = &conversion->ranges[first + i];

		r = i < done ? note_done(vm, conversion, range)
			     : note_not_done(vm, conversion, range);
		if (r == 0)
			r = ranges_remove(&vm->converting, range->guest_phys_addr, range->size);
	}
	return r;
}

int conversion_leave_both(struct vm *vm, const struct guest_range *ranges, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = leave_both(vm, ranges[i].guest_phys_addr, ranges[i].size);
	return r;
}

static void remove_first(struct ranges *ranges, const struct conversion *conversion, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ranges_remove(
			ranges, conversion->ranges[i].guest_phys_addr, conversion->ranges[i].size);
}

/* Frames are converting for one call at a time. */
static int add_all(struct ranges *ranges, const struct conversion *conversion)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < conversion->count; i++) {
		const struct guest_range *range = &conversion->ranges[i];

		if (ranges_covered(ranges, range->guest_phys_addr, range->size) > 0)
			r = -EBADMSG;
		else
			r = ranges_add(ranges, range->guest_phys_addr, range->size);
		if (r < 0)
			remove_first(ranges, conversion, i);
	}
	return r;
}

int conversion_recover(struct vm *vm, const struct conversion_plan *plan, struct conversion **ret)
{
	struct conversion *conversion;
	int r;

	r = conversion_new(plan, &conversion);
	if (r < 0)
		return r;
	r = add_all(&vm->converting, conversion);
	if (r < 0)
		conversion_unref(conversion);
	else
		*ret = conversion;
	return r;
}
