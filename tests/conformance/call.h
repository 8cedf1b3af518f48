/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One random call on a subject: made up, made, and printed.
 *
 * A call names everything by number and means the same on any subject, whatever came before it, so
 * that calls can be left out of a sequence.
 */
#pragma once

#include <stdio.h>

#include "tests/conformance/subject.h"

enum call_kind {
	CALL_CREATE,
	CALL_DUPLICATE,
	CALL_CLOSE,
	CALL_HOLD,
	CALL_FALLOCATE,
	CALL_MAP,
	CALL_HOST,
	CALL_REGION,
	CALL_REGION_V1,
	CALL_ATTRIBUTES,
	CALL_GUEST,
	CALL_VM, /* makes and closes the second VM */
	CALL_KINDS
};

/* What a region's userspace address is relative to. */
enum call_base { BASE_NOTHING, BASE_ARENA, BASE_HELD };

struct call {
	enum call_kind kind;
	unsigned vm, memory, other;
	int mode;       /* of fallocate; the protection of a mapping */
	uint64_t flags; /* of a creation, a slot, a mapping, attributes */
	uint64_t offset, size, address, attributes;
	uint32_t slot;
	enum call_base base;
	uint64_t userspace_addr;
	uint8_t byte;
	bool write;
};

/* How far calls reach: what there is to compare. */
#define CALL_MEMORIES    4
#define CALL_ARENA_PAGES 64

struct random {
	uint64_t state; /* not 0 */
};

uint64_t random_below(struct random *random, uint64_t bound);

/* A call that a kernel with these rules answers soon and without using up the machine's memory. */
void call_random(struct random *random, const struct model_rules *rules, struct call *ret);
/* The result; where a byte was read, *ret_byte is that, else 0. */
int call_make(struct subject *subject, const struct call *call, uint8_t *ret_byte);
const char *call_kind_name(enum call_kind kind);
void call_print(FILE *file, const struct call *call);
