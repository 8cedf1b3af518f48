/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks on KVM_CREATE_VM: over a mailbox that is not what gmemd must find, of another type, on
 * another file, a second time.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

static void map_at(
	struct world *world, uint64_t length, int protection, int flags, int fd, uint64_t offset)
{
	void *wanted = (void *)(uintptr_t)mailbox_start(world);

	require(mmap(wanted, length, protection, flags | MAP_FIXED_NOREPLACE, fd, (off_t)offset) ==
			wanted,
		"something is mapped");
}

static void seal(struct world *world, uint64_t length)
{
	require(syscall(__NR_mseal, mailbox_start(world), length, 0) == 0, "it is sealed");
}

static void unmap(struct world *world)
{
	require(munmap((void *)(uintptr_t)mailbox_start(world), mailbox_size(world)) == 0,
		"it is unmapped");
}

/* For mappings that can be put right again. */
static void repair(struct world *world)
{
	world_open(world);
	control(world);
}

void attack_mapped_nothing(struct world *world)
{
	refused(EPERM, create_vm(world), "a VM without the mailbox");
	refused(EPERM, create_vm(world), "again");
	repair(world);
}

void attack_mapped_unsealed(struct world *world)
{
	map_at(world, mailbox_size(world), PROT_READ, MAP_SHARED, world->vm.opening.mailbox_fd, 0);
	refused(EPERM, create_vm(world), "a VM over an unsealed mailbox");
	unmap(world);
	repair(world);
}

void attack_mapped_private(struct world *world)
{
	map_at(world, mailbox_size(world), PROT_READ, MAP_PRIVATE, world->vm.opening.mailbox_fd, 0);
	refused(EPERM, create_vm(world), "a VM over a private mailbox");
	unmap(world);
	map_at(world, mailbox_size(world), PROT_READ | PROT_WRITE, MAP_PRIVATE,
		world->vm.opening.mailbox_fd, 0);
	*(uint64_t *)(uintptr_t)mailbox_start(world) = PAGE;
	require(mprotect((void *)(uintptr_t)mailbox_start(world), mailbox_size(world), PROT_READ) ==
			0,
		"it is read-only");
	seal(world, mailbox_size(world));
	refused(EPERM, create_vm(world), "a VM over a private mailbox, written, sealed");
}

void attack_mapped_anonymous(struct world *world)
{
	map_at(world, mailbox_size(world), PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	refused(EPERM, create_vm(world), "a VM over anonymous memory");
	seal(world, mailbox_size(world));
	refused(EPERM, create_vm(world), "a VM over anonymous memory, sealed");
}

void attack_mapped_foreign(struct world *world)
{
	int fd = memfd_create("gmemd-mailbox", MFD_CLOEXEC);

	require(fd >= 0 && ftruncate(fd, (off_t)mailbox_size(world)) == 0, "a memfd of our own");
	map_at(world, mailbox_size(world), PROT_READ, MAP_SHARED, fd, 0);
	seal(world, mailbox_size(world));
	refused(EPERM, create_vm(world), "a VM over a file of the same name");
}

void attack_mapped_partly(struct world *world)
{
	map_at(world, mailbox_size(world) - PAGE, PROT_READ, MAP_SHARED,
		world->vm.opening.mailbox_fd, 0);
	seal(world, mailbox_size(world) - PAGE);
	refused(EPERM, create_vm(world), "a VM over all but a page of the mailbox");
}

void attack_mapped_longer(struct world *world)
{
	map_at(world, mailbox_size(world) + PAGE, PROT_READ, MAP_SHARED,
		world->vm.opening.mailbox_fd, 0);
	seal(world, mailbox_size(world) + PAGE);
	refused(EPERM, create_vm(world), "a VM over more than the mailbox");
}

void attack_mapped_elsewhere(struct world *world)
{
	void *elsewhere = mmap(
		NULL, mailbox_size(world), PROT_READ, MAP_SHARED, world->vm.opening.mailbox_fd, 0);

	require(elsewhere != MAP_FAILED, "the mailbox is mapped elsewhere");
	require(syscall(__NR_mseal, elsewhere, mailbox_size(world), 0) == 0, "it is sealed");
	refused(EPERM, create_vm(world), "a VM with the mailbox elsewhere");
	map_at(world, mailbox_size(world), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	refused(EPERM, create_vm(world), "and with something else where it belongs");
	unmap(world);
	repair(world);
}

void attack_mapped_offset(struct world *world)
{
	map_at(world, mailbox_size(world), PROT_READ, MAP_SHARED, world->vm.opening.mailbox_fd,
		PAGE);
	seal(world, mailbox_size(world));
	refused(EPERM, create_vm(world), "a VM over the mailbox from its second page on");
}

void attack_mapped_executable(struct world *world)
{
	void *wanted = (void *)(uintptr_t)mailbox_start(world);
	void *mapped = mmap(wanted, mailbox_size(world), PROT_READ | PROT_EXEC,
		MAP_SHARED | MAP_FIXED_NOREPLACE, world->vm.opening.mailbox_fd, 0);

	if (mapped == MAP_FAILED) {
		refused(EPERM, -1, "mapping the mailbox executable");
		repair(world);
		return;
	}
	seal(world, mailbox_size(world));
	refused(EPERM, create_vm(world), "a VM over an executable mailbox");
}

/* One page of it is another's; the rest is right and sealed. */
void attack_mapped_torn(struct world *world)
{
	unsigned char *start = (unsigned char *)(uintptr_t)mailbox_start(world);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	map_at(world, mailbox_size(world), PROT_READ, MAP_SHARED, world->vm.opening.mailbox_fd, 0);
	require(mmap(start + PAGE, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == start + PAGE,
		"a page is replaced");
	seal(world, mailbox_size(world));
	refused(EPERM, create_vm(world), "a VM over a mailbox with a page of the VMM's own");
}

void attack_vm_type(struct world *world)
{
	static const uint64_t types[] = {
		0, 1, 2, 3, 0x80000000, 0xffffffff, 1ull << 32, 1ull << 63};

	world_map(world);
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (types[i] != world->vm.opening.type)
			refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, types[i]),
				"a VM of type %#lx", types[i]);
	}
	require(create_vm(world) >= 0, "the VM is made");
	control(world);
}

static void try_wrong_fd(int fd, const char *what)
{
	refused(EPERM, ioctl(fd, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM on %s", what);
	if (fd >= 0)
		close(fd);
}

void attack_vm_wrong_fd(struct world *world)
{
	world_map(world);
	try_wrong_fd(-1, "no file");
	try_wrong_fd(12345, "a closed file");
	try_wrong_fd(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	try_wrong_fd(memfd_create("kvm", MFD_CLOEXEC), "a memfd");
	try_wrong_fd(eventfd(0, EFD_CLOEXEC), "an eventfd");
	require(create_vm(world) >= 0, "the VM is made");
	refused(EPERM, ioctl(world->vm.fd, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM on the VM");
	control(world);
}

void attack_vm_twice(struct world *world)
{
	int first = world->vm.fd;

	for (int i = 0; i < 3; i++)
		refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul), "a second VM");
	control(world);
	close(first);
	refused(EPERM, create_vm(world), "another VM after the first is closed");
}

void attack_vm_closed(struct world *world)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);
	struct order memory;

	control(world);
	require(order_memory(world, PAGE, &memory) == 0, "gmemd writes a creation");
	require(gmem_vm_close(&world->vm) == 0, "gmemd releases the VM");
	refused(EPERM, trigger(world, &memory), "creating by an entry of a released VM");
	refused(EPERM, ioctl(world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create),
		"creating from own bytes after the release");
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul),
		"another VM after the release");
	verdict(order_memory(world, PAGE, &memory) == -EREMOTEIO && reason_is("gone"),
		"gmemd writes nothing more for a released VM");
}
