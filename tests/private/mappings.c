/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a guest's mappings is there after a slot was deleted, by KVM's own count, on a KVM that
 * has page tables of its own for a guest in real mode. Reports as TAP.
 *
 *     mappings SOCKET
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"
#include "kernel/model/model.h"
#include "tests/conformance/guest.h"

#define PAGE   UINT64_C(4096)
#define BASE   UINT64_C(0x1000000)
#define FRAMES 1024 /* that the guest looks at, of a slot that stays */

static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	printf("not ok - %s: %s, %s\n", what, strerror(-r), gmem_last_error());
	exit(EXIT_FAILURE);
}

static void read_at(int fd, void *bytes, size_t size, uint64_t offset)
{
	need(pread(fd, bytes, size, (off_t)offset) == (ssize_t)size ? 0 : -EIO, "the statistics");
}

/* KVM's own count of the VM's mappings of that size. Reference: api.rst, KVM_GET_STATS_FD. */
static uint64_t stat_of(int vm_fd, const char *name)
{
	union {
		struct kvm_stats_desc description;
		char bytes[sizeof(struct kvm_stats_desc) + 256];
	} one;
	int fd = ioctl(vm_fd, KVM_GET_STATS_FD, NULL);
	struct kvm_stats_header header;
	uint64_t value = 0;
	size_t size;

	need(fd, "KVM_GET_STATS_FD");
	read_at(fd, &header, sizeof header, 0);
	size = sizeof one.description + header.name_size;
	need(size <= sizeof one ? 0 : -E2BIG, "the statistics' names");
	for (uint32_t i = 0; i < header.num_desc; i++) {
		read_at(fd, &one, size, header.desc_offset + i * size);
		if (strcmp(one.description.name, name) == 0)
			read_at(fd, &value, sizeof value,
				header.data_offset + one.description.offset);
	}
	close(fd);
	return value;
}

static uint64_t mapped_pages(int vm_fd)
{
	return stat_of(vm_fd, "pages_4k") + 512 * stat_of(vm_fd, "pages_2m");
}

static void look_at_all(struct guest *guest, uint64_t frames)
{
	for (uint64_t frame = 0; frame < frames; frame++) {
		uint8_t byte;

		need(guest_access(guest, BASE + frame * PAGE, &byte, /* write= */ true),
			"the guest's access");
	}
}

static void bind_slot(struct gmem_vm *vm, struct gmem_memory *memory, struct gmem_slot slot)
{
	void *mapped;

	need(gmem_memory_map(memory, slot.guest_memfd_offset, slot.memory_size,
		     PROT_READ | PROT_WRITE, &mapped),
		"mapping");
	slot.userspace_addr = (uintptr_t)mapped;
	slot.memory = memory;
	need(gmem_slot_bind(vm, &slot), "binding");
}

/* In a process of its own, for one has one VM. */
static void count(const char *socket, enum gmem_mappings mappings)
{
	const struct gmem_vm_options options = {
		.name = "mappings", .gate = GMEM_GATE_NONE, .mappings = mappings};
	struct gmem_memory *memory;
	struct guest *guest;
	struct gmem *gmem;
	struct gmem_vm *vm;
	uint64_t before, after;
	int off;

	need(gmem_connect(socket, &gmem), "connecting");
	need(gmem_vm_open(gmem, &options, &vm), "opening the VM");
	off = ioctl(gmem_vm_fd(vm), KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2) &
	      KVM_X86_QUIRK_SLOT_ZAP_ALL;
	need(gmem_memory_create(vm, (FRAMES + 1) * PAGE, NULL, &memory), "the memory");
	bind_slot(vm, memory,
		(struct gmem_slot){
			.slot = 0, .guest_phys_addr = BASE, .memory_size = FRAMES * PAGE});
	bind_slot(vm, memory,
		(struct gmem_slot){.slot = 1,
			.guest_phys_addr = BASE + FRAMES * PAGE,
			.memory_size = PAGE,
			.guest_memfd_offset = FRAMES * PAGE});
	need(guest_new(gmem_vm_kvm_fd(vm), gmem_vm_fd(vm), &guest), "the guest");
	look_at_all(guest, FRAMES + 1);
	before = mapped_pages(gmem_vm_fd(vm));
	need(gmem_slot_unbind(vm, 1), "unbinding");
	after = mapped_pages(gmem_vm_fd(vm));
	printf("# %" PRIu64 " pages mapped, a slot of one page deleted: %" PRIu64 "\n", before,
		after);
	if (before < FRAMES)
		printf("ok - a slot is deleted # SKIP this KVM has no page tables for the guest\n");
	else if (mappings == GMEM_MAPPINGS_GO || !off)
		printf("%s - KVM by itself takes down all\n", after == 0 ? "ok" : "not ok");
	else
		printf("%s - what other slots have stays\n",
			after >= FRAMES && after < before ? "ok" : "not ok");
	exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
	int status = 0;

	if (argc != 2)
		return EXIT_FAILURE;
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13\n1..2");
	for (enum gmem_mappings mappings = GMEM_MAPPINGS_STAY;
		status == 0 && mappings <= GMEM_MAPPINGS_GO; mappings++) {
		pid_t pid = fork();

		if (pid == 0)
			count(argv[1], mappings);
		waitpid(pid, &status, 0);
	}
	return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
