/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMM's own life: what gmem-run has left it, the mailbox, the VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client/lib/environment.h"
#include "kernel/kvm/mapping.h"
#include "tests/adversary/adversary.h"

void world_inherit(struct world *world)
{
	*world = (struct world){.vm = {.fd = -1}};
	require(gmem_connect(NULL, &world->gmem) == 0 && world->gmem->inherited,
		"a connection of gmem-run's");
	world->vm.gmem = world->gmem;
	require(opening_inherit(&world->vm.opening) == 0, "a VM of gmem-run's");
	require(mailbox_new("mailbox", MAILBOX_WRITER_ALONE, &world->layout) == 0,
		"a mailbox's layout");
	require(mailbox_address(world->layout) == mailbox_start(world) &&
			mailbox_length(world->layout) == mailbox_size(world),
		"the mailbox is laid out as this program thinks");
}

void world_connect(struct world *world)
{
	const char *path = getenv("ADVERSARY_SOCKET");

	*world = (struct world){.vm = {.fd = -1}};
	require(path && gmem_connect(path, &world->gmem) == 0, "a connection of our own");
	world->vm.gmem = world->gmem;
}

void pass_on(const char *variable, int fd)
{
	char text[16];

	snprintf(text, sizeof text, "%d", fd);
	require(fcntl(fd, F_SETFD, 0) == 0 && setenv(variable, text, /* overwrite= */ 1) == 0,
		"a file is passed on");
}

void pass_on_opening(const struct world *world)
{
	pass_on(GMEM_FD_VARIABLE, world->gmem->fd);
	pass_on(GMEM_KVM_FD_VARIABLE, world->vm.opening.kvm_fd);
	pass_on(GMEM_MAILBOX_FD_VARIABLE, world->vm.opening.mailbox_fd);
	pass_on(GMEM_REPORT_FD_VARIABLE, world->vm.opening.report_fd);
}

void world_map(struct world *world)
{
	int r = mapping_make_permanent(
		world->vm.opening.mailbox_fd, mailbox_start(world), mailbox_size(world));

	errno = -r;
	require(r == 0, "the mailbox is mapped and sealed");
}

int create_vm(struct world *world)
{
	int fd = ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, (long)world->vm.opening.type);

	if (fd >= 0)
		world->vm.fd = fd;
	return fd;
}

void world_open(struct world *world)
{
	world_map(world);
	require(create_vm(world) >= 0, "the VM is made");
}

uint64_t mailbox_start(const struct world *world)
{
	return world->vm.opening.mailbox_address;
}

uint64_t mailbox_size(const struct world *world)
{
	return world->vm.opening.mailbox_length;
}

void *entry_of(const struct world *world, enum mailbox_command command, unsigned entry)
{
	return (void *)(uintptr_t)mailbox_entry_address(world->layout, command, entry);
}

unsigned entries_of(enum mailbox_command command)
{
	const struct mailbox_area area = mailbox_area(command);

	return (unsigned)(area.length / area.stride);
}
