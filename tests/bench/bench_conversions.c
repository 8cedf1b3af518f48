/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_conversions: making 1, 64 and 256 pages private and shared again through libgmem behind the
 * gate, against a process that has /dev/kvm to itself: KVM_SET_MEMORY_ATTRIBUTES, and a hole
 * punched into the half that is stale then. Needs a host with private memory.
 *
 * The pages are allocated in the half that becomes stale, and a step of its own does that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/memory_file.h"
#include "tests/bench/bench.h"

#define PAGE            4096ull
#define MEMORY_SIZE     (1024 * PAGE)
#define GUEST_PHYS_ADDR 0x10000000ull

#define RANGES 3

#define SW_PROTECTED 1 /* KVM_X86_SW_PROTECTED_VM of Linux 6.8 */

/* Of the memory, each with a state of its own. */
static struct range {
	const uint64_t offset, size;
	bool private;
} ranges[RANGES] = {
	{0, PAGE, false},
	{64 * PAGE, 64 * PAGE, false},
	{256 * PAGE, 256 * PAGE, false},
};

/* The subject's, whichever it is. */
static struct {
	int halves[2]; /* shared and private */
	int vm;        /* without gmemd */
	struct gmem_vm *brokered;
} memory;

/* Without gmemd. */

static int direct_make(int kvm)
{
	struct kvm_create_guest_memfd create = {.size = MEMORY_SIZE};
	int r;

	memory.vm = ioctl(kvm, KVM_CREATE_VM, (unsigned long)SW_PROTECTED);
	if (memory.vm < 0)
		return -errno;
	memory.halves[true] = ioctl(memory.vm, KVM_CREATE_GUEST_MEMFD, &create);
	r = memory.halves[true] < 0 ? -errno : 0;
	return r < 0 ? r : memory_file_create_memfd("bench", MEMORY_SIZE, &memory.halves[false]);
}

static int direct_bind(void *bytes)
{
	struct kvm_userspace_memory_region2 region = {.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = GUEST_PHYS_ADDR,
		.memory_size = MEMORY_SIZE,
		.userspace_addr = (uintptr_t)bytes,
		.guest_memfd = (uint32_t)memory.halves[true]};

	return ioctl(memory.vm, KVM_SET_USER_MEMORY_REGION2, &region) < 0 ? -errno : 0;
}

static int direct_set_up(const char *socket, void **ret_context)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	void *bytes;
	int r;

	(void)socket;
	(void)ret_context;
	r = kvm < 0 ? -errno : direct_make(kvm);
	if (r < 0)
		return r;
	bytes = mmap(
		NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory.halves[false], 0);
	return bytes == MAP_FAILED ? -errno : direct_bind(bytes);
}

static int direct_convert_range(struct range *range)
{
	struct kvm_memory_attributes attributes = {.address = GUEST_PHYS_ADDR + range->offset,
		.size = range->size,
		.attributes = range->private ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE};
	bool stale = range->private;

	if (ioctl(memory.vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes) < 0)
		return -errno;
	range->private = !stale;
	return memory_file_punch(memory.halves[stale], range->offset, range->size);
}

/* Through libgmem. */

static int brokered_bind(struct gmem_memory *shared, struct gmem_memory *private)
{
	struct gmem_slot slot = {.guest_phys_addr = GUEST_PHYS_ADDR,
		.memory_size = MEMORY_SIZE,
		.memory = private,
		.shared_memory = shared};
	void *bytes;
	int r = gmem_memory_map(shared, 0, MEMORY_SIZE, PROT_READ | PROT_WRITE, &bytes);

	if (r < 0)
		return r;
	slot.userspace_addr = (uintptr_t)bytes;
	memory.halves[false] = gmem_memory_fd(shared);
	memory.halves[true] = gmem_memory_fd(private);
	return gmem_slot_bind(memory.brokered, &slot);
}

static int brokered_set_up(const char *socket, void **ret_context)
{
	const struct gmem_vm_options options = {
		.name = "bench", .type = GMEM_TYPE_SW_PROTECTED, .gate = GMEM_GATE_REQUIRED};
	const struct gmem_memory_options halves[] = {
		{.backing = GMEM_BACKING_MEMFD}, {.flags = GMEM_MEMORY_NO_FLAGS}};
	struct gmem_memory *made[2];
	struct gmem *gmem;
	int r;

	(void)ret_context;
	r = gmem_connect(socket, &gmem);
	if (r == 0)
		r = gmem_vm_open(gmem, &options, &memory.brokered);
	for (unsigned i = 0; r == 0 && i < 2; i++)
		r = gmem_memory_create(memory.brokered, MEMORY_SIZE, &halves[i], &made[i]);
	return r < 0 ? r : brokered_bind(made[false], made[true]);
}

static int brokered_convert_range(struct range *range)
{
	uint64_t discarded;
	int r = gmem_convert(memory.brokered, range->private ? GMEM_SHARED : GMEM_PRIVATE,
		GUEST_PHYS_ADDR + range->offset, range->size, 0, &discarded);

	if (r < 0)
		return r;
	range->private = !range->private;
	return discarded == range->size ? 0 : -EIO;
}

/* The steps: of each range in turn. */

static unsigned turn;

static int allocate(void *context)
{
	const struct range *range = &ranges[turn];

	(void)context;
	return fallocate(memory.halves[range->private], FALLOC_FL_KEEP_SIZE, (off_t)range->offset,
		       (off_t)range->size) < 0
		       ? -errno
		       : 0;
}

static struct range *take_range(void)
{
	struct range *range = &ranges[turn];

	turn = (turn + 1) % RANGES;
	return range;
}

static int direct_convert(void *context)
{
	(void)context;
	return direct_convert_range(take_range());
}

static int brokered_convert(void *context)
{
	(void)context;
	return brokered_convert_range(take_range());
}

static bool has_private_memory(void)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int types = kvm < 0 ? -1 : ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);

	return types > 0 && types & 1 << SW_PROTECTED;
}

int main(int argc, char **argv)
{
	static const char *const steps[] = {"allocate 1", "convert 1", "allocate 64", "convert 64",
		"allocate 256", "convert 256", NULL};
	static const struct bench_subject subjects[] = {
		{"ioctls alone", direct_set_up,
			{allocate, direct_convert, allocate, direct_convert, allocate,
				direct_convert}},
		{"libgmem, gated", brokered_set_up,
			{allocate, brokered_convert, allocate, brokered_convert, allocate,
				brokered_convert}},
		{"  with a keeper", brokered_set_up,
			{allocate, brokered_convert, allocate, brokered_convert, allocate,
				brokered_convert}},
	};
	static const struct bench_comparison comparison = {
		.title = "conversions",
		.unit = BENCH_MICROSECONDS,
		.steps = steps,
		.subjects = subjects,
		.n_subjects = sizeof subjects / sizeof *subjects,
		.n_kept = 1,
		.gate = true,
		.rounds = 30,
		.samples = 40,
		.batch = 1,
		.target = "libgmem at most 1.5 times the ioctls with 1 page, 1.1 with 256",
	};

	if (!has_private_memory()) {
		printf("conversions: skipped: this host has no VM type with private memory\n");
		return BENCH_SKIPPED;
	}
	return bench_main(argc, argv, &comparison);
}
