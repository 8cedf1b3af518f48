/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What rows are written with. See row.h.
 */
#include "tests/conformance/row.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>

void row_expect(struct trial *trial, int64_t actual, int64_t expected, const char *file, int line,
	const char *format, ...)
{
	va_list arguments;

	if (actual == expected)
		return;
	trial->failures++;
	printf("# %s:%d: ", file, line);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf(": %lld, expected %lld\n", (long long)actual, (long long)expected);
}

uint64_t all_flags(const struct trial *trial)
{
	return trial->subject->rules.guest_memfd_flags;
}

int create(struct trial *trial, unsigned memory, uint64_t size, uint64_t flags)
{
	return trial->subject->operations->create(trial->subject, 0, memory, size, flags);
}

int hold(struct trial *trial, unsigned memory, size_t size)
{
	return trial->subject->operations->hold(trial->subject, memory, size);
}

int close_memory(struct trial *trial, unsigned memory)
{
	return trial->subject->operations->close(trial->subject, memory);
}

int allocate(struct trial *trial, unsigned memory, uint64_t offset, uint64_t length)
{
	return trial->subject->operations->fallocate(
		trial->subject, memory, FALLOC_FL_KEEP_SIZE, (int64_t)offset, (int64_t)length);
}

int punch(struct trial *trial, unsigned memory, uint64_t offset, uint64_t length)
{
	return trial->subject->operations->fallocate(trial->subject, memory,
		FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (int64_t)offset, (int64_t)length);
}

int64_t resident(struct trial *trial, unsigned memory)
{
	return subject_resident(trial->subject, memory, 0, 0);
}

struct kvm_userspace_memory_region2 plain(
	const struct trial *trial, uint32_t slot, uint64_t guest_phys_addr, uint64_t size)
{
	uintptr_t arena = (uintptr_t)trial->subject->arenas[0];

	return (struct kvm_userspace_memory_region2){
		.slot = slot,
		.guest_phys_addr = guest_phys_addr,
		.memory_size = size,
		.userspace_addr = arena + guest_phys_addr % SUBJECT_ARENA,
	};
}

struct kvm_userspace_memory_region2 bound(const struct trial *trial, uint32_t slot,
	uint64_t guest_phys_addr, uint64_t size, unsigned memory, uint64_t offset)
{
	struct kvm_userspace_memory_region2 region = plain(trial, slot, guest_phys_addr, size);

	region.flags = KVM_MEM_GUEST_MEMFD;
	region.guest_memfd = memory;
	region.guest_memfd_offset = offset;
	return region;
}

struct kvm_userspace_memory_region2 mapped(const struct trial *trial, uint32_t slot,
	uint64_t guest_phys_addr, uint64_t size, unsigned memory, uint64_t offset)
{
	struct kvm_userspace_memory_region2 region =
		bound(trial, slot, guest_phys_addr, size, memory, offset);

	if (trial->subject->held[memory])
		region.userspace_addr = (uintptr_t)trial->subject->held[memory] + offset;
	return region;
}

int set(struct trial *trial, struct kvm_userspace_memory_region2 region)
{
	return trial->subject->operations->region(trial->subject, 0, MODEL_REGION_V2, &region);
}

int set_v1(struct trial *trial, struct kvm_userspace_memory_region2 region)
{
	return trial->subject->operations->region(trial->subject, 0, MODEL_REGION_V1, &region);
}

int delete_slot(struct trial *trial, uint32_t slot)
{
	return set(trial, (struct kvm_userspace_memory_region2){.slot = slot});
}

static int convert(struct trial *trial, uint64_t address, uint64_t size, uint64_t attributes)
{
	const struct kvm_memory_attributes arguments = {
		.address = address, .size = size, .attributes = attributes};

	return trial->subject->operations->attributes(trial->subject, 0, &arguments);
}

int to_private(struct trial *trial, uint64_t address, uint64_t size)
{
	return convert(trial, address, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

int to_shared(struct trial *trial, uint64_t address, uint64_t size)
{
	return convert(trial, address, size, 0);
}

int guest_read(struct trial *trial, uint64_t guest_phys_addr)
{
	uint8_t byte = 0;
	int r = trial->subject->operations->guest(
		trial->subject, 0, guest_phys_addr, &byte, /* write= */ false);

	if (r == MODEL_ACCESS_DONE)
		return byte;
	return r < 0 ? r : INSTEAD + r;
}

int guest_write(struct trial *trial, uint64_t guest_phys_addr, uint8_t byte)
{
	return trial->subject->operations->guest(
		trial->subject, 0, guest_phys_addr, &byte, /* write= */ true);
}

int host_read(struct trial *trial, unsigned memory, uint64_t offset)
{
	uint8_t byte = 0;
	int r = trial->subject->operations->host(
		trial->subject, memory, offset, &byte, /* write= */ false);

	return r < 0 ? r : byte;
}

int host_write(struct trial *trial, unsigned memory, uint64_t offset, uint8_t byte)
{
	return trial->subject->operations->host(
		trial->subject, memory, offset, &byte, /* write= */ true);
}
