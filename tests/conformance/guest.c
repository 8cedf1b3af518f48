/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A real guest. See guest.h.
 */
#include "tests/conformance/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/conformance/subject.h"

#ifdef __x86_64__

/* 16-bit code with 32-bit addresses. */
static const uint8_t code[] = {
	0x67, 0x8a, 0x03, 0xf4, /* mov al, [ebx]; hlt */
	0x67, 0x88, 0x03, 0xf4, /* mov [ebx], al; hlt */
};
#define CODE_READ  0
#define CODE_WRITE 4

struct guest {
	int vm_fd; /* not owned */
	int vcpu_fd;
	struct kvm_run *run;
	size_t run_size;
	void *code_page;
};

static int code_slot(struct guest *guest)
{
	const struct kvm_userspace_memory_region region = {
		.slot = SUBJECT_CODE_SLOT,
		.guest_phys_addr = SUBJECT_CODE_ADDRESS,
		.memory_size = PAGE,
		.userspace_addr = (uintptr_t)guest->code_page,
	};

	return ioctl(guest->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

static int code_page(struct guest *guest)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	memcpy(page, code, sizeof code);
	guest->code_page = page;
	return 0;
}

static void segment_all(struct kvm_segment *segment, uint64_t base)
{
	segment->base = base;
	segment->selector = 0;
	segment->limit = 0xffffffff;
	segment->g = 1;
}

static int start_vcpu(struct guest *guest, int kvm_fd)
{
	struct kvm_sregs sregs;
	void *run;

	guest->vcpu_fd = ioctl(guest->vm_fd, KVM_CREATE_VCPU, 0L);
	if (guest->vcpu_fd < 0)
		return -errno;
	guest->run_size = (size_t)ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, guest->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	guest->run = run;
	if (ioctl(guest->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	segment_all(&sregs.cs, SUBJECT_CODE_ADDRESS);
	segment_all(&sregs.ds, 0);
	return ioctl(guest->vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

int guest_new(int kvm_fd, int vm_fd, struct guest **ret)
{
	struct guest *guest = calloc(1, sizeof *guest);
	int r;

	if (!guest)
		return -ENOMEM;
	guest->vm_fd = vm_fd;
	guest->vcpu_fd = -1;
	r = code_page(guest);
	if (r == 0)
		r = code_slot(guest);
	if (r == 0)
		r = start_vcpu(guest, kvm_fd);
	if (r < 0)
		guest_free(guest);
	else
		*ret = guest;
	return r;
}

struct guest *guest_free(struct guest *guest)
{
	if (!guest)
		return NULL;
	if (guest->run)
		munmap(guest->run, guest->run_size);
	fd_close(guest->vcpu_fd);
	if (guest->code_page)
		munmap(guest->code_page, PAGE);
	free(guest);
	return NULL;
}

/* Runs until the guest halts or can't go on. */
static int run(struct guest *guest)
{
	int result = MODEL_ACCESS_DONE;

	for (;;) {
		guest->run->exit_reason = KVM_EXIT_UNKNOWN;
		if (ioctl(guest->vcpu_fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR)
				continue;
			if (guest->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
				return MODEL_ACCESS_MEMORY_FAULT;
			return errno == EFAULT ? MODEL_ACCESS_FAULT : -errno;
		}
		if (guest->run->exit_reason == KVM_EXIT_HLT)
			return result;
		if (guest->run->exit_reason != KVM_EXIT_MMIO)
			return -ENOTRECOVERABLE;
		result = MODEL_ACCESS_MMIO;
	}
}

int guest_access(struct guest *guest, uint64_t guest_phys_addr, uint8_t *byte, bool write)
{
	struct kvm_regs registers = {
		.rip = write ? CODE_WRITE : CODE_READ,
		.rax = write ? *byte : 0,
		.rbx = guest_phys_addr,
		.rflags = 2,
	};
	int r;

	if (ioctl(guest->vcpu_fd, KVM_SET_REGS, &registers) < 0)
		return -errno;
	r = run(guest);
	if (r != MODEL_ACCESS_DONE || write)
		return r;
	if (ioctl(guest->vcpu_fd, KVM_GET_REGS, &registers) < 0)
		return -errno;
	*byte = (uint8_t)registers.rax;
	return MODEL_ACCESS_DONE;
}

#else

int guest_new(int kvm_fd, int vm_fd, struct guest **ret)
{
	(void)kvm_fd;
	(void)vm_fd;
	(void)ret;
	return -ENOTSUP;
}

struct guest *guest_free(struct guest *guest)
{
	(void)guest;
	return NULL;
}

int guest_access(struct guest *guest, uint64_t guest_phys_addr, uint8_t *byte, bool write)
{
	(void)guest;
	(void)guest_phys_addr;
	(void)byte;
	(void)write;
	return -ENOTSUP;
}

#endif
