/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_slots: deleting slots and making them again, as a VMM exchanges them, through libgmem
 * behind the gate, against the same ioctls issued by a process that has /dev/kvm to itself: one
 * slot, eight at once, and one by a request for each of both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"
#include "tests/bench/bench.h"

#define SLOTS          8
#define SLOT_SIZE      0x200000ull
#define USERSPACE_ADDR 0x100000000000 /* nothing is mapped there, and need not be */

/* Without gmemd. */
static struct {
	int vm;
	int memory;
} direct;

static int direct_set_slot(uint32_t slot, uint64_t size)
{
	struct kvm_userspace_memory_region2 arguments = {
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = slot * SLOT_SIZE,
		.memory_size = size,
		.userspace_addr = USERSPACE_ADDR + slot * SLOT_SIZE,
		.guest_memfd_offset = slot * SLOT_SIZE,
		.guest_memfd = (uint32_t)direct.memory,
	};

	return ioctl(direct.vm, KVM_SET_USER_MEMORY_REGION2, &arguments) < 0 ? -errno : 0;
}

static int direct_set_slots(uint32_t count, uint64_t size)
{
	int r = 0;

	for (uint32_t slot = 0; r == 0 && slot < count; slot++)
		r = direct_set_slot(slot, size);
	return r;
}

static int direct_set_up(const char *socket, void **ret_context)
{
	struct kvm_create_guest_memfd arguments = {.size = SLOTS * SLOT_SIZE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	(void)socket;
	(void)ret_context;
	if (kvm < 0)
		return -errno;
	direct.vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	if (direct.vm < 0)
		return -errno;
	direct.memory = ioctl(direct.vm, KVM_CREATE_GUEST_MEMFD, &arguments);
	return direct.memory < 0 ? -errno : direct_set_slots(SLOTS, SLOT_SIZE);
}

static int direct_change(uint32_t count)
{
	int r = direct_set_slots(count, 0);

	return r == 0 ? direct_set_slots(count, SLOT_SIZE) : r;
}

static int direct_one(void *context)
{
	(void)context;
	return direct_change(1);
}

static int direct_eight(void *context)
{
	(void)context;
	return direct_change(SLOTS);
}

/* Through libgmem. */
static struct {
	struct gmem_vm *vm;
	struct gmem_slot slots[SLOTS];
} brokered;

static int brokered_set_up(const char *socket, void **ret_context)
{
	const struct gmem_vm_options options = {.name = "bench", .gate = GMEM_GATE_REQUIRED};
	struct gmem_memory *memory = NULL;
	struct gmem *gmem;
	int r;

	(void)ret_context;
	r = gmem_connect(socket, &gmem);
	if (r == 0)
		r = gmem_vm_open(gmem, &options, &brokered.vm);
	if (r == 0)
		r = gmem_memory_create(brokered.vm, SLOTS * SLOT_SIZE, NULL, &memory);
	for (uint32_t slot = 0; r == 0 && slot < SLOTS; slot++) {
		brokered.slots[slot] = (struct gmem_slot){.slot = slot,
			.guest_phys_addr = slot * SLOT_SIZE,
			.memory_size = SLOT_SIZE,
			.userspace_addr = USERSPACE_ADDR + slot * SLOT_SIZE,
			.memory = memory,
			.guest_memfd_offset = slot * SLOT_SIZE};
		r = gmem_slot_bind(brokered.vm, &brokered.slots[slot]);
	}
	return r;
}

static int brokered_change(uint32_t count)
{
	struct gmem_slot_change changes[2 * SLOTS];

	for (uint32_t slot = 0; slot < count; slot++) {
		changes[slot] = (struct gmem_slot_change){.unbind = slot};
		changes[count + slot] = (struct gmem_slot_change){.bind = &brokered.slots[slot]};
	}
	return gmem_slot_change(brokered.vm, changes, 2 * (size_t)count, NULL, NULL);
}

static int brokered_one(void *context)
{
	(void)context;
	return brokered_change(1);
}

static int brokered_eight(void *context)
{
	(void)context;
	return brokered_change(SLOTS);
}

static int brokered_each(void *context)
{
	int r = gmem_slot_unbind(brokered.vm, 0);

	(void)context;
	return r == 0 ? gmem_slot_bind(brokered.vm, &brokered.slots[0]) : r;
}

int main(int argc, char **argv)
{
	static const char *const steps[] = {"one", "eight", "by two", NULL};
	static const struct bench_subject subjects[] = {
		{"ioctls alone", direct_set_up, {direct_one, direct_eight, direct_one}},
		{"libgmem, gated", brokered_set_up, {brokered_one, brokered_eight, brokered_each}},
		{"  with a keeper", brokered_set_up, {brokered_one, brokered_eight, brokered_each}},
	};
	static const struct bench_comparison comparison = {
		.title = "slots",
		.unit = BENCH_MICROSECONDS,
		.steps = steps,
		.subjects = subjects,
		.n_subjects = sizeof subjects / sizeof *subjects,
		.n_kept = 1,
		.gate = true,
		.rounds = 20,
		.samples = 10,
		.batch = 1,
		.target = "one at most 2.2 times, eight at most 1.3 times",
	};

	return bench_main(argc, argv, &comparison);
}
