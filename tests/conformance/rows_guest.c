/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows about what a guest reads and writes while all of its memory is shared.
 *
 * Where slots have their guest_memfd mapped at the userspace address, it is the same to a guest
 * whether KVM faults its pages in or emulates its instructions.
 */
#include <errno.h>

#include "tests/conformance/row.h"

#define BASE (16ULL << 20)

/* A memory of some pages, mapped by the host where that may be. */
static void start(struct trial *trial, unsigned memory, uint64_t pages)
{
	EXPECT(trial, create(trial, memory, pages * PAGE, all_flags(trial)), 0, "create");
	if (all_flags(trial) & GUEST_MEMFD_FLAG_INIT_SHARED)
		EXPECT(trial, hold(trial, memory, pages * PAGE), 0, "map");
}

static void host_and_guest_share(struct trial *trial)
{
	start(trial, 0, 16);
	EXPECT(trial, set(trial, mapped(trial, 1, BASE, 16 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, host_write(trial, 0, 5, 0x11), 0, "the host writes");
	EXPECT(trial, guest_read(trial, BASE + 5), 0x11, "the guest reads");
	EXPECT(trial, guest_write(trial, BASE + 3 * PAGE, 0x22), 0, "the guest writes");
	EXPECT(trial, host_read(trial, 0, 3 * PAGE), 0x22, "the host reads");
	EXPECT(trial, resident(trial, 0), 2, "pages");
}

static void a_guest_s_touch_allocates(struct trial *trial)
{
	start(trial, 0, 16);
	EXPECT(trial, set(trial, mapped(trial, 1, BASE, 8 * PAGE, 0, 8 * PAGE)), 0, "bind");
	EXPECT(trial, guest_read(trial, BASE), 0, "read");
	EXPECT(trial, resident(trial, 0), 1, "pages after a read");
	EXPECT(trial, guest_write(trial, BASE + PAGE, 1), 0, "write");
	EXPECT(trial, resident(trial, 0), 2, "pages after a write");
	EXPECT(trial, subject_resident(trial->subject, 0, 8 * PAGE, 2 * PAGE), 2, "which pages");
}

static void a_guest_reads_zeroes_after_a_punch(struct trial *trial)
{
	start(trial, 0, 4);
	EXPECT(trial, set(trial, mapped(trial, 1, BASE, 4 * PAGE, 0, 0)), 0, "bind");
	for (unsigned page = 0; page < 4; page++)
		EXPECT(trial, guest_write(trial, BASE + page * PAGE, 0xa5), 0, "write");
	EXPECT(trial, punch(trial, 0, PAGE, 2 * PAGE), 0, "punch");
	EXPECT(trial, resident(trial, 0), 2, "pages after the punch");
	EXPECT(trial, guest_read(trial, BASE + PAGE), 0, "in the hole");
	EXPECT(trial, guest_read(trial, BASE + 2 * PAGE), 0, "in the hole");
	EXPECT(trial, guest_read(trial, BASE), 0xa5, "the neighbour before");
	EXPECT(trial, guest_read(trial, BASE + 3 * PAGE), 0xa5, "the neighbour behind");
	EXPECT(trial, resident(trial, 0), 4, "pages after the guest has read");
}

static void two_memories_behind_several_slots(struct trial *trial)
{
	start(trial, 0, 16);
	start(trial, 1, 16);
	for (uint32_t slot = 0; slot < 8; slot++)
		EXPECT(trial,
			set(trial, mapped(trial, slot, BASE + slot * 2 * PAGE, 2 * PAGE, slot % 2,
					   (7 - slot) * 2 * PAGE)),
			0, "slot %u", slot);
	for (uint32_t page = 0; page < 16; page++)
		EXPECT(trial, guest_write(trial, BASE + page * PAGE, (uint8_t)(page + 1)), 0,
			"page %u", page);
	EXPECT(trial, resident(trial, 0), 8, "pages of the first");
	EXPECT(trial, resident(trial, 1), 8, "pages of the second");
	for (uint32_t page = 0; page < 16; page++) {
		uint64_t offset = ((7 - page / 2) * 2 + page % 2) * PAGE;

		EXPECT(trial, guest_read(trial, BASE + page * PAGE), page + 1, "page %u", page);
		if (all_flags(trial) & GUEST_MEMFD_FLAG_INIT_SHARED)
			EXPECT(trial, host_read(trial, page / 2 % 2, offset), page + 1,
				"page %u, by the host", page);
	}
}

static void nothing_is_there(struct trial *trial)
{
	struct kvm_userspace_memory_region2 region = plain(trial, 1, BASE, 2 * PAGE);
	int nothing = trial->subject->rules.emulated_guest ? MODEL_ACCESS_MMIO : MODEL_ACCESS_FAULT;

	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "read");
	EXPECT(trial, guest_write(trial, BASE, 1), MODEL_ACCESS_MMIO, "write");
	region.userspace_addr = 0;
	EXPECT(trial, set(trial, region), 0, "a slot on address 0");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + nothing, "read");
	EXPECT(trial, guest_write(trial, BASE, 1), nothing, "write");
	EXPECT(trial, guest_read(trial, BASE + 2 * PAGE), INSTEAD + MODEL_ACCESS_MMIO,
		"read behind it");
}

/* Without the mmap flag a guest_memfd is for what is private alone: the guest runs on the userspace
 * address, and where nothing can be private nobody ever uses the file. */
static void a_memory_that_is_never_seen(struct trial *trial)
{
	uint8_t *bytes = trial->subject->arenas[0] + BASE % SUBJECT_ARENA;

	EXPECT(trial, create(trial, 0, 2 * PAGE, 0), 0, "create without flags");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, 2 * PAGE, 0, 0)), 0, "bind");
	bytes[3] = 0x33;
	EXPECT(trial, guest_read(trial, BASE + 3), 0x33, "read");
	EXPECT(trial, guest_write(trial, BASE + PAGE, 0x44), 0, "write");
	EXPECT(trial, bytes[PAGE], 0x44, "what the guest wrote");
	EXPECT(trial, resident(trial, 0), 0, "pages of the file");
}

static void plain_slots(struct trial *trial)
{
	struct kvm_userspace_memory_region2 region = plain(trial, 1, BASE, 2 * PAGE);
	uint8_t *bytes = trial->subject->arenas[0] + BASE % SUBJECT_ARENA;

	bytes[7] = 0x77;
	EXPECT(trial, set(trial, region), 0, "create");
	EXPECT(trial, guest_read(trial, BASE + 7), 0x77, "read");
	EXPECT(trial, guest_write(trial, BASE + PAGE, 0x66), 0, "write");
	EXPECT(trial, bytes[PAGE], 0x66, "what the guest wrote");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	region.flags = KVM_MEM_READONLY;
	EXPECT(trial, set(trial, region), 0, "create read-only");
	EXPECT(trial, guest_read(trial, BASE + 7), 0x77, "read");
	EXPECT(trial, guest_write(trial, BASE + 7, 1), MODEL_ACCESS_MMIO, "write");
	EXPECT(trial, bytes[7], 0x77, "what the guest did not write");
	EXPECT(trial, guest_write(trial, BASE + PAGE, 1), MODEL_ACCESS_MMIO, "write");
}

static void a_moved_slot(struct trial *trial)
{
	struct kvm_userspace_memory_region2 region = plain(trial, 1, BASE, PAGE);

	EXPECT(trial, set(trial, region), 0, "create");
	EXPECT(trial, guest_write(trial, BASE, 0x55), 0, "write");
	region.guest_phys_addr += 4 * PAGE;
	EXPECT(trial, set(trial, region), 0, "move");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "where it was");
	EXPECT(trial, guest_read(trial, BASE + 4 * PAGE), 0x55, "where it is");
}

static void a_rebound_slot(struct trial *trial)
{
	start(trial, 0, 4);
	EXPECT(trial, set(trial, mapped(trial, 1, BASE, 2 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, guest_write(trial, BASE, 0x44), 0, "write");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "no slot");
	EXPECT(trial, set(trial, mapped(trial, 1, BASE, 2 * PAGE, 0, 2 * PAGE)), 0, "bind");
	EXPECT(trial, guest_read(trial, BASE), 0, "other pages");
	EXPECT(trial, set(trial, mapped(trial, 2, 2 * BASE, 2 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, guest_read(trial, 2 * BASE), 0x44, "the first, elsewhere");
}

static void a_closed_memory(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, all_flags(trial)), 0, "create");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, 4 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, guest_write(trial, BASE, 1), 0, "write");
	EXPECT(trial, close_memory(trial, 0), 0, "close");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MEMORY_FAULT, "read");
	EXPECT(trial, guest_write(trial, BASE, 1), MODEL_ACCESS_MEMORY_FAULT, "write");
	EXPECT(trial, delete_slot(trial, 1), 0, "delete");
	EXPECT(trial, guest_read(trial, BASE), INSTEAD + MODEL_ACCESS_MMIO, "no slot");
}

/* Without GUEST_MEMFD_FLAG_MMAP a guest_memfd is for private memory, even where there is none. */
static void memory_without_the_mmap_flag(struct trial *trial)
{
	uint8_t *bytes = trial->subject->arenas[0] + BASE % SUBJECT_ARENA;

	EXPECT(trial, create(trial, 0, 4 * PAGE, 0), 0, "create");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, 4 * PAGE, 0, 0)), 0, "bind");
	bytes[0] = 0x33;
	EXPECT(trial, guest_read(trial, BASE), 0x33, "read");
	EXPECT(trial, guest_write(trial, BASE + PAGE, 0x34), 0, "write");
	EXPECT(trial, bytes[PAGE], 0x34, "what the guest wrote");
	EXPECT(trial, resident(trial, 0), 0, "pages");
	EXPECT(trial, close_memory(trial, 0), 0, "close");
	EXPECT(trial, guest_read(trial, BASE), 0x33, "read");
}

/* A page fault finds the guest_memfd, whatever the userspace address is. */
static void page_faults(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, all_flags(trial)), 0, "create");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, 4 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, guest_write(trial, BASE, 0x22), 0, "write");
	EXPECT(trial, resident(trial, 0), 1, "pages");
	EXPECT(trial, trial->subject->arenas[0][0], 0, "the userspace address");
	EXPECT(trial, guest_read(trial, BASE), 0x22, "read");
}

/* KVM's emulator knows no guest_memfd: a VMM must map it at the slot's userspace address. */
static void emulation(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, all_flags(trial)), 0, "create");
	EXPECT(trial, set(trial, bound(trial, 1, BASE, 4 * PAGE, 0, 0)), 0, "bind");
	EXPECT(trial, guest_write(trial, BASE, 0x22), 0, "write");
	EXPECT(trial, resident(trial, 0), 0, "pages");
	EXPECT(trial, trial->subject->arenas[0][0], 0x22, "the userspace address");
	EXPECT(trial, close_memory(trial, 0), 0, "close");
	EXPECT(trial, guest_read(trial, BASE), 0x22, "read");
}

const struct row guest_rows[] = {
	{"host and guest share", NEEDS_VCPU | NEEDS_INIT_SHARED, host_and_guest_share},
	{"a guest's touch allocates", NEEDS_VCPU | NEEDS_MMAP | NEEDS_REACH,
		a_guest_s_touch_allocates},
	{"a guest reads zeroes after a punch, neighbours untouched",
		NEEDS_VCPU | NEEDS_MMAP | NEEDS_REACH, a_guest_reads_zeroes_after_a_punch},
	{"two memories behind several slots", NEEDS_VCPU | NEEDS_MMAP | NEEDS_REACH,
		two_memories_behind_several_slots},
	{"where nothing is", NEEDS_VCPU, nothing_is_there},
	{"slots without guest_memfd, read-only ones", NEEDS_VCPU, plain_slots},
	{"a moved slot", NEEDS_VCPU, a_moved_slot},
	{"a slot bound anew", NEEDS_VCPU | NEEDS_MMAP | NEEDS_REACH, a_rebound_slot},
	{"a page fault finds the guest_memfd", NEEDS_VCPU | NEEDS_MMAP | NEEDS_PAGE_FAULTS,
		page_faults},
	{"a memory that is never seen", NEEDS_VCPU | NEEDS_NO_PRIVATE, a_memory_that_is_never_seen},
	{"an emulated access finds the userspace address", NEEDS_VCPU | NEEDS_EMULATION, emulation},
	{"a slot whose memory was closed", NEEDS_VCPU | NEEDS_MMAP | NEEDS_PAGE_FAULTS,
		a_closed_memory},
	{"default state shared", NEEDS_VCPU, memory_without_the_mmap_flag},
	{0},
};
