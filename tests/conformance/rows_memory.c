/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows about guest_memfds alone: creation, allocation, punching, the host's mappings.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "tests/conformance/row.h"

/* Creation */

static void sizes_below_a_page(struct trial *trial)
{
	for (uint64_t size = 1; size < PAGE; size++)
		EXPECT(trial, create(trial, 0, size, 0), -EINVAL, "size %llu",
			(unsigned long long)size);
}

static void sizes_that_are_none(struct trial *trial)
{
	static const uint64_t sizes[] = {
		0, (uint64_t)-1, -PAGE, 1ULL << 63, PAGE + 1, 2 * PAGE - 1, (1ULL << 30) + 512};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		EXPECT(trial, create(trial, 0, sizes[i], 0), -EINVAL, "size %#llx",
			(unsigned long long)sizes[i]);
}

static void sizes_that_are(struct trial *trial)
{
	static const uint64_t sizes[] = {PAGE, 3 * PAGE, 2 << 20, 1ULL << 40, (1ULL << 63) - PAGE};

	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		EXPECT(trial, create(trial, i, sizes[i], 0), 0, "size %#llx",
			(unsigned long long)sizes[i]);
		EXPECT(trial, resident(trial, i), 0, "pages of a new memory");
	}
}

static void every_creation_flag_alone(struct trial *trial)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t flag = 1ULL << bit;

		EXPECT(trial, create(trial, 0, PAGE, flag), all_flags(trial) & flag ? 0 : -EINVAL,
			"flag %u", bit);
		close_memory(trial, 0);
	}
}

static void files_are_independent(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 8 * PAGE, 0), 0, "create");
	EXPECT(trial, create(trial, 1, 8 * PAGE, 0), 0, "create");
	EXPECT(trial, allocate(trial, 0, 0, 8 * PAGE), 0, "allocate the first");
	EXPECT(trial, resident(trial, 1), 0, "pages of the second");
	EXPECT(trial, allocate(trial, 1, 0, 4 * PAGE), 0, "allocate the second");
	EXPECT(trial, punch(trial, 0, 0, 8 * PAGE), 0, "punch the first");
	EXPECT(trial, resident(trial, 0), 0, "pages of the first");
	EXPECT(trial, resident(trial, 1), 4, "pages of the second");
	EXPECT(trial, close_memory(trial, 0), 0, "close the first");
	EXPECT(trial, resident(trial, 1), 4, "pages of the second");
}

/* Allocation */

static void allocation_is_exact(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 64 * PAGE, all_flags(trial)), 0, "create");
	EXPECT(trial, allocate(trial, 0, 16 * PAGE, 16 * PAGE), 0, "allocate");
	EXPECT(trial, resident(trial, 0), 16, "pages");
	EXPECT(trial, allocate(trial, 0, 24 * PAGE, 16 * PAGE), 0, "allocate, half of it anew");
	EXPECT(trial, resident(trial, 0), 24, "pages");
	EXPECT(trial, subject_resident(trial->subject, 0, 30 * PAGE, 20 * PAGE), 10,
		"pages of a part");
	EXPECT(trial, allocate(trial, 0, 0, 64 * PAGE), 0, "allocate all");
	EXPECT(trial, allocate(trial, 0, 0, 64 * PAGE), 0, "allocate all again");
	EXPECT(trial, resident(trial, 0), 64, "pages");
}

struct fallocation {
	int mode;
	int64_t offset, length;
	int expected;
};

static void try_fallocations(struct trial *trial, const struct fallocation *tries, size_t count)
{
	EXPECT(trial, create(trial, 0, 16 * PAGE, all_flags(trial)), 0, "create");
	for (size_t i = 0; i < count; i++)
		EXPECT(trial,
			trial->subject->operations->fallocate(
				trial->subject, 0, tries[i].mode, tries[i].offset, tries[i].length),
			tries[i].expected, "fallocate(%#x, %#llx, %#llx)", (unsigned)tries[i].mode,
			(unsigned long long)tries[i].offset, (unsigned long long)tries[i].length);
}

#define TRY(trial, tries) try_fallocations(trial, tries, sizeof tries / sizeof *tries)
#define KEEP              FALLOC_FL_KEEP_SIZE
#define HOLE              (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)

static void allocations_that_are_none(struct trial *trial)
{
	static const struct fallocation tries[] = {
		{KEEP, 0, 0, -EINVAL},
		{KEEP, 0, -1, -EINVAL},
		{KEEP, -(int64_t)PAGE, PAGE, -EINVAL},
		{KEEP, 1, PAGE, -EINVAL},
		{KEEP, 0, 1, -EINVAL},
		{KEEP, 0, PAGE - 1, -EINVAL},
		{KEEP, PAGE / 2, PAGE / 2, -EINVAL},
		{KEEP, 16 * PAGE, PAGE, -EINVAL},
		{KEEP, 15 * PAGE, 2 * PAGE, -EINVAL},
		{KEEP, 0, 17 * PAGE, -EINVAL},
		{KEEP, PAGE, INT64_MAX, -EFBIG},
		{KEEP, 15 * PAGE, PAGE, 0},
	};

	TRY(trial, tries);
	EXPECT(trial, resident(trial, 0), 1, "pages");
}

static void other_fallocate_modes(struct trial *trial)
{
	static const struct fallocation tries[] = {
		{0, 0, PAGE, -EOPNOTSUPP},
		{FALLOC_FL_PUNCH_HOLE, 0, PAGE, -EOPNOTSUPP},
		{FALLOC_FL_ZERO_RANGE, 0, PAGE, -EOPNOTSUPP},
		{FALLOC_FL_ZERO_RANGE | KEEP, 0, PAGE, -EOPNOTSUPP},
		{FALLOC_FL_COLLAPSE_RANGE, 0, PAGE, -EOPNOTSUPP},
		{FALLOC_FL_INSERT_RANGE, 0, PAGE, -EOPNOTSUPP},
		{FALLOC_FL_UNSHARE_RANGE, 0, PAGE, -EOPNOTSUPP},
		{FALLOC_FL_COLLAPSE_RANGE | KEEP, 0, PAGE, -EOPNOTSUPP},
		{HOLE | FALLOC_FL_ZERO_RANGE, 0, PAGE, -EOPNOTSUPP},
		{0, 1, PAGE, -EOPNOTSUPP},
		{0, 0, 0, -EINVAL},
		{FALLOC_FL_ZERO_RANGE, PAGE, INT64_MAX, -EFBIG},
		{HOLE | FALLOC_FL_ZERO_RANGE, PAGE, INT64_MAX, -EOPNOTSUPP},
	};

	TRY(trial, tries);
	for (unsigned bit = 8; bit < 31; bit++)
		EXPECT(trial,
			trial->subject->operations->fallocate(
				trial->subject, 0, KEEP | 1 << bit, 0, PAGE),
			-EOPNOTSUPP, "mode bit %u", bit);
	EXPECT(trial, resident(trial, 0), 0, "pages");
}

/* Punching */

static void unaligned_punches(struct trial *trial)
{
	static const struct fallocation tries[] = {
		{HOLE, 1, PAGE, -EINVAL},
		{HOLE, 0, 1, -EINVAL},
		{HOLE, 0, PAGE - 1, -EINVAL},
		{HOLE, 0, PAGE + 1, -EINVAL},
		{HOLE, PAGE - 1, 1, -EINVAL},
		{HOLE, PAGE - 1, PAGE, -EINVAL},
		{HOLE, PAGE + 1, PAGE - 1, -EINVAL},
		{HOLE, 512, 512, -EINVAL},
		{HOLE, PAGE, 3 * PAGE / 2, -EINVAL},
		{HOLE, 15 * PAGE + 1, PAGE, -EINVAL},
		{HOLE, 0, 0, -EINVAL},
		{HOLE, -(int64_t)PAGE, PAGE, -EINVAL},
	};

	EXPECT(trial, create(trial, 1, 16 * PAGE, 0), 0, "create");
	TRY(trial, tries);
	EXPECT(trial, allocate(trial, 0, 0, 16 * PAGE), 0, "allocate");
	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
		trial->subject->operations->fallocate(
			trial->subject, 0, tries[i].mode, tries[i].offset, tries[i].length);
	EXPECT(trial, resident(trial, 0), 16, "pages after punches that were none");
}

static void punches_at_and_past_the_end(struct trial *trial)
{
	static const struct fallocation tries[] = {
		{KEEP, 0, 16 * PAGE, 0},
		{HOLE, 16 * PAGE, PAGE, 0},
		{HOLE, 100 * PAGE, 100 * PAGE, 0},
		{HOLE, PAGE, INT64_MAX, -EFBIG},
		{HOLE, 15 * PAGE, 1 << 30, 0},
	};

	TRY(trial, tries);
	EXPECT(trial, resident(trial, 0), 15, "pages");
}

static void a_hole_is_allocated_again(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 16 * PAGE, all_flags(trial)), 0, "create");
	EXPECT(trial, punch(trial, 0, 0, 16 * PAGE), 0, "punch what is a hole");
	EXPECT(trial, allocate(trial, 0, 0, 16 * PAGE), 0, "allocate");
	for (int i = 0; i < 3; i++) {
		EXPECT(trial, punch(trial, 0, 4 * PAGE, 4 * PAGE), 0, "punch");
		EXPECT(trial, resident(trial, 0), 12, "pages");
		EXPECT(trial, allocate(trial, 0, 4 * PAGE, 4 * PAGE), 0, "allocate again");
		EXPECT(trial, resident(trial, 0), 16, "pages");
	}
}

static void zeroes_after_a_punch(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, all_flags(trial)), 0, "create");
	for (unsigned page = 0; page < 4; page++)
		EXPECT(trial, host_write(trial, 0, page * PAGE + 7, 0xa5), 0, "write");
	EXPECT(trial, punch(trial, 0, PAGE, 2 * PAGE), 0, "punch");
	EXPECT(trial, host_read(trial, 0, 1 * PAGE + 7), 0, "byte in the hole");
	EXPECT(trial, host_read(trial, 0, 2 * PAGE + 7), 0, "byte in the hole");
	EXPECT(trial, host_read(trial, 0, 0 * PAGE + 7), 0xa5, "the neighbour before");
	EXPECT(trial, host_read(trial, 0, 3 * PAGE + 7), 0xa5, "the neighbour behind");
}

/* The host's mappings */

static int map(struct trial *trial, size_t length, int protection, int flags, int64_t offset)
{
	return trial->subject->operations->map(
		trial->subject, 0, length, protection, flags, offset);
}

static void no_mapping_without_the_flag(struct trial *trial)
{
	const int both = PROT_READ | PROT_WRITE;

	EXPECT(trial, create(trial, 0, 4 * PAGE, 0), 0, "create");
	EXPECT(trial, map(trial, PAGE, both, MAP_SHARED, 0), -ENODEV, "shared");
	EXPECT(trial, map(trial, PAGE, PROT_READ, MAP_PRIVATE, 0), -ENODEV, "private");
	EXPECT(trial, map(trial, PAGE, PROT_EXEC, MAP_SHARED, 0), -EPERM, "executable");
	EXPECT(trial, map(trial, 0, both, MAP_SHARED, 0), -EINVAL, "of length 0");
	EXPECT(trial, map(trial, PAGE, both, MAP_SHARED, 1), -EINVAL, "unaligned");
}

static void mappings(struct trial *trial)
{
	const int both = PROT_READ | PROT_WRITE;

	EXPECT(trial, create(trial, 0, 4 * PAGE, GUEST_MEMFD_FLAG_MMAP), 0, "create");
	EXPECT(trial, map(trial, 4 * PAGE, both, MAP_SHARED, 0), 0, "all of it");
	EXPECT(trial, map(trial, PAGE, PROT_READ, MAP_SHARED, 3 * PAGE), 0, "the last page");
	EXPECT(trial, map(trial, PAGE, PROT_NONE, MAP_SHARED, 0), 0, "without access");
	EXPECT(trial, map(trial, 8 * PAGE, both, MAP_SHARED, 2 * PAGE), 0, "past the end");
	EXPECT(trial, map(trial, PAGE, PROT_READ, MAP_PRIVATE, 0), -EINVAL, "private");
	EXPECT(trial, map(trial, PAGE, both | PROT_EXEC, MAP_SHARED, 0), -EPERM, "executable");
	EXPECT(trial, map(trial, PAGE, PROT_EXEC, MAP_PRIVATE, 0), -EPERM, "private, executable");
	EXPECT(trial, map(trial, SIZE_MAX, both, MAP_SHARED, 0), -ENOMEM, "of everything");
	EXPECT(trial, map(trial, PAGE, both, MAP_SHARED, -(int64_t)PAGE), -EOVERFLOW, "before it");
	EXPECT(trial, map(trial, PAGE, both, MAP_SHARED, INT64_MAX - (int64_t)PAGE + 1), -EOVERFLOW,
		"where offsets end");
	EXPECT(trial, resident(trial, 0), 0, "pages that mappings cost");
}

static void the_host_s_access(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, all_flags(trial)), 0, "create");
	EXPECT(trial, host_read(trial, 0, 5), 0, "a byte never written");
	EXPECT(trial, resident(trial, 0), 1, "pages after a read");
	EXPECT(trial, host_write(trial, 0, 2 * PAGE, 9), 0, "write");
	EXPECT(trial, host_read(trial, 0, 2 * PAGE), 9, "what was written");
	EXPECT(trial, resident(trial, 0), 2, "pages after a write");
	EXPECT(trial, host_read(trial, 0, 4 * PAGE), -EFAULT, "the first byte past the end");
	EXPECT(trial, allocate(trial, 0, 0, 4 * PAGE), 0, "allocate");
	EXPECT(trial, host_read(trial, 0, 2 * PAGE), 9, "what was written before");
}

static void no_access_to_what_is_not_shared(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, GUEST_MEMFD_FLAG_MMAP), 0, "create");
	EXPECT(trial, host_read(trial, 0, 0), -EFAULT, "read");
	EXPECT(trial, host_write(trial, 0, 0, 1), -EFAULT, "write");
	EXPECT(trial, resident(trial, 0), 0, "pages");
	EXPECT(trial, allocate(trial, 0, 0, PAGE), 0, "allocate");
	EXPECT(trial, host_read(trial, 0, 0), -EFAULT, "read of what is allocated");
}

static void the_file_outlives_its_vm(struct trial *trial)
{
	EXPECT(trial, create(trial, 0, 4 * PAGE, all_flags(trial)), 0, "create");
	EXPECT(trial, allocate(trial, 0, 0, 2 * PAGE), 0, "allocate");
	trial->subject->operations->vm_free(trial->subject, 0);
	EXPECT(trial, resident(trial, 0), 2, "pages");
	EXPECT(trial, allocate(trial, 0, 0, 4 * PAGE), 0, "allocate");
	EXPECT(trial, punch(trial, 0, 0, PAGE), 0, "punch");
	EXPECT(trial, resident(trial, 0), 3, "pages");
	EXPECT(trial, close_memory(trial, 0), 0, "close");
	EXPECT(trial, resident(trial, 0), -EBADF, "pages of what is closed");
}

/*
 * How a successor knows one among the files that it is given back: virt/kvm/guest_memfd.c makes its
 * inode a regular file, on the file system of anonymous inodes (Linux 6.8 to 6.18) or on one of its
 * own (seen in 7.3); fs/anon_inodes.c has nothing else of such that is one.
 */
static void a_regular_file_without_a_name(struct trial *trial)
{
	cleanup_fd int other = eventfd(0, EFD_CLOEXEC);
	struct statfs system;
	struct stat status;
	int fd;

	EXPECT(trial, create(trial, 0, 4 * PAGE, 0), 0, "create");
	fd = trial->subject->operations->fd(trial->subject, 0);
	EXPECT(trial, fstatfs(fd, &system), 0, "fstatfs");
	EXPECT(trial, fstat(fd, &status), 0, "fstat");
	EXPECT(trial,
		system.f_type == ANON_INODE_FS_MAGIC || system.f_type == GMEM_GUEST_MEMFD_MAGIC, 1,
		"the file system, %#lx", (unsigned long)system.f_type);
	EXPECT(trial, S_ISREG(status.st_mode), 1, "a regular file");
	EXPECT(trial, fstatfs(other, &system), 0, "fstatfs of an eventfd");
	EXPECT(trial, fstat(other, &status), 0, "fstat of an eventfd");
	EXPECT(trial, system.f_type, ANON_INODE_FS_MAGIC, "its file system");
	EXPECT(trial, S_ISREG(status.st_mode), 0, "a regular file, an eventfd");
}

const struct row memory_rows[] = {
	{"sizes 1 to page-1", 0, sizes_below_a_page},
	{"sizes 0, negative and unaligned", 0, sizes_that_are_none},
	{"sizes of a page to the largest file", 0, sizes_that_are},
	{"every creation flag alone", 0, every_creation_flag_alone},
	{"independent files", 0, files_are_independent},
	{"allocation is exact", 0, allocation_is_exact},
	{"allocation: empty, unaligned, past the end, wrapping", 0, allocations_that_are_none},
	{"other fallocate modes", 0, other_fallocate_modes},
	{"ten unaligned punches", 0, unaligned_punches},
	{"punch at and past the end", 0, punches_at_and_past_the_end},
	{"re-allocation of a hole", 0, a_hole_is_allocated_again},
	{"zeroes after a punch, neighbours untouched", NEEDS_INIT_SHARED, zeroes_after_a_punch},
	{"mmap without the flag", 0, no_mapping_without_the_flag},
	{"mmap", NEEDS_MMAP, mappings},
	{"the host's access", NEEDS_INIT_SHARED, the_host_s_access},
	{"the host's access without INIT_SHARED", NEEDS_MMAP, no_access_to_what_is_not_shared},
	{"a file outlives its VM", 0, the_file_outlives_its_vm},
	{"a regular file without a name", NEEDS_KERNEL, a_regular_file_without_a_name},
	{0},
};
