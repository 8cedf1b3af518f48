/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_calls: making memories and slots through libgmem, behind the gate, against the same ioctls
 * issued by a process that has /dev/kvm to itself; and what it adds that VMs outlive gmemd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"
#include "tests/bench/bench.h"

#define MEMORY_SIZE     0x200000
#define SLOT            0
#define GUEST_PHYS_ADDR 0x10000000
#define USERSPACE_ADDR  0x100000000000 /* nothing is mapped there, and need not be */

/* Without gmemd. */
static struct {
	int vm;
	int bound; /* a guest_memfd to bind */
	int created;
} direct;

static int direct_create_memory(int *ret_fd)
{
	struct kvm_create_guest_memfd arguments = {
		.size = MEMORY_SIZE, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};

	*ret_fd = ioctl(direct.vm, KVM_CREATE_GUEST_MEMFD, &arguments);
	return *ret_fd < 0 ? -errno : 0;
}

static int direct_set_slot(uint64_t size)
{
	struct kvm_userspace_memory_region2 arguments = {
		.slot = SLOT,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = GUEST_PHYS_ADDR,
		.memory_size = size,
		.userspace_addr = USERSPACE_ADDR,
		.guest_memfd = (uint32_t)direct.bound,
	};

	return ioctl(direct.vm, KVM_SET_USER_MEMORY_REGION2, &arguments) < 0 ? -errno : 0;
}

static int direct_set_up(const char *socket, void **ret_context)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	(void)socket;
	(void)ret_context;
	if (kvm < 0)
		return -errno;
	direct.vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	if (direct.vm < 0)
		return -errno;
	return direct_create_memory(&direct.bound);
}

static int direct_create(void *context)
{
	(void)context;
	return direct_create_memory(&direct.created);
}

static int direct_close(void *context)
{
	(void)context;
	return close(direct.created) < 0 ? -errno : 0;
}

static int direct_bind(void *context)
{
	(void)context;
	return direct_set_slot(MEMORY_SIZE);
}

static int direct_unbind(void *context)
{
	(void)context;
	return direct_set_slot(0);
}

/* Through libgmem. */
static struct {
	struct gmem_vm *vm;
	struct gmem_memory *bound, *created;
} brokered;

static int brokered_set_up(const char *socket, void **ret_context)
{
	const struct gmem_vm_options options = {.name = "bench", .gate = GMEM_GATE_REQUIRED};
	struct gmem *gmem;
	int r;

	(void)ret_context;
	r = gmem_connect(socket, &gmem);
	if (r == 0)
		r = gmem_vm_open(gmem, &options, &brokered.vm);
	if (r == 0)
		r = gmem_memory_create(brokered.vm, MEMORY_SIZE, NULL, &brokered.bound);
	return r;
}

static int brokered_create(void *context)
{
	(void)context;
	return gmem_memory_create(brokered.vm, MEMORY_SIZE, NULL, &brokered.created);
}

static int brokered_close(void *context)
{
	int r = gmem_memory_close(brokered.created);

	(void)context;
	gmem_memory_free(brokered.created);
	return r;
}

static int brokered_bind(void *context)
{
	const struct gmem_slot slot = {
		.slot = SLOT,
		.guest_phys_addr = GUEST_PHYS_ADDR,
		.memory_size = MEMORY_SIZE,
		.userspace_addr = USERSPACE_ADDR,
		.memory = brokered.bound,
	};

	(void)context;
	return gmem_slot_bind(brokered.vm, &slot);
}

static int brokered_unbind(void *context)
{
	(void)context;
	return gmem_slot_unbind(brokered.vm, SLOT);
}

int main(int argc, char **argv)
{
	static const char *const steps[] = {"create", "close", "bind", "unbind", NULL};
	static const struct bench_subject subjects[] = {
		{"ioctls alone", direct_set_up,
			{direct_create, direct_close, direct_bind, direct_unbind}},
		{"libgmem, gated", brokered_set_up,
			{brokered_create, brokered_close, brokered_bind, brokered_unbind}},
		{"  with a keeper", brokered_set_up,
			{brokered_create, brokered_close, brokered_bind, brokered_unbind}},
	};
	static const struct bench_comparison comparison = {
		.title = "calls",
		.unit = BENCH_MICROSECONDS,
		.steps = steps,
		.subjects = subjects,
		.n_subjects = sizeof subjects / sizeof *subjects,
		.n_kept = 1,
		.gate = true,
		.rounds = 30,
		.samples = 200,
		.batch = 1,
	};

	return bench_main(argc, argv, &comparison);
}
