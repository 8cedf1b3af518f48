/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows about memslots: what can be bound where, what can be changed, what closing a file does.
 */
#include <errno.h>

#include "tests/conformance/row.h"

#define BASE (16ULL << 20) /* a guest address */

/* Memory 0 of 16 pages, bound to nothing. */
static void start(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 16 * PAGE, all_flags(trial)), 0, "create");
}

/* Binds pages of memory 0 at the same place after BASE. */
static int bind_pages(struct trial *trial, uint32_t slot, uint64_t first, uint64_t count)
{
	return set(trial, bound(trial, slot, BASE + first * PAGE, count * PAGE, 0, first * PAGE));
}

static void a_binding(struct trial *trial)
{
	start(trial);
	EXPECT(trial, bind_pages(trial, 3, 0, 16), 0, "bind");
	EXPECT(trial, resident(trial, 0), 0, "pages that a binding costs");
	EXPECT(trial, delete_slot(trial, 3), 0, "delete");
	EXPECT(trial, resident(trial, 0), 0, "pages");
}

static void files_that_do_not_fit(struct trial *trial)
{
	const struct subject_operations *operations = trial->subject->operations;

	start(trial);
	EXPECT(trial, set(trial, bound(trial, 0, BASE, PAGE, 1, 0)), -EBADF, "no file");
	EXPECT(trial, set(trial, bound(trial, 0, BASE, PAGE, SUBJECT_OTHER_FILE, 0)), -EINVAL,
		"no guest_memfd");
	EXPECT(trial, operations->vm_new(trial->subject, 1), 0, "another VM");
	EXPECT(trial, operations->create(trial->subject, 1, 1, 16 * PAGE, 0), 0, "its memory");
	EXPECT(trial, set(trial, bound(trial, 0, BASE, PAGE, 1, 0)), -EINVAL, "another VM's");
	operations->vm_free(trial->subject, 1);
	EXPECT(trial, set(trial, bound(trial, 0, BASE, PAGE, 1, 0)), -EINVAL, "a past VM's");
	EXPECT(trial, delete_slot(trial, 0), -EINVAL, "delete what was not made");
}

static void offsets_that_do_not_fit(struct trial *trial)
{
	static const struct {
		uint64_t offset, size;
	} tries[] = {
		{1, PAGE},
		{PAGE / 2, PAGE},
		{PAGE - 1, PAGE},
		{16 * PAGE, PAGE},
		{15 * PAGE, 2 * PAGE},
		{0, 17 * PAGE},
		{1ULL << 40, PAGE},
		{1ULL << 63, PAGE},
		{-PAGE, PAGE},
		{-2 * PAGE, PAGE},
	};

	start(trial);
	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
		EXPECT(trial, set(trial, bound(trial, 0, BASE, tries[i].size, 0, tries[i].offset)),
			-EINVAL, "offset %#llx", (unsigned long long)tries[i].offset);
	EXPECT(trial, set(trial, bound(trial, 0, BASE, PAGE, 0, 15 * PAGE)), 0, "the last page");
}

static void every_slot_flag_alone(struct trial *trial)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		struct kvm_userspace_memory_region2 region = plain(trial, 1, BASE, PAGE);
		bool known = bit == 0 || bit == 1;

		region.flags = 1u << bit;
		region.guest_memfd = 1;
		EXPECT(trial, set(trial, region),
			region.flags == KVM_MEM_GUEST_MEMFD ? -EBADF
			: known                             ? 0
							    : -EINVAL,
			"flag %u", bit);
		delete_slot(trial, 1);
		EXPECT(trial, set_v1(trial, region), known ? 0 : -EINVAL, "flag %u, v1", bit);
		delete_slot(trial, 1);
	}
}

static void flags_beside_guest_memfd(struct trial *trial)
{
	start(trial);
	for (unsigned bit = 0; bit < 32; bit++) {
		struct kvm_userspace_memory_region2 region = bound(trial, 1, BASE, PAGE, 0, 0);

		region.flags |= 1u << bit;
		EXPECT(trial, set(trial, region), region.flags == KVM_MEM_GUEST_MEMFD ? 0 : -EINVAL,
			"flag %u", bit);
		EXPECT(trial, set_v1(trial, region), -EINVAL, "flag %u, v1", bit);
		delete_slot(trial, 1);
	}
}

static void adjacent_offsets(struct trial *trial)
{
	start(trial);
	EXPECT(trial, bind_pages(trial, 1, 4, 4), 0, "bind");
	EXPECT(trial, bind_pages(trial, 2, 8, 4), 0, "bind behind it");
	EXPECT(trial, bind_pages(trial, 3, 0, 4), 0, "bind before it");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	EXPECT(trial, bind_pages(trial, 1, 4, 4), 0, "bind between");
}

/* Ranges of pages that overlap [4, 8): front, back, inside, around, the same. */
static const struct {
	uint64_t first, count;
} overlaps[] = {{3, 2}, {0, 5}, {7, 2}, {7, 9}, {5, 2}, {4, 1}, {7, 1}, {3, 6}, {0, 16}, {4, 4}};
#define OVERLAPS (sizeof overlaps / sizeof *overlaps)

static void overlapping_offsets(struct trial *trial)
{
	start(trial);
	EXPECT(trial, bind_pages(trial, 1, 4, 4), 0, "bind");
	for (size_t i = 0; i < OVERLAPS; i++)
		EXPECT(trial,
			set(trial, bound(trial, 2, 2 * BASE, overlaps[i].count * PAGE, 0,
					   overlaps[i].first * PAGE)),
			-trial->subject->rules.overlapping_offsets, "%llu pages from %llu",
			(unsigned long long)overlaps[i].count,
			(unsigned long long)overlaps[i].first);
	EXPECT(trial, set(trial, bound(trial, 2, 2 * BASE, PAGE, 0, 8 * PAGE)), 0, "no overlap");
}

/* Both at once: which is looked at first. */
static void overlapping_offsets_past_the_end(struct trial *trial)
{
	uint64_t end = trial->subject->rules.guest_phys_end;
	int first = trial->subject->rules.guest_end_first
			    ? EINVAL
			    : trial->subject->rules.overlapping_offsets;

	start(trial);
	EXPECT(trial, bind_pages(trial, 1, 4, 4), 0, "bind");
	EXPECT(trial, set(trial, bound(trial, 2, end, PAGE, 0, 5 * PAGE)), -first, "both");
	EXPECT(trial, set(trial, bound(trial, 2, end, PAGE, 0, 0)), -EINVAL, "past the end");
}

static void overlapping_addresses(struct trial *trial)
{
	start(trial);
	EXPECT(trial, create(trial, 1, 16 * PAGE, 0), 0, "create");
	EXPECT(trial, bind_pages(trial, 1, 4, 4), 0, "bind");
	for (size_t i = 0; i < OVERLAPS; i++) {
		uint64_t address = BASE + overlaps[i].first * PAGE;
		uint64_t size = overlaps[i].count * PAGE;

		EXPECT(trial, set(trial, bound(trial, 2, address, size, 1, 0)), -EEXIST,
			"overlap %zu", i);
		EXPECT(trial, set_v1(trial, plain(trial, 2, address, size)), -EEXIST,
			"overlap %zu, v1", i);
		/* Before the file is looked at. */
		EXPECT(trial, set(trial, bound(trial, 2, address, size, 9, 0)), -EEXIST,
			"overlap %zu, no file", i);
	}
	EXPECT(trial, set(trial, bound(trial, 2, BASE + 8 * PAGE, PAGE, 1, 0)), 0, "behind it");
	EXPECT(trial, set(trial, bound(trial, 3, BASE, 4 * PAGE, 1, PAGE)), 0, "before it");
}

static void addresses_that_do_not_fit(struct trial *trial)
{
	struct kvm_userspace_memory_region2 regions[8];
	uint64_t guest_end = trial->subject->rules.guest_phys_end;
	uint64_t user_end = trial->subject->rules.userspace_end;

	start(trial);
	for (size_t i = 0; i < 8; i++)
		regions[i] = bound(trial, 1, BASE, PAGE, 0, 0);
	regions[0].guest_phys_addr += 1;
	regions[1].memory_size += 512;
	regions[2].userspace_addr += 8;
	regions[3].userspace_addr = user_end;
	regions[4].userspace_addr = -PAGE;
	regions[5].guest_phys_addr = -PAGE;
	regions[6].guest_phys_addr = guest_end;
	regions[7].guest_phys_addr = guest_end - PAGE;
	regions[7].memory_size = 2 * PAGE;
	for (size_t i = 0; i < 8; i++)
		EXPECT(trial, set(trial, regions[i]), -EINVAL, "region %zu", i);
	regions[7].memory_size = PAGE;
	regions[7].userspace_addr = user_end - PAGE;
	EXPECT(trial, set(trial, regions[7]), 0, "the last page of both");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
}

static void userspace_addresses_are_not_looked_at(struct trial *trial)
{
	struct kvm_userspace_memory_region2 region = bound(trial, 1, BASE, 4 * PAGE, 0, 0);

	start(trial);
	region.userspace_addr = 0;
	EXPECT(trial, set(trial, region), 0, "bind at address 0");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	region.userspace_addr = 64ULL << 40;
	EXPECT(trial, set(trial, region), 0, "bind where nothing is mapped");
}

static void too_many_pages(struct trial *trial)
{
	struct kvm_userspace_memory_region2 region = plain(trial, 1, 0, (1ULL << 31) * PAGE);

	region.userspace_addr = 0;
	EXPECT(trial, set(trial, region), -EINVAL, "2^31 pages");
	region.memory_size = 0ULL - PAGE;
	EXPECT(trial, set(trial, region), -EINVAL, "more than there are addresses");
}

static void bound_slots_are_immutable(struct trial *trial)
{
	struct kvm_userspace_memory_region2 region = bound(trial, 1, BASE, 4 * PAGE, 0, 4 * PAGE);
	struct kvm_userspace_memory_region2 other;

	start(trial);
	EXPECT(trial, set(trial, region), 0, "bind");
	EXPECT(trial, set(trial, region), -EINVAL, "the same again");
	other = region;
	other.guest_phys_addr += 64 * PAGE;
	EXPECT(trial, set(trial, other), -EINVAL, "move");
	other = region;
	other.guest_memfd_offset = 0;
	EXPECT(trial, set(trial, other), -EINVAL, "another offset");
	other = region;
	other.userspace_addr += PAGE;
	EXPECT(trial, set(trial, other), -EINVAL, "another userspace address");
	other = region;
	other.memory_size += PAGE;
	EXPECT(trial, set(trial, other), -EINVAL, "another size");
	other = region;
	other.flags = 0;
	EXPECT(trial, set(trial, other), -EINVAL, "without its flag");
	EXPECT(trial, set_v1(trial, other), -EINVAL, "without its flag, v1");
	other.flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT(trial, set_v1(trial, other), -EINVAL, "dirty log");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
}

static void plain_slots_change(struct trial *trial)
{
	struct kvm_userspace_memory_region2 region = plain(trial, 1, BASE, 4 * PAGE);

	start(trial);
	EXPECT(trial, set_v1(trial, region), 0, "create");
	EXPECT(trial, set(trial, region), 0, "the same again");
	region.flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT(trial, set(trial, region), 0, "dirty log on");
	region.guest_phys_addr += 2 * PAGE;
	EXPECT(trial, set(trial, region), 0, "move, over where it was");
	EXPECT(trial, set(trial, plain(trial, 2, BASE, 2 * PAGE)), 0, "what it left is free");
	region.guest_phys_addr -= PAGE;
	EXPECT(trial, set(trial, region), -EEXIST, "move onto another");
	region.guest_phys_addr += PAGE;
	region.flags = KVM_MEM_READONLY;
	EXPECT(trial, set(trial, region), -EINVAL, "read-only");
	region.flags = 0;
	region.memory_size += PAGE;
	EXPECT(trial, set(trial, region), -EINVAL, "another size");
	region = bound(trial, 1, region.guest_phys_addr, 4 * PAGE, 0, 0);
	EXPECT(trial, set(trial, region), -EINVAL, "a guest_memfd for it");
}

static void deletion_by_v1(struct trial *trial)
{
	start(trial);
	EXPECT(trial, bind_pages(trial, 1, 0, 4), 0, "bind");
	EXPECT(trial, set_v1(trial, (struct kvm_userspace_memory_region2){.slot = 1}), 0, "delete");
	EXPECT(trial, delete_slot(trial, 1), -EINVAL, "delete again");
	EXPECT(trial, bind_pages(trial, 2, 0, 4), 0, "its range is free");
}

static void deletion_then_creation(struct trial *trial)
{
	start(trial);
	EXPECT(trial, allocate(trial, 0, 0, 16 * PAGE), 0, "allocate");
	for (uint64_t i = 0; i < 8; i++) {
		EXPECT(trial, bind_pages(trial, 1, i, 8), 0, "bind");
		EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	}
	EXPECT(trial, resident(trial, 0), 16, "pages");
}

static void deletion_of_a_missing_slot(struct trial *trial)
{
	struct kvm_userspace_memory_region2 nothing = {.slot = 1};

	EXPECT(trial, set(trial, nothing), -EINVAL, "delete");
	EXPECT(trial, set_v1(trial, nothing), -EINVAL, "delete, v1");
	nothing.flags = KVM_MEM_GUEST_MEMFD;
	EXPECT(trial, set(trial, nothing), -EINVAL, "with the flag");
}

static void closing_empties_slots(struct trial *trial)
{
	start(trial);
	EXPECT(trial, bind_pages(trial, 1, 0, 4), 0, "bind");
	EXPECT(trial, bind_pages(trial, 2, 8, 4), 0, "bind");
	EXPECT(trial, close_memory(trial, 0), 0, "close");
	start(trial);
	EXPECT(trial, bind_pages(trial, 1, 0, 4), -EINVAL, "the slot is still there");
	EXPECT(trial, bind_pages(trial, 3, 0, 4), -EEXIST, "its address, too");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete after close");
	EXPECT(trial, set_v1(trial, (struct kvm_userspace_memory_region2){.slot = 2}), 0,
		"delete after close, v1");
	EXPECT(trial, bind_pages(trial, 1, 0, 4), 0, "bind anew");
}

static void duplicates_and_mappings_keep_slots(struct trial *trial)
{
	const struct subject_operations *operations = trial->subject->operations;
	int overlap = -trial->subject->rules.overlapping_offsets;

	start(trial);
	EXPECT(trial, bind_pages(trial, 1, 0, 4), 0, "bind");
	EXPECT(trial, operations->duplicate(trial->subject, 0, 1), 0, "duplicate");
	EXPECT(trial, close_memory(trial, 0), 0, "close the original");
	EXPECT(trial, set(trial, bound(trial, 2, 2 * BASE, PAGE, 1, 0)), overlap, "still bound");
	if (all_flags(trial) & GUEST_MEMFD_FLAG_MMAP)
		EXPECT(trial, hold(trial, 1, PAGE), 0, "map");
	EXPECT(trial, set(trial, bound(trial, 2, 2 * BASE, PAGE, 1, 4 * PAGE)), 0, "bind");
	EXPECT(trial, close_memory(trial, 1), 0, "close the duplicate");
	operations->let_go(trial->subject);
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	EXPECT(trial, delete_slot(trial, 2), 0, "delete");
}

static void slot_numbers_at_the_limit(struct trial *trial)
{
	uint32_t limit = trial->subject->rules.memslots;
	uint32_t spaces = trial->subject->rules.address_spaces;

	start(trial);
	EXPECT(trial, bind_pages(trial, limit - 1, 0, 1), 0, "the last");
	EXPECT(trial, bind_pages(trial, limit, 1, 1), -EINVAL, "one more");
	EXPECT(trial, bind_pages(trial, 0x7fff, 1, 1), -EINVAL, "32767");
	EXPECT(trial, bind_pages(trial, 0xffff, 1, 1), -EINVAL, "65535");
	EXPECT(trial, bind_pages(trial, spaces << 16, 1, 1), -EINVAL, "an address space more");
	EXPECT(trial, bind_pages(trial, 0xffff0000, 1, 1), -EINVAL, "the last address space");
	EXPECT(trial, bind_pages(trial, (spaces - 1) << 16, 1, 1), 0, "the first in the last");
	EXPECT(trial, delete_slot(trial, limit), -EINVAL, "delete past the limit");
}

static void all_slots(struct trial *trial)
{
	uint32_t limit = trial->subject->rules.memslots;

	EXPECT(trial, create(trial, 0, limit * PAGE, 0), 0, "create");
	for (uint32_t slot = 0; slot < limit; slot++)
		EXPECT(trial, bind_pages(trial, slot, slot, 1), 0, "slot %u", slot);
	EXPECT(trial, bind_pages(trial, limit, limit, 1), -EINVAL, "one more");
	EXPECT(trial, bind_pages(trial, 0, 0, 1), -EINVAL, "one that is taken");
	EXPECT(trial, delete_slot(trial, limit / 2), 0, "delete one");
	EXPECT(trial, bind_pages(trial, limit / 2, limit / 2, 1), 0, "bind it again");
}

const struct row slot_rows[] = {
	{"a binding", 0, a_binding},
	{"files that can't be bound", 0, files_that_do_not_fit},
	{"offsets: unaligned, past the end, wrapping", 0, offsets_that_do_not_fit},
	{"every slot flag alone, v1 and v2", 0, every_slot_flag_alone},
	{"every flag beside GUEST_MEMFD", 0, flags_beside_guest_memfd},
	{"adjacent offsets", 0, adjacent_offsets},
	{"overlapping offsets front and back", 0, overlapping_offsets},
	{"overlapping offsets past the end of guest addresses", 0,
		overlapping_offsets_past_the_end},
	{"overlapping guest addresses", 0, overlapping_addresses},
	{"addresses: unaligned, past the end, wrapping", 0, addresses_that_do_not_fit},
	{"userspace addresses are not looked at", 0, userspace_addresses_are_not_looked_at},
	{"slots of too many pages", 0, too_many_pages},
	{"bound slots are immutable", 0, bound_slots_are_immutable},
	{"slots without guest_memfd change", 0, plain_slots_change},
	{"deletion through the v1 call", 0, deletion_by_v1},
	{"delete then create the same slot", 0, deletion_then_creation},
	{"delete of a missing slot", 0, deletion_of_a_missing_slot},
	{"closing empties slots, deletion after close", 0, closing_empties_slots},
	{"duplicates and mappings keep slots bound", 0, duplicates_and_mappings_keep_slots},
	{"a slot number at the limit", 0, slot_numbers_at_the_limit},
	{"filling all memslots", 0, all_slots},
	{0},
};
