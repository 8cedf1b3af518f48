/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks with commands that the gate may not know for what they are.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

/* The kernel takes the command as 32 bits, whatever is above. */
static long raw_ioctl(int fd, uint64_t command, const void *argument)
{
	return syscall(__NR_ioctl, fd, command, argument);
}

static const uint64_t uppers[] = {1ull << 32, 1ull << 63, 0xffffffffull << 32};
#define UPPERS (sizeof uppers / sizeof *uppers)

static void try_own_bytes(struct world *world, uint64_t upper, int fd)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);
	struct kvm_userspace_memory_region2 slot = slot_of(1, 0x1000000, fd);
	struct kvm_memory_attributes attributes = {.size = PAGE};
	struct kvm_userspace_memory_region old = {.slot = 2, .memory_size = PAGE};

	refused(EPERM, raw_ioctl(world->vm.fd, upper | KVM_CREATE_GUEST_MEMFD, &create),
		"creating from own bytes, command with %#lx", upper);
	refused(EPERM, raw_ioctl(world->vm.fd, upper | KVM_SET_USER_MEMORY_REGION2, &slot),
		"binding from own bytes, command with %#lx", upper);
	refused(EPERM, raw_ioctl(world->vm.fd, upper | KVM_SET_MEMORY_ATTRIBUTES, &attributes),
		"converting from own bytes, command with %#lx", upper);
	refused(EPERM, raw_ioctl(world->vm.fd, upper | KVM_SET_USER_MEMORY_REGION, &old),
		"binding the old way, command with %#lx", upper);
	refused(EPERM, raw_ioctl(world->vm.opening.kvm_fd, upper | KVM_CREATE_VM, NULL),
		"a second VM, command with %#lx", upper);
}

static void try_true_entries(struct world *world, uint64_t upper, uint32_t slot_number)
{
	struct order memory, slot;
	int fd;

	require(order_memory(world, PAGE, &memory) == 0, "gmemd writes a creation");
	fd = (int)raw_ioctl(world->vm.fd, upper | memory.request, memory.entry);
	verdict(fd >= 0, "control: the true entry creates, command with %#lx", upper);
	refused(EPERM, raw_ioctl(world->vm.fd, upper | memory.request, memory.entry),
		"creating by the same entry again, command with %#lx", upper);
	require(report(world, &memory, fd) == 0, "gmemd takes the new memory");
	require(order_slot(world, slot_number, slot_number * 0x1000000ull, memory.memory, fd,
			&slot) == 0,
		"gmemd writes a slot");
	verdict(raw_ioctl(world->vm.fd, upper | slot.request, slot.entry) == 0,
		"control: the true entry binds, command with %#lx", upper);
}

void attack_command_upper_half(struct world *world)
{
	struct order memory;
	int fd = make_memory(world, PAGE, &memory);

	for (uint32_t i = 0; i < UPPERS; i++) {
		try_own_bytes(world, uppers[i], fd);
		try_true_entries(world, uppers[i], 3 + i);
	}
	control(world);
}

/* What a kernel to come may take for the same command, longer or in another direction. */
static void try_variants(struct world *world, uint32_t command, const void *bytes, const char *name)
{
	const uint32_t number = command & 0xffff;

	for (uint32_t direction = 0; direction < 4; direction++) {
		for (uint32_t size = 0; size <= 256; size += 64) {
			uint32_t variant = direction << 30 | size << 16 | number;

			if (variant != command)
				refused(EPERM, raw_ioctl(world->vm.fd, variant, bytes), "%s as %#x",
					name, variant);
		}
	}
}

void attack_other_commands(struct world *world)
{
	struct kvm_userspace_memory_region old = {
		.slot = 2, .guest_phys_addr = 0x2000000, .memory_size = PAGE};
	struct order slot;

	require(order_own_slot(world, 1, 0x1000000, PAGE, (void *)PAGE, &slot) == 0,
		"gmemd writes a slot");
	refused(EPERM, ioctl(world->vm.fd, KVM_SET_USER_MEMORY_REGION, &old),
		"binding the old way from own bytes");
	refused(EPERM, ioctl(world->vm.fd, KVM_SET_USER_MEMORY_REGION, slot.entry),
		"binding the old way from a true entry");
	try_variants(world, KVM_CREATE_GUEST_MEMFD, entry_of(world, MAILBOX_CREATE, 0), "creating");
	try_variants(world, KVM_SET_USER_MEMORY_REGION2, slot.entry, "binding");
	try_variants(world, KVM_SET_MEMORY_ATTRIBUTES, entry_of(world, MAILBOX_ATTRIBUTES, 0),
		"converting");
	verdict(trigger(world, &slot) == 0, "control: the true entry binds the new way");
	control(world);
}
