/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks with arguments that gmemd did not write, or not for this, or not any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

static const uint32_t commands[MAILBOX_COMMANDS] = {
	[MAILBOX_CREATE] = KVM_CREATE_GUEST_MEMFD,
	[MAILBOX_SLOT] = KVM_SET_USER_MEMORY_REGION2,
	[MAILBOX_ATTRIBUTES] = KVM_SET_MEMORY_ATTRIBUTES,
};
static const char *const names[MAILBOX_COMMANDS] = {
	[MAILBOX_CREATE] = "creating",
	[MAILBOX_SLOT] = "binding",
	[MAILBOX_ATTRIBUTES] = "converting",
};

/* All kinds of arguments in one place, so that each command finds something right there. */
union arguments {
	struct kvm_create_guest_memfd create;
	struct kvm_userspace_memory_region2 slot;
	struct kvm_memory_attributes attributes;
};

static void fill(union arguments *arguments, unsigned command, int fd)
{
	memset(arguments, 0, sizeof *arguments);
	if (command == MAILBOX_CREATE)
		arguments->create = creation_of(PAGE);
	else if (command == MAILBOX_SLOT)
		arguments->slot = slot_of(1, 0x1000000, fd);
	else
		arguments->attributes = (struct kvm_memory_attributes){
			.size = PAGE, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE};
}

/* All three commands with bytes at that place. */
static void try_at(struct world *world, union arguments *place, int fd, const char *where)
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		fill(place, command, fd);
		refused(EPERM, ioctl(world->vm.fd, commands[command], place), "%s from %s",
			names[command], where);
	}
}

static void try_copies(struct world *world)
{
	struct order create, slot;
	unsigned char copy[256] __attribute__((aligned(256)));

	require(order_memory(world, PAGE, &create) == 0, "gmemd writes a creation");
	memcpy(copy, create.entry, 64);
	refused(EPERM, ioctl(world->vm.fd, create.request, copy),
		"creating from a true entry's "
		"copy");
	require(order_own_slot(world, 3, 0x3000000, PAGE, (void *)PAGE, &slot) == 0,
		"gmemd writes a slot");
	memcpy(copy, slot.entry, sizeof copy);
	refused(EPERM, ioctl(world->vm.fd, slot.request, copy), "binding from a true entry's copy");
	verdict(trigger(world, &slot) == 0, "control: the true entry binds");
	close(trigger(world, &create));
}

/* The very file, mapped once more. */
static void try_second_mapping(struct world *world)
{
	struct order create;
	unsigned char *second = mmap(
		NULL, mailbox_size(world), PROT_READ, MAP_SHARED, world->vm.opening.mailbox_fd, 0);
	uint64_t offset;

	require(second != MAP_FAILED, "the mailbox is mapped once more");
	require(order_memory(world, PAGE, &create) == 0, "gmemd writes a creation");
	offset = (uintptr_t)create.entry - mailbox_start(world);
	refused(EPERM, ioctl(world->vm.fd, create.request, second + offset),
		"creating from a true entry in the mailbox's second mapping");
	verdict(close(trigger(world, &create)) == 0, "control: the true entry creates");
}

void attack_own_bytes(struct world *world)
{
	union arguments stack, *heap = malloc(sizeof *heap);
	union arguments *fixed = mmap((void *)0x10000000000, PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	union arguments *beside = mmap(
		(void *)(uintptr_t)(mailbox_start(world) + mailbox_size(world)), PAGE,
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct order memory;
	int fd = make_memory(world, PAGE, &memory);

	require(fixed != MAP_FAILED && beside != MAP_FAILED, "places for bytes");
	try_at(world, &stack, fd, "the stack");
	try_at(world, heap, fd, "the heap");
	try_at(world, fixed, fd, "a mapping elsewhere");
	try_at(world, beside, fd, "right behind the mailbox");
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		refused(EPERM, ioctl(world->vm.fd, commands[command], NULL), "%s from nowhere",
			names[command]);
	try_copies(world);
	try_second_mapping(world);
	free(heap);
	control(world);
}

void attack_stale(struct world *world)
{
	struct order memory, slot;
	int fd = make_memory(world, PAGE, &memory);

	refused(EPERM, trigger(world, &memory), "creating by an entry that is done with");
	require(order_slot(world, 1, 0x1000000, memory.memory, fd, &slot) == 0,
		"gmemd writes a slot");
	require(trigger(world, &slot) == 0 && report(world, &slot, -1) == 0, "the slot is bound");
	refused(EINVAL, trigger(world, &slot), "binding by an entry that is done with");
	require(order_unbind(world, 1, &slot) == 0, "gmemd writes a slot's end");
	require(trigger(world, &slot) == 0 && report(world, &slot, -1) == 0, "the slot is unbound");
	refused(EINVAL, trigger(world, &slot), "unbinding by an entry that is done with");
	require(order_memory(world, PAGE, &memory) == 0, "gmemd writes a creation");
	require(report_failure(world, &memory, "ENOMEM") == 0, "gmemd hears of its failure");
	refused(EPERM, trigger(world, &memory), "creating by an entry reported as failed");
	control(world);
}

void attack_replay(struct world *world)
{
	struct order memory;
	int fd;

	require(order_memory(world, PAGE, &memory) == 0, "gmemd writes a creation");
	fd = trigger(world, &memory);
	verdict(fd >= 0, "control: the entry creates once");
	for (int i = 0; i < 3; i++)
		refused(EPERM, trigger(world, &memory), "creating by the same entry again");
	require(report(world, &memory, fd) == 0, "gmemd takes the new memory");
	close(fd);
	control(world);
}

/* What comes of the unwritten entries of a command: their common errno. */
static void try_unwritten(struct world *world, unsigned command, int expected)
{
	unsigned count = entries_of(command), wrong = 0;
	int number = expected;

	for (unsigned entry = 0; entry < count; entry++) {
		int r = ioctl(world->vm.fd, commands[command], entry_of(world, command, entry));

		if (r >= 0 || errno != expected) {
			number = r >= 0 ? 0 : errno;
			wrong++;
		}
	}
	errno = number;
	refused(expected, wrong == 0 || number != 0 ? -1 : 0, "%s by any of %u unwritten entries",
		names[command], count);
}

/* A kernel that converts no memory at all has no errno of an entry's own. That a VM's type has no
 * private memory says nothing of that. */
static int attributes_errno(const struct world *world)
{
	int r = ioctl(
		world->vm.fd, KVM_SET_MEMORY_ATTRIBUTES, entry_of(world, MAILBOX_ATTRIBUTES, 0));
	bool known = ioctl(world->vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) > 0;

	return r < 0 && errno == ENOTTY && !known ? ENOTTY : EINVAL;
}

void attack_unwritten(struct world *world)
{
	try_unwritten(world, MAILBOX_CREATE, EPERM);
	try_unwritten(world, MAILBOX_SLOT, EINVAL);
	try_unwritten(world, MAILBOX_ATTRIBUTES, attributes_errno(world));
	control(world);
}

static void try_beside(struct world *world, unsigned command, unsigned char *entry)
{
	const struct mailbox_area area = mailbox_area(command);
	const uint64_t steps[] = {1, 2, 4, 8, 16, area.stride / 2, area.stride - 1, area.stride - 8,
		PAGE - 1, PAGE - area.stride / 2};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		refused(EPERM, ioctl(world->vm.fd, commands[command], entry + steps[i]),
			"%s from %lu bytes into an entry", names[command], steps[i]);
		refused(EPERM, ioctl(world->vm.fd, commands[command], entry - steps[i]),
			"%s from %lu bytes before an entry", names[command], steps[i]);
	}
}

void attack_within(struct world *world)
{
	struct order memory, slot;
	int fd = make_memory(world, PAGE, &memory);
	struct order pending;

	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	require(order_slot(world, 1, 0x1000000, memory.memory, fd, &slot) == 0,
		"gmemd writes a slot");
	try_beside(world, MAILBOX_CREATE, pending.entry);
	try_beside(world, MAILBOX_SLOT, slot.entry);
	try_beside(world, MAILBOX_ATTRIBUTES, entry_of(world, MAILBOX_ATTRIBUTES, 2));
	verdict(close(trigger(world, &pending)) == 0 && trigger(world, &slot) == 0,
		"control: both work from their entries' starts");
	control(world);
}

void attack_wrong_page(struct world *world)
{
	struct order memory, pending, slot;
	int fd = make_memory(world, PAGE, &memory);
	void *starts[MAILBOX_COMMANDS];

	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	require(order_slot(world, 1, 0x1000000, memory.memory, fd, &slot) == 0,
		"gmemd writes a slot");
	starts[MAILBOX_CREATE] = pending.entry;
	starts[MAILBOX_SLOT] = slot.entry;
	starts[MAILBOX_ATTRIBUTES] = entry_of(world, MAILBOX_ATTRIBUTES, 0);
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		for (unsigned page = 0; page < MAILBOX_COMMANDS; page++) {
			if (command != page)
				refused(EPERM, ioctl(world->vm.fd, commands[command], starts[page]),
					"%s from an entry for %s", names[command], names[page]);
		}
	}
	verdict(close(trigger(world, &pending)) == 0 && trigger(world, &slot) == 0,
		"control: each works from its own page");
	refused(attributes_errno(world),
		ioctl(world->vm.fd, KVM_SET_MEMORY_ATTRIBUTES, starts[MAILBOX_ATTRIBUTES]),
		"control: an unwritten entry for converting gets as far as the kernel");
	control(world);
}

void attack_pointer_upper_half(struct world *world)
{
	static const uint64_t uppers[] = {
		1ull << 32, 1ull << 33, 1ull << 46, 1ull << 63, ~0ull << 32};
	struct order memory, pending, slot;
	int fd = make_memory(world, PAGE, &memory);

	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	require(order_slot(world, 1, 0x1000000, memory.memory, fd, &slot) == 0,
		"gmemd writes a slot");
	for (size_t i = 0; i < sizeof uppers / sizeof *uppers; i++) {
		refused(EPERM,
			ioctl(world->vm.fd, pending.request, (uintptr_t)pending.entry | uppers[i]),
			"creating from a true entry's address with %#lx", uppers[i]);
		refused(EPERM, ioctl(world->vm.fd, slot.request, (uintptr_t)slot.entry | uppers[i]),
			"binding from a true entry's address with %#lx", uppers[i]);
		refused(EPERM,
			ioctl(world->vm.fd, KVM_SET_MEMORY_ATTRIBUTES,
				(uintptr_t)entry_of(world, MAILBOX_ATTRIBUTES, 0) | uppers[i]),
			"converting from an entry's address with %#lx", uppers[i]);
	}
	verdict(close(trigger(world, &pending)) == 0 && trigger(world, &slot) == 0,
		"control: both work without");
	control(world);
}
