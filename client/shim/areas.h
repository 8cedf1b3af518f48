/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of the VMM's addresses show guest memory of gmemd's, and which may come to: anonymous
 * memory that it has mapped itself and is large enough to be a guest's.
 *
 * Kept by the VMM's own calls, not read from /proc/self/maps: there neighbours are one, and one is
 * several. All with the books open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/base/tree.h"

struct ram;

/* Less is no RAM of a guest's. */
#define AREA_SIZE_MIN (1u << 20)

struct area {
	RB_ENTRY(area) link;
	uint64_t start, end;
	struct ram *ram; /* NULL: anonymous */
	uint64_t offset; /* of start in it */
	int protection;
	unsigned advice; /* that is to outlive what is mapped there: a bit for each, 1 << advice */
};

/* What was there before is not any more. Takes part in ram, which may be NULL. */
void areas_add(uint64_t start, uint64_t size, int protection, struct ram *ram, uint64_t offset);
void areas_remove(uint64_t start, uint64_t size);
void areas_protect(uint64_t start, uint64_t size, int protection);
void areas_advise(uint64_t start, uint64_t size, int advice);

/* The first that ends after start, and the one after an area; NULL where there is none. */
struct area *areas_from(uint64_t start);
struct area *areas_next(struct area *area);
bool areas_meet(uint64_t start, uint64_t size);

/* Where the whole range shows one RAM, from one offset on: that. */
bool areas_show(uint64_t start, uint64_t size, struct ram **ret_ram, uint64_t *ret_offset);
