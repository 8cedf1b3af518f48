/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a VM's memory is dumped, by what vm.get says of it: a segment for each memslot, and of
 * each the parts that can be read. Private memory, and what is the VMM's own, can't be: that is
 * left out, by name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* What of a segment is in a memory's file. */
struct dump_part {
	uint64_t guest_phys_addr, size; /* bytes */
	uint64_t memory, offset;
};

struct dump_segment {
	uint64_t slot;
	uint64_t guest_phys_addr, size; /* bytes */
	size_t first_part, n_parts;
};

struct dump_plan {
	struct dump_segment *segments; /* by guest address */
	size_t n_segments;
	struct dump_part *parts;
	size_t n_parts;
	/* Of vm, name, uuid, and "left_out": what, where and why. */
	struct json_object *about;
	uint64_t left_out; /* bytes */
};

/* vm: vm.get's result. 0, -ENOMEM, or -ENODATA where the VM has no memslot. */
int dump_plan_make(const struct json_object *vm, struct dump_plan *ret);
void dump_plan_clear(struct dump_plan *plan);
