/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMM's mappings. See areas.h.
 */
#include "client/shim/areas.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "client/shim/book.h"
#include "client/shim/ram.h"

RB_HEAD(area_tree, area);

static struct area_tree areas = RB_INITIALIZER(&areas);

/* They don't overlap, so that their starts order them. */
static int compare(const struct area *a, const struct area *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_LOCAL(area_tree, area, link, compare)

static void insert(const struct area *area)
{
	struct area *copy = book_allocate(sizeof *copy);

	*copy = *area;
	if (copy->ram)
		ram_join(copy->ram);
	RB_INSERT(area_tree, &areas, copy);
}

static void drop(struct area *area)
{
	RB_REMOVE(area_tree, &areas, area);
	if (area->ram)
		ram_leave(area->ram);
	free(area);
}

struct area *areas_from(uint64_t start)
{
	struct area sought = {.start = start}, *before;
	struct area *area = RB_NFIND(area_tree, &areas, &sought);

	before = area ? RB_PREV(area_tree, &areas, area) : RB_MAX(area_tree, &areas);
	return before && before->end > start ? before : area;
}

struct area *areas_next(struct area *area)
{
	return RB_NEXT(area_tree, &areas, area);
}

bool areas_meet(uint64_t start, uint64_t size)
{
	const struct area *area = areas_from(start);

	return area && area->start < start + size;
}

/* Two of it where the address is within one. */
static void split(uint64_t at)
{
	struct area *area = areas_from(at), second;

	if (!area || area->start >= at)
		return;
	second = *area;
	second.offset += at - area->start;
	second.start = at;
	area->end = at;
	insert(&second);
}

static struct area *first_of(uint64_t start, uint64_t end)
{
	struct area *area = areas_from(start);

	return area && area->start < end ? area : NULL;
}

void areas_remove(uint64_t start, uint64_t size)
{
	uint64_t end = start + size;
	struct area *area;

	split(start);
	split(end);
	while ((area = first_of(start, end)))
		drop(area);
}

void areas_add(uint64_t start, uint64_t size, int protection, struct ram *ram, uint64_t offset)
{
	struct area area = {.start = start,
		.end = start + size,
		.protection = protection,
		.ram = ram,
		.offset = offset};

	areas_remove(start, size);
	insert(&area);
}

void areas_protect(uint64_t start, uint64_t size, int protection)
{
	split(start);
	split(start + size);
	for (struct area *area = first_of(start, start + size); area && area->start < start + size;
		area = areas_next(area))
		area->protection = protection;
}

/* Those that undo one another. */
static unsigned advice_undone(int advice)
{
	switch (advice) {
	case MADV_DOFORK:
		return 1u << MADV_DONTFORK;
	case MADV_DODUMP:
		return 1u << MADV_DONTDUMP;
	default:
		return 0;
	}
}

void areas_advise(uint64_t start, uint64_t size, int advice)
{
	unsigned undone = advice_undone(advice);
	unsigned added = undone ? 0 : 1u << advice;

	split(start);
	split(start + size);
	for (struct area *area = first_of(start, start + size); area && area->start < start + size;
		area = areas_next(area))
		area->advice = (area->advice & ~undone) | added;
}

bool areas_show(uint64_t start, uint64_t size, struct ram **ret_ram, uint64_t *ret_offset)
{
	const uint64_t end = start + size;
	struct area *area = areas_from(start);
	struct ram *ram = area ? area->ram : NULL;
	uint64_t offset;

	if (!ram || area->start > start)
		return false;
	offset = area->offset + (start - area->start);
	for (uint64_t at = start; at < end; at = area->end, area = areas_next(area)) {
		if (!area || area->start > at || area->ram != ram ||
			area->offset + (at - area->start) != offset + (at - start))
			return false;
		if (area->end >= end)
			break;
	}
	*ret_ram = ram;
	*ret_offset = offset;
	return true;
}
