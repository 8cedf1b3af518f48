/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a memory no guest can see. See stale.h.
 */
#include "client/ctl/stale.h"

#include <string.h>

#include "client/ctl/vm_view.h"
#include "protocol/json.h"

struct slot {
	uint64_t guest_phys_addr, size;
	uint64_t memory, offset;
	uint64_t shared, shared_offset;
	bool has_memory, has_shared;
	bool settled; /* neither the slot nor what is private is about to change */
	bool mapped;  /* its guest_memfd can be, and is what the guest sees (Linux 6.18) */
};

static void read_slot(
	const struct json_object *vm, const struct json_object *object, struct slot *ret)
{
	*ret = (struct slot){.size = 0};
	json_get_uint(object, "guest_phys_addr", &ret->guest_phys_addr);
	json_get_uint(object, "memory_size", &ret->size);
	ret->has_memory = json_get_uint(object, "memory", &ret->memory);
	json_get_uint(object, "guest_memfd_offset", &ret->offset);
	ret->has_shared = json_get_uint(object, "shared_memory", &ret->shared);
	json_get_uint(object, "shared_offset", &ret->shared_offset);
	ret->settled = strcmp(json_get_string(object, "state"), "bound") == 0 &&
		       json_length(json_get(vm, "calls")) == 0;
	ret->mapped = ret->has_memory && vm_view_has_mmap(vm, ret->memory);
}

/* Removes the file's part of what of the slot is private, or of what is not. */
static int keep_page(const struct slot *slot, uint64_t offset, const struct ranges *private,
	bool is_private, struct ranges *ret)
{
	uint64_t end = slot->guest_phys_addr + slot->size, at = slot->guest_phys_addr;
	struct range_place place;
	const struct range *range = ranges_from(private, at, &place);
	int r = 0;

	while (r == 0 && at < end) {
		bool inside = range && range->start <= at;
		uint64_t next = !range ? end : inside ? range->end : range->start;

		next = next < end ? next : end;
		if (inside == is_private)
			r = ranges_remove(ret, offset + (at - slot->guest_phys_addr), next - at);
		if (inside)
			range = ranges_next(&place);
		at = next;
	}
	return r;
}

/* With two halves each is seen where the other is not; in doubt both are. */
static int keep_seen(
	const struct slot *slot, uint64_t memory, const struct ranges *private, struct ranges *ret)
{
	if (slot->has_shared && slot->shared == memory && !slot->settled)
		return ranges_remove(ret, slot->shared_offset, slot->size);
	if (slot->has_shared && slot->shared == memory)
		return keep_page(slot, slot->shared_offset, private, false, ret);
	if (!slot->has_memory || slot->memory != memory)
		return 0;
	if (slot->has_shared && slot->settled && !slot->mapped)
		return keep_page(slot, slot->offset, private, true, ret);
	return ranges_remove(ret, slot->offset, slot->size);
}

/* A huge page is given back as a whole or not at all. An older gmemd tells of none. */
static int keep_parts(const struct json_object *vm, uint64_t memory, struct ranges *ranges)
{
	const struct json_object *found = vm_view_memory(vm, memory);
	struct ranges whole = {.leaves = NULL};
	struct range_place place;
	uint64_t page = 0;
	int r = 0;

	if (!found || !json_get_uint(found, "page_size", &page) || page == 0)
		return 0;
	for (const struct range *range = ranges_from(ranges, 0, &place); r == 0 && range;
		range = ranges_next(&place)) {
		uint64_t start = (range->start + page - 1) / page * page;
		uint64_t end = range->end / page * page;

		if (start < end)
			r = ranges_add(&whole, start, end - start);
	}
	ranges_clear(ranges);
	*ranges = whole;
	return r;
}

int stale_find(const struct json_object *vm, uint64_t memory, uint64_t size, struct ranges *ret)
{
	struct json_object *slots = json_get(vm, "slots");
	struct ranges private = {.leaves = NULL};
	int r = vm_view_private(vm, &private);

	if (r == 0)
		r = ranges_add(ret, 0, size);
	for (size_t i = 0; r == 0 && i < json_length(slots); i++) {
		struct slot slot;

		read_slot(vm, json_at(slots, i), &slot);
		r = keep_seen(&slot, memory, &private, ret);
	}
	if (r == 0)
		r = keep_parts(vm, memory, ret);
	ranges_clear(&private);
	return r;
}
