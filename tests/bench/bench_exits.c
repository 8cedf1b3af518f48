/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_exits: how often per second a guest's vCPU leaves to its VMM and comes back, with the gate
 * round the VMM and without: each KVM_RUN is an ioctl that the gate's filter looks at.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"
#include "tests/bench/bench.h"

#define MEMORY_SIZE  0x10000
#define CODE_ADDRESS 0x1000

/* Real mode: outb %al, $0xe9; jmp back to it. */
static const unsigned char code[] = {0xe6, 0xe9, 0xeb, 0xfc};

/* A VMM of one vCPU; there is one in a process. */
static struct {
	int kvm, vm, vcpu;
	void *bytes; /* the guest's memory */
	struct kvm_run *run;
} vmm;

static int set_registers(void)
{
	struct kvm_regs registers = {.rip = CODE_ADDRESS, .rflags = 2};
	struct kvm_sregs system;

	if (ioctl(vmm.vcpu, KVM_GET_SREGS, &system) < 0)
		return -errno;
	system.cs.base = 0;
	system.cs.selector = 0;
	if (ioctl(vmm.vcpu, KVM_SET_SREGS, &system) < 0)
		return -errno;
	return ioctl(vmm.vcpu, KVM_SET_REGS, &registers) < 0 ? -errno : 0;
}

static int make_vcpu(void)
{
	int size = ioctl(vmm.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	vmm.vcpu = ioctl(vmm.vm, KVM_CREATE_VCPU, 0ul);
	if (size < 0 || vmm.vcpu < 0)
		return -errno;
	vmm.run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vmm.vcpu, 0);
	if (vmm.run == MAP_FAILED)
		return -errno;
	memcpy((char *)vmm.bytes + CODE_ADDRESS, code, sizeof code);
	return set_registers();
}

static int bind_own(int guest_memfd)
{
	const struct kvm_userspace_memory_region2 arguments = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = MEMORY_SIZE,
		.userspace_addr = (uintptr_t)vmm.bytes,
		.guest_memfd = (uint32_t)guest_memfd,
	};

	return ioctl(vmm.vm, KVM_SET_USER_MEMORY_REGION2, &arguments) < 0 ? -errno : 0;
}

static int make_own_memory(void)
{
	struct kvm_create_guest_memfd arguments = {
		.size = MEMORY_SIZE, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
	int fd = ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, &arguments);

	if (fd < 0)
		return -errno;
	vmm.bytes = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return vmm.bytes == MAP_FAILED ? -errno : bind_own(fd);
}

static int set_up_own(const char *socket, void **ret_context)
{
	int r;

	(void)socket;
	(void)ret_context;
	vmm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vmm.kvm < 0)
		return -errno;
	vmm.vm = ioctl(vmm.kvm, KVM_CREATE_VM, 0ul);
	if (vmm.vm < 0)
		return -errno;
	r = make_own_memory();
	return r < 0 ? r : make_vcpu();
}

static int make_brokered_memory(struct gmem_vm *vm)
{
	struct gmem_slot slot = {.memory_size = MEMORY_SIZE};
	int r;

	r = gmem_memory_create(vm, MEMORY_SIZE, NULL, &slot.memory);
	if (r == 0)
		r = gmem_memory_map(
			slot.memory, 0, MEMORY_SIZE, PROT_READ | PROT_WRITE, &vmm.bytes);
	slot.userspace_addr = (uintptr_t)vmm.bytes;
	return r < 0 ? r : gmem_slot_bind(vm, &slot);
}

static int set_up_brokered(const char *socket, enum gmem_gate gate)
{
	const struct gmem_vm_options options = {
		.name = gate == GMEM_GATE_NONE ? "ungated" : "gated", .gate = gate};
	struct gmem_vm *vm;
	struct gmem *gmem;
	int r;

	r = gmem_connect(socket, &gmem);
	if (r == 0)
		r = gmem_vm_open(gmem, &options, &vm);
	if (r == 0)
		r = make_brokered_memory(vm);
	if (r < 0)
		return r;
	vmm.kvm = gmem_vm_kvm_fd(vm);
	vmm.vm = gmem_vm_fd(vm);
	return make_vcpu();
}

static int set_up_ungated(const char *socket, void **ret_context)
{
	(void)ret_context;
	return set_up_brokered(socket, GMEM_GATE_NONE);
}

static int set_up_gated(const char *socket, void **ret_context)
{
	(void)ret_context;
	return set_up_brokered(socket, GMEM_GATE_REQUIRED);
}

static int exit_once(void *context)
{
	(void)context;
	if (ioctl(vmm.vcpu, KVM_RUN, 0) < 0)
		return -errno;
	return vmm.run->exit_reason == KVM_EXIT_IO ? 0 : -EIO;
}

int main(int argc, char **argv)
{
	static const char *const steps[] = {"exit", NULL};
	static const struct bench_subject subjects[] = {
		{"own VM, no gmemd", set_up_own, {exit_once}},
		{"gmemd, no gate", set_up_ungated, {exit_once}},
		{"gmemd, gated", set_up_gated, {exit_once}},
	};
	static const struct bench_comparison comparison = {
		.title = "KVM_RUN exits",
		.unit = BENCH_PER_SECOND,
		.steps = steps,
		.subjects = subjects,
		.n_subjects = sizeof subjects / sizeof *subjects,
		.gate = true,
		.rounds = 40,
		.samples = 20,
		.batch = 200,
		.target = "gated at least 0.980 of without",
	};

	return bench_main(argc, argv, &comparison);
}
