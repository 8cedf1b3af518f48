/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows about the attributes of guest frames, and about the two halves of a guest's memory.
 */
#include <errno.h>

#include "tests/conformance/row.h"

#define BASE  (16ULL << 20)
#define LARGE (2ULL << 20)

static int set_attributes(
	struct trial *trial, uint64_t address, uint64_t size, uint64_t attributes, uint64_t flags)
{
	const struct kvm_memory_attributes arguments = {
		.address = address, .size = size, .attributes = attributes, .flags = flags};

	return trial->subject->operations->attributes(trial->subject, 0, &arguments);
}

static void no_attributes(struct trial *trial)
{
	bool known = trial->subject->rules.attributes_call;

	EXPECT(trial, to_private(trial, BASE, PAGE), known ? -EINVAL : -ENOTTY, "to private");
	EXPECT(trial, to_shared(trial, BASE, PAGE), known ? 0 : -ENOTTY, "to shared");
	EXPECT(trial, to_shared(trial, BASE, 0), known ? -EINVAL : -ENOTTY, "of nothing");
}

static void every_attribute_and_flag_alone(struct trial *trial)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = 1ULL << bit;

		EXPECT(trial, set_attributes(trial, BASE, PAGE, one, 0),
			one == KVM_MEMORY_ATTRIBUTE_PRIVATE ? 0 : -EINVAL, "attribute %u", bit);
		EXPECT(trial, set_attributes(trial, BASE, PAGE, 0, one), -EINVAL, "flag %u", bit);
	}
}

static void ranges_that_are_none(struct trial *trial)
{
	static const struct {
		uint64_t address, size;
	} tries[] = {
		{BASE, 0},
		{BASE + 1, PAGE},
		{BASE, 1},
		{BASE, PAGE - 1},
		{BASE, PAGE + 1},
		{BASE + PAGE / 2, PAGE / 2},
		{BASE + 1, PAGE - 1},
		{-PAGE, PAGE},
		{-PAGE, 2 * PAGE},
		{PAGE, -PAGE},
		{UINT64_MAX, 1},
	};

	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		EXPECT(trial, to_private(trial, tries[i].address, tries[i].size), -EINVAL,
			"to private: range %zu", i);
		EXPECT(trial, to_shared(trial, tries[i].address, tries[i].size), -EINVAL,
			"to shared: range %zu", i);
	}
}

/* Conversions with a guest. Memory 0, without the MMAP flag, holds the private half. */

static uint8_t *shared_byte(struct trial *trial, uint64_t guest_phys_addr)
{
	return trial->subject->arenas[0] + guest_phys_addr % SUBJECT_ARENA;
}

static void start(struct trial *trial, uint64_t size)
{
	EXPECT(trial, create(trial, 0, size, 0), 0, "create");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, size, 0, 0)), 0, "bind");
}

static void two_halves(struct trial *trial)
{
	start(trial, 4 * PAGE);
	EXPECT(trial, guest_write(trial, BASE, 0x11), 0, "write to the shared half");
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "to private");
	EXPECT(trial, guest_read(trial, BASE), 0, "the private half is new");
	EXPECT(trial, guest_write(trial, BASE, 0x22), 0, "write to the private half");
	EXPECT(trial, resident(trial, 0), 1, "pages");
	EXPECT(trial, *shared_byte(trial, BASE), 0x11, "the host's byte");
	EXPECT(trial, to_shared(trial, BASE, 4 * PAGE), 0, "to shared");
	EXPECT(trial, guest_read(trial, BASE), 0x11, "the shared half");
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "to private");
	EXPECT(trial, guest_read(trial, BASE), 0x22, "the private half was kept");
	EXPECT(trial, punch(trial, 0, 0, PAGE), 0, "punch");
	EXPECT(trial, guest_read(trial, BASE), 0, "the private half after a punch");
}

static void host_bytes_unchanged_while_private(struct trial *trial)
{
	start(trial, 8 * PAGE);
	for (unsigned page = 0; page < 8; page++)
		*shared_byte(trial, BASE + page * PAGE) = (uint8_t)(0xc0 + page);
	EXPECT(trial, to_private(trial, BASE + 2 * PAGE, 4 * PAGE), 0, "to private");
	for (unsigned page = 0; page < 8; page++)
		EXPECT(trial, guest_write(trial, BASE + page * PAGE, 0x99), 0, "page %u", page);
	for (unsigned page = 0; page < 8; page++)
		EXPECT(trial, *shared_byte(trial, BASE + page * PAGE),
			page >= 2 && page < 6 ? 0xc0 + page : 0x99, "page %u", page);
	EXPECT(trial, resident(trial, 0), 4, "pages");
}

/* Which half each page of [first, last) of the memory is read from: the private one is all 0. */
static void check_halves(struct trial *trial, uint64_t first, uint64_t last, uint64_t from,
	uint64_t to, const char *what)
{
	for (uint64_t at = first; at < last; at += PAGE)
		EXPECT(trial, guest_read(trial, BASE + at), at >= from && at < to ? 0 : 0xee,
			"%s: at %#llx", what, (unsigned long long)at);
}

static void straddling(struct trial *trial, uint64_t unit)
{
	uint64_t from = unit - PAGE, to = unit + PAGE;
	uint64_t first = unit > 4 * PAGE ? unit - 4 * PAGE : 0, last = unit + 4 * PAGE;

	start(trial, 3 * LARGE);
	for (uint64_t at = 0; at < 3 * LARGE; at += PAGE)
		*shared_byte(trial, BASE + at) = 0xee;
	check_halves(trial, first, last, 0, 0, "before");
	EXPECT(trial, to_private(trial, BASE + from, to - from), 0, "to private");
	check_halves(trial, first, last, from, to, "private");
	EXPECT(trial, to_shared(trial, BASE + unit, PAGE), 0, "half of it to shared");
	check_halves(trial, first, last, from, unit, "half");
	EXPECT(trial, to_private(trial, BASE, 3 * LARGE), 0, "all to private");
	check_halves(trial, first, last, 0, 3 * LARGE, "all private");
	EXPECT(trial, to_shared(trial, BASE, 3 * LARGE), 0, "all to shared");
	check_halves(trial, first, last, 0, 0, "all shared");
}

static void straddling_pages(struct trial *trial)
{
	straddling(trial, PAGE);
}

static void straddling_large_pages(struct trial *trial)
{
	straddling(trial, LARGE);
}

/* One conversion over several slots, one of which has no guest_memfd. */
static void straddling_slots(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 8 * PAGE, 0), 0, "create");
	EXPECT(trial, create(trial, 1, 8 * PAGE, 0), 0, "create");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, 4 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, set(trial, bound(trial, 2, BASE + 4 * PAGE, 4 * PAGE, 1, 4 * PAGE)), 0,
		"bind");
	EXPECT(trial, set(trial, plain(trial, 3, BASE + 8 * PAGE, 4 * PAGE)), 0, "a plain slot");
	EXPECT(trial, to_private(trial, BASE + 2 * PAGE, 8 * PAGE), 0, "to private");
	EXPECT(trial, guest_write(trial, BASE + 3 * PAGE, 1), 0, "the first");
	EXPECT(trial, guest_write(trial, BASE + 4 * PAGE, 1), 0, "the second");
	EXPECT(trial, subject_resident(trial->subject, 0, 3 * PAGE, PAGE), 1, "where");
	EXPECT(trial, subject_resident(trial->subject, 1, 4 * PAGE, PAGE), 1, "where");
	EXPECT(trial, guest_write(trial, BASE + 8 * PAGE, 1), MODEL_ACCESS_MEMORY_FAULT,
		"the plain slot");
	EXPECT(trial, guest_write(trial, BASE + 10 * PAGE, 1), 0, "its shared part");
}

static void shared_islands(struct trial *trial)
{
	start(trial, 16 * PAGE);
	for (unsigned page = 0; page < 16; page++)
		*shared_byte(trial, BASE + page * PAGE) = 0xee;
	EXPECT(trial, to_private(trial, BASE, 16 * PAGE), 0, "to private");
	for (unsigned page = 1; page < 16; page += 2)
		EXPECT(trial, to_shared(trial, BASE + page * PAGE, PAGE), 0, "an island");
	for (unsigned page = 0; page < 16; page++)
		EXPECT(trial, guest_read(trial, BASE + page * PAGE), page % 2 ? 0xee : 0, "page %u",
			page);
	EXPECT(trial, resident(trial, 0), 8, "pages");
}

static void private_without_memory(struct trial *trial)
{
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "where nothing is bound");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT, "no slot");
	EXPECT(trial, set(trial, plain(trial, 2, BASE + PAGE, PAGE)), 0, "a plain slot");
	EXPECT(trial, guest_read(trial, BASE + PAGE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT,
		"no guest_memfd");
	EXPECT(trial, to_shared(trial, BASE, 4 * PAGE), 0, "to shared");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "no slot");
	EXPECT(trial, guest_read(trial, BASE + PAGE), 0, "the plain slot");
}

/* What KVM remembers of a hole passes conversions by, and is of no use once slots change. */
static void a_hole_touched_while_shared(struct trial *trial)
{
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "a hole");
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "to private");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "touched before");
	EXPECT(trial, guest_read(trial, BASE + PAGE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT,
		"not touched before");
	EXPECT(trial, set(trial, plain(trial, 2, 2 * BASE, PAGE)), 0, "a slot elsewhere");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT,
		"after slots have changed");
}

/* The exit says that the frame is shared, which it is not. */
static void a_slot_in_a_hole_that_was_touched(struct trial *trial)
{
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "a hole");
	start(trial, 4 * PAGE);
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "to private");
	for (unsigned time = 0; time < 4; time++)
		EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT,
			"time %u", time);
	EXPECT(trial, guest_read(trial, BASE + PAGE), 0, "not touched before");
	EXPECT(trial, to_private(trial, BASE, PAGE), 0, "once more");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT, "after that");
	EXPECT(trial, to_shared(trial, BASE, PAGE), 0, "to shared");
	EXPECT(trial, guest_write(trial, BASE, 1), 0, "touched while shared");
	EXPECT(trial, to_private(trial, BASE, PAGE), 0, "to private");
	EXPECT(trial, guest_read(trial, BASE), 0, "then it is there");
}

static void attributes_outlive_slots(struct trial *trial)
{
	start(trial, 4 * PAGE);
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "to private");
	EXPECT(trial, guest_write(trial, BASE, 0x12), 0, "write");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT, "no slot");
	EXPECT(trial, set(trial, bound(trial, 5, BASE, 4 * PAGE, 0, 0)), 0, "bind again");
	EXPECT(trial, guest_read(trial, BASE), 0x12, "still private");
}

static void a_private_slot_whose_memory_was_closed(struct trial *trial)
{
	start(trial, 4 * PAGE);
	EXPECT(trial, to_private(trial, BASE, 2 * PAGE), 0, "to private");
	EXPECT(trial, guest_write(trial, BASE, 1), 0, "write");
	EXPECT(trial, close_memory(trial, 0), 0, "close");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT, "private");
	EXPECT(trial, guest_read(trial, BASE + 2 * PAGE), 0, "shared");
}

static void idempotent_conversions(struct trial *trial)
{
	start(trial, 4 * PAGE);
	for (int i = 0; i < 2; i++)
		EXPECT(trial, to_private(trial, BASE, 2 * PAGE), 0, "to private");
	EXPECT(trial, guest_write(trial, BASE, 0x31), 0, "write");
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "to private once more");
	EXPECT(trial, guest_read(trial, BASE), 0x31, "read");
	for (int i = 0; i < 2; i++)
		EXPECT(trial, to_shared(trial, BASE, 4 * PAGE), 0, "to shared");
	EXPECT(trial, guest_read(trial, BASE), 0, "read");
}

/* With the MMAP flag the shared half comes from the guest_memfd as well: one half in all. */
static void one_half_with_the_mmap_flag(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, GUEST_MEMFD_FLAG_MMAP), 0, "create");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, 4 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, guest_write(trial, BASE, 0x41), 0, "write while shared");
	EXPECT(trial, resident(trial, 0), 1, "pages");
	EXPECT(trial, to_private(trial, BASE, 4 * PAGE), 0, "to private");
	EXPECT(trial, guest_read(trial, BASE), 0x41, "read while private");
	EXPECT(trial, *shared_byte(trial, BASE), 0, "the userspace address");
}

#define CONVERTS (NEEDS_VCPU | NEEDS_PRIVATE | NEEDS_PAGE_FAULTS)

const struct row attribute_rows[] = {
	{"a VM type without attributes", NEEDS_NO_PRIVATE, no_attributes},
	{"every attribute and flag alone", NEEDS_PRIVATE, every_attribute_and_flag_alone},
	{"conversions: empty, unaligned, wrapping", NEEDS_PRIVATE, ranges_that_are_none},
	{"two halves", CONVERTS, two_halves},
	{"host bytes unchanged while private", CONVERTS, host_bytes_unchanged_while_private},
	{"conversions that straddle pages of 4 KiB", CONVERTS, straddling_pages},
	{"conversions that straddle pages of 2 MiB", CONVERTS, straddling_large_pages},
	{"conversions that straddle slots", CONVERTS, straddling_slots},
	{"shared islands inside private ranges", CONVERTS, shared_islands},
	{"private without a memory", CONVERTS, private_without_memory},
	{"a hole that was touched while shared", CONVERTS, a_hole_touched_while_shared},
	{"a slot in a hole that was touched while shared", CONVERTS,
		a_slot_in_a_hole_that_was_touched},
	{"attributes outlive slots", CONVERTS, attributes_outlive_slots},
	{"a private slot whose memory was closed", CONVERTS,
		a_private_slot_whose_memory_was_closed},
	{"idempotent conversions", CONVERTS, idempotent_conversions},
	{"one half with the MMAP flag", CONVERTS | NEEDS_MMAP, one_half_with_the_mmap_flag},
	{0},
};
