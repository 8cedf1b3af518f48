/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes up random calls, with more of what lies at an edge than chance would give. See call.h.
 *
 * Bounds that are no taste: memories are at most 1 TiB, so that no allocation that the kernel takes
 * is longer than some pages; slots are at most 1 GiB, for KVM allocates 8 bytes a page for each;
 * and a slot of more than 16 pages has userspace address 0, so that no guest's write meets memory
 * of this program.
 */
#include <fcntl.h>
#include <linux/falloc.h>

#include "tests/conformance/call.h"

#define BASE                (16ULL << 20)
#define COUNT(array)        (sizeof(array) / sizeof *(array))
#define PICK(random, array) ((array)[random_below(random, COUNT(array))])

uint64_t random_below(struct random *random, uint64_t bound)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (random->state * 0x2545f4914f6cdd1dULL >> 16) % bound;
}

static bool one_in(struct random *random, uint64_t n)
{
	return random_below(random, n) == 0;
}

/* A number of pages, now and then off by a little. */
static uint64_t pages(struct random *random, uint64_t bound)
{
	static const uint64_t off[] = {1, PAGE - 1, PAGE / 2, 512, (uint64_t)-1};
	uint64_t bytes = random_below(random, bound) * PAGE;

	return one_in(random, 24) ? bytes + PICK(random, off) : bytes;
}

static void random_create(struct random *random, struct call *call)
{
	static const uint64_t flags[] = {0, 1, 3, 3, 3, 3, 3, 2, 4, 1ULL << 63};
	static const uint64_t sizes[] = {0, 1, PAGE - 1, PAGE + 1, -PAGE, 1ULL << 63, 1ULL << 40};

	call->flags = PICK(random, flags);
	call->size =
		one_in(random, 10) ? PICK(random, sizes) : (4 + random_below(random, 13)) * PAGE;
}

static void random_fallocate(struct random *random, struct call *call)
{
	static const int modes[] = {0, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE, 4, 5, 1 << 20, 0x13};
	static const uint64_t edges[] = {
		0, 1ULL << 62, (1ULL << 63) - PAGE, INT64_MAX, -PAGE, UINT64_MAX};

	call->mode = FALLOC_FL_KEEP_SIZE;
	if (one_in(random, 2))
		call->mode |= FALLOC_FL_PUNCH_HOLE;
	if (one_in(random, 10))
		call->mode = PICK(random, modes);
	call->offset = one_in(random, 30) ? PICK(random, edges) : pages(random, 18);
	call->size = one_in(random, 20) ? PICK(random, edges) : pages(random, 8);
}

static void random_map(struct random *random, struct call *call)
{
	static const uint64_t flags[] = {MAP_SHARED, MAP_SHARED, MAP_PRIVATE};

	call->mode = (int)random_below(random, 8); /* PROT_READ, PROT_WRITE, PROT_EXEC */
	call->flags = PICK(random, flags);
	call->size = pages(random, 18);
	call->offset = pages(random, 18);
}

static void random_host(struct random *random, struct call *call)
{
	call->offset = random_below(random, 18) * PAGE + random_below(random, PAGE);
	call->write = one_in(random, 2);
	call->byte = (uint8_t)(1 + random_below(random, 255));
}

static uint32_t random_slot(struct random *random, const struct model_rules *rules)
{
	const uint32_t edges[] = {rules->memslots - 1, rules->memslots, 0x7fff, 0xffff, 0x10000,
		0x10001, rules->address_spaces << 16, 0xffff0000};

	return one_in(random, 12) ? PICK(random, edges) : (uint32_t)random_below(random, 8);
}

static uint64_t random_guest_address(struct random *random, const struct model_rules *rules)
{
	const uint64_t edges[] = {
		0, -PAGE, rules->guest_phys_end, rules->guest_phys_end - PAGE, 1ULL << 63};

	return one_in(random, 20) ? PICK(random, edges) : BASE + pages(random, 48);
}

static void random_userspace(
	struct random *random, const struct model_rules *rules, struct call *call)
{
	const uint64_t edges[] = {0, 8, 64ULL << 40, rules->userspace_end,
		rules->userspace_end - PAGE, -PAGE, 1ULL << 63};

	call->base = one_in(random, 2) ? BASE_ARENA : BASE_HELD;
	call->userspace_addr = pages(random, 16);
	if (one_in(random, 16)) {
		call->base = BASE_NOTHING;
		call->userspace_addr = PICK(random, edges);
	}
}

static uint64_t random_region_size(struct random *random)
{
	static const uint64_t edges[] = {
		1, PAGE - 1, 1 << 30, (1ULL << 31) * PAGE, -PAGE, 1ULL << 63};

	if (one_in(random, 4))
		return 0; /* delete */
	return one_in(random, 24) ? PICK(random, edges) : (1 + random_below(random, 8)) * PAGE;
}

static uint64_t random_region_flags(struct random *random)
{
	static const uint64_t flags[] = {0, 0, 0, KVM_MEM_READONLY, KVM_MEM_LOG_DIRTY_PAGES,
		KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES};

	if (one_in(random, 16))
		return KVM_MEM_GUEST_MEMFD | 1U << random_below(random, 32);
	if (one_in(random, 16))
		return 1U << random_below(random, 32);
	return one_in(random, 3) ? PICK(random, flags) : KVM_MEM_GUEST_MEMFD;
}

static void random_region(struct random *random, const struct model_rules *rules, struct call *call)
{
	static const uint64_t offsets[] = {-PAGE, 1ULL << 63, 1ULL << 40, -2 * PAGE};

	call->slot = random_slot(random, rules);
	call->flags = random_region_flags(random);
	call->address = random_guest_address(random, rules);
	call->size = random_region_size(random);
	call->offset = one_in(random, 20) ? PICK(random, offsets) : pages(random, 12);
	random_userspace(random, rules, call);
	if (call->kind == CALL_REGION_V1 && one_in(random, 2))
		call->flags &= KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES;
	if (one_in(random, 20))
		call->memory =
			CALL_MEMORIES + (unsigned)random_below(random, 2) * SUBJECT_OTHER_FILE;
	if (call->memory > SUBJECT_OTHER_FILE)
		call->memory = SUBJECT_OTHER_FILE;
	if (call->size > 16 * PAGE) {
		call->base = BASE_NOTHING;
		call->userspace_addr = 0;
	}
}

static void random_attributes(struct random *random, struct call *call)
{
	static const uint64_t sizes[] = {0, -PAGE, UINT64_MAX, 2 << 20};

	call->address = one_in(random, 30) ? -PAGE : BASE + pages(random, 48);
	call->size = one_in(random, 20) ? PICK(random, sizes) : pages(random, 16);
	call->attributes = one_in(random, 2) ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	if (one_in(random, 16))
		call->attributes |= 1ULL << random_below(random, 64);
	if (one_in(random, 16))
		call->flags = 1ULL << random_below(random, 64);
}

static void random_guest(struct random *random, struct call *call)
{
	call->address = BASE + random_below(random, 50) * PAGE + random_below(random, PAGE);
	call->write = one_in(random, 2);
	call->byte = (uint8_t)(1 + random_below(random, 255));
}

void call_random(struct random *random, const struct model_rules *rules, struct call *ret)
{
	static const enum call_kind kinds[] = {CALL_CREATE, CALL_CREATE, CALL_CREATE,
		CALL_DUPLICATE, CALL_CLOSE, CALL_HOLD, CALL_FALLOCATE, CALL_FALLOCATE,
		CALL_FALLOCATE, CALL_FALLOCATE, CALL_MAP, CALL_HOST, CALL_HOST, CALL_HOST,
		CALL_REGION, CALL_REGION, CALL_REGION, CALL_REGION, CALL_REGION, CALL_REGION,
		CALL_REGION, CALL_REGION_V1, CALL_REGION_V1, CALL_ATTRIBUTES, CALL_ATTRIBUTES,
		CALL_GUEST, CALL_GUEST, CALL_GUEST, CALL_GUEST};
	struct call call = {.kind = one_in(random, 60) ? CALL_VM : PICK(random, kinds)};

	if (call.kind == CALL_CLOSE && one_in(random, 2))
		call.kind = CALL_FALLOCATE; /* most files should live a while */
	call.vm = call.kind != CALL_GUEST && one_in(random, 12);
	call.memory = (unsigned)random_below(random, CALL_MEMORIES);
	call.other = (unsigned)random_below(random, CALL_MEMORIES);
	if (call.kind == CALL_CREATE)
		random_create(random, &call);
	else if (call.kind == CALL_FALLOCATE)
		random_fallocate(random, &call);
	else if (call.kind == CALL_MAP)
		random_map(random, &call);
	else if (call.kind == CALL_HOST)
		random_host(random, &call);
	else if (call.kind == CALL_REGION || call.kind == CALL_REGION_V1)
		random_region(random, rules, &call);
	else if (call.kind == CALL_ATTRIBUTES)
		random_attributes(random, &call);
	else if (call.kind == CALL_GUEST)
		random_guest(random, &call);
	*ret = call;
}
