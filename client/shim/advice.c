/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Advice about guest memory. See advice.h.
 */
#include "client/shim/advice.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "client/shim/areas.h"
#include "client/shim/book.h"
#include "client/shim/ram.h"
#include "client/shim/real.h"

static int advise_really(uint64_t start, uint64_t end, int advice)
{
	void *address = (void *)(uintptr_t)start;

	return real_calls()->madvise(address, end - start, advice) < 0 ? -errno : 0;
}

static bool drops(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE;
}

static bool frees(int advice)
{
	return advice == MADV_REMOVE;
}

static bool outlives(int advice)
{
	return advice == MADV_DONTFORK || advice == MADV_DOFORK || advice == MADV_DONTDUMP ||
	       advice == MADV_DODUMP;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* By parts: what is there is one area's or none's. */
static int drop(uint64_t start, uint64_t end, int advice)
{
	int r = 0;

	while (r == 0 && start < end) {
		const struct area *area = areas_from(start);
		bool within = area && area->start <= start;
		uint64_t until = !area ? end : least(end, within ? area->end : area->start);
		bool adopted = within && area->ram && area->ram->anonymous;

		r = advise_really(start, until, adopted ? MADV_REMOVE : advice);
		start = until;
	}
	return r;
}

static int remove_pages(uint64_t start, uint64_t end)
{
	int r = advise_really(start, end, MADV_REMOVE);
	const struct area *area = areas_from(start);

	for (; r == 0 && area && area->start < end; area = areas_next((struct area *)area)) {
		uint64_t from = area->start > start ? area->start : start;

		if (area->ram)
			ram_freed(area->ram, area->offset + (from - area->start),
				least(area->end, end) - from);
	}
	return r;
}

static int advise_known(uint64_t start, uint64_t size, int advice)
{
	if (frees(advice) && start + size >= start)
		return remove_pages(start, start + size);
	if (drops(advice) && start + size >= start)
		return drop(start, start + size, advice);
	if (outlives(advice))
		areas_advise(start, size, advice);
	return advise_really(start, start + size, advice);
}

int advise(void *address, size_t size, int advice)
{
	uint64_t start = (uintptr_t)address;
	int r;

	if ((!drops(advice) && !outlives(advice) && !frees(advice)) || !book_open())
		return advise_really(start, start + size, advice);
	if (areas_meet(start, size))
		r = advise_known(start, size, advice);
	else
		r = advise_really(start, start + size, advice);
	book_close();
	return r;
}

void advice_repeat(void *address, size_t size, unsigned advice)
{
	for (int i = 0; advice >> i; i++) {
		if (advice >> i & 1)
			real_calls()->madvise(address, size, i);
	}
}
