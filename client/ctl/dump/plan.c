/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is dumped. See plan.h.
 */
#include "client/ctl/dump/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/vm_view.h"
#include "protocol/json.h"

struct planned {
	struct dump_plan plan;
	const struct json_object *vm;
	struct ranges private;
	struct json_object *left_out;
	size_t parts_room;
};

/* A guest_memfd with its mmap flag (Linux 6.18), or a memfd. */
static bool can_be_read(const struct json_object *vm, uint64_t memory)
{
	const struct json_object *found = vm_view_memory(vm, memory);

	if (!found || strcmp(json_get_string(found, "state"), "ready") != 0)
		return false;
	return strcmp(json_get_string(found, "backing"), "memfd") == 0 ||
	       vm_view_has_mmap(vm, memory);
}

static void leave_out(struct planned *planned, uint64_t start, uint64_t size, const char *why)
{
	struct json_object *object = json_append_object(planned->left_out);

	json_add_uint(object, "guest_phys_addr", start);
	json_add_uint(object, "size", size);
	json_add_string(object, "why", why);
	planned->plan.left_out += size;
}

static int add_part(struct planned *planned, const struct dump_part *part)
{
	struct dump_plan *plan = &planned->plan;

	if (plan->n_parts == planned->parts_room) {
		size_t room = 2 * planned->parts_room + 16;
		struct dump_part *parts = reallocarray(plan->parts, room, sizeof *parts);

		if (!parts)
			return -ENOMEM;
		plan->parts = parts;
		planned->parts_room = room;
	}
	plan->parts[plan->n_parts++] = *part;
	return 0;
}

/* The slot's frames from one address to another, which no private frame is among. */
static int add_shared(
	struct planned *planned, const struct dump_part *slot, uint64_t start, uint64_t end)
{
	const struct dump_part part = {.guest_phys_addr = start,
		.size = end - start,
		.memory = slot->memory,
		.offset = slot->offset + (start - slot->guest_phys_addr)};

	return start < end ? add_part(planned, &part) : 0;
}

static int split_slot(struct planned *planned, const struct dump_part *slot)
{
	uint64_t at = slot->guest_phys_addr, end = at + slot->size;
	struct range_place place;
	const struct range *range = ranges_from(&planned->private, at, &place);
	int r = 0;

	for (; r == 0 && range && range->start < end; range = ranges_next(&place)) {
		uint64_t from = range->start > at ? range->start : at;
		uint64_t to = range->end < end ? range->end : end;

		r = add_shared(planned, slot, at, from);
		leave_out(planned, from, to - from, "private");
		at = to;
	}
	return r == 0 ? add_shared(planned, slot, at, end) : r;
}

/* What is not private of a slot with two halves is in the shared one. */
static int plan_slot(struct planned *planned, const struct json_object *object)
{
	struct dump_segment *segment = &planned->plan.segments[planned->plan.n_segments++];
	struct dump_part slot = {.size = 0};
	const char *why = NULL;
	int r = 0;

	json_get_uint(object, "slot", &segment->slot);
	json_get_uint(object, "guest_phys_addr", &slot.guest_phys_addr);
	json_get_uint(object, "memory_size", &slot.size);
	segment->guest_phys_addr = slot.guest_phys_addr;
	segment->size = slot.size;
	segment->first_part = planned->plan.n_parts;
	if (json_get_uint(object, "shared_memory", &slot.memory))
		json_get_uint(object, "shared_offset", &slot.offset);
	else if (json_get_uint(object, "memory", &slot.memory))
		json_get_uint(object, "guest_memfd_offset", &slot.offset);
	else
		why = "the VMM's own memory";
	if (!why && !can_be_read(planned->vm, slot.memory))
		why = "its memory can't be mapped";
	if (why)
		leave_out(planned, slot.guest_phys_addr, slot.size, why);
	else
		r = split_slot(planned, &slot);
	segment->n_parts = planned->plan.n_parts - segment->first_part;
	return r;
}

static int compare_segments(const void *a, const void *b)
{
	const struct dump_segment *one = a, *other = b;

	return one->guest_phys_addr < other->guest_phys_addr
		       ? -1
		       : one->guest_phys_addr > other->guest_phys_addr;
}

static int plan_slots(struct planned *planned, const struct json_object *slots)
{
	int r = 0;

	planned->plan.segments = calloc(json_length(slots), sizeof *planned->plan.segments);
	if (!planned->plan.segments)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < json_length(slots); i++) {
		if (strcmp(json_get_string(json_at(slots, i), "state"), "bound") == 0)
			r = plan_slot(planned, json_at(slots, i));
	}
	qsort(planned->plan.segments, planned->plan.n_segments, sizeof *planned->plan.segments,
		compare_segments);
	return r == 0 && planned->plan.n_segments == 0 ? -ENODATA : r;
}

static void describe(struct planned *planned)
{
	static const char *const members[] = {"vm", "name", "uuid", "type"};
	struct json_object *about = json_new_object();

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (json_has(planned->vm, members[i]))
			json_add(about, members[i], json_ref(json_get(planned->vm, members[i])));
	}
	planned->left_out = json_add_array(about, "left_out");
	planned->plan.about = about;
}

int dump_plan_make(const struct json_object *vm, struct dump_plan *ret)
{
	struct planned planned = {.vm = vm};
	const struct json_object *slots = json_get(vm, "slots");
	int r;

	if (json_length(slots) == 0)
		return -ENODATA;
	describe(&planned);
	r = vm_view_private(vm, &planned.private);
	if (r == 0)
		r = plan_slots(&planned, slots);
	ranges_clear(&planned.private);
	if (r < 0)
		dump_plan_clear(&planned.plan);
	else
		*ret = planned.plan;
	return r;
}

void dump_plan_clear(struct dump_plan *plan)
{
	json_unref(plan->about);
	free(plan->segments);
	free(plan->parts);
	*plan = (struct dump_plan){.n_segments = 0};
}
