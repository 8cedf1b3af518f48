/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks that have somebody else write into the mailbox: the kernel for a system call, a debugger,
 * a fault handler, the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

static unsigned char *start_of(const struct world *world)
{
	return (unsigned char *)(uintptr_t)mailbox_start(world);
}

struct witness {
	struct order order;
	unsigned char bytes[PAGE];
};

/* Remembers the first page while it holds a creation. */
static void remember(struct world *world, struct witness *witness)
{
	require(order_memory(world, PAGE, &witness->order) == 0, "gmemd writes a creation");
	memcpy(witness->bytes, start_of(world), PAGE);
}

static void compare(struct world *world, struct witness *witness)
{
	int fd;

	verdict(memcmp(witness->bytes, start_of(world), PAGE) == 0,
		"the mailbox's bytes are gmemd's");
	fd = trigger(world, &witness->order);
	verdict(fd >= 0, "control: they still create");
	require(report(world, &witness->order, fd) == 0, "gmemd takes the new memory");
	close(fd);
	control(world);
}

static void try_memory_file(struct world *world, int flags)
{
	unsigned char bytes[8] = {1};
	int fd = open("/proc/self/mem", flags | O_CLOEXEC);
	unsigned char *own = bytes + 4;

	require(fd >= 0, "/proc/self/mem");
	refused(EIO, pwrite(fd, bytes, sizeof bytes, (off_t)mailbox_start(world)),
		"writing to /proc/self/mem");
	verdict(pwrite(fd, "\2", 1, (off_t)(uintptr_t)own) == 1 && *own == 2,
		"control: other memory can be written so");
	close(fd);
}

static void try_pipe(struct world *world)
{
	int pipes[2];

	require(pipe2(pipes, O_CLOEXEC) == 0 && write(pipes[1], "12345678", 8) == 8, "a pipe");
	refused(EFAULT, read(pipes[0], start_of(world), 8), "read from a pipe");
	close(pipes[0]);
	close(pipes[1]);
}

/* A system call with a pointer to it as its output. */
static void try_outputs(struct world *world)
{
	unsigned char *start = start_of(world);
	uint32_t word = 0;

	refused(EFAULT, syscall(__NR_getrandom, start, 8, 0), "getrandom");
	refused(EFAULT, syscall(__NR_clock_gettime, CLOCK_THREAD_CPUTIME_ID, start),
		"clock_gettime");
	refused(EFAULT,
		syscall(__NR_futex, &word, FUTEX_WAKE_OP, 1, 1, start,
			FUTEX_OP(FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 0)),
		"a futex's operation");
	refused(EFAULT, ioctl(world->vm.fd, KVM_GET_CLOCK, start), "KVM_GET_CLOCK");
	try_pipe(world);
}

/* What a child may write of its parent. */
static unsigned long poked;

static void write_parent(struct world *world)
{
	unsigned char bytes[8] = {1};
	struct iovec local = {bytes, 1}, remote = {start_of(world), 8};
	struct iovec own = {&poked, 1};

	refused(EFAULT, process_vm_writev(getppid(), &local, 1, &remote, 1, 0),
		"process_vm_writev by a child");
	verdict(process_vm_writev(getppid(), &local, 1, &own, 1, 0) == 1,
		"control: a child can write what else the parent has");
}

void attack_write(struct world *world)
{
	struct witness witness;

	remember(world, &witness);
	try_memory_file(world, O_RDWR);
	try_outputs(world);
	in_child(write_parent, world);
	compare(world, &witness);
}

/* Of the process that it is a child of, so that no rank is needed but the same user. */
static void trace_parent(struct world *world)
{
	pid_t parent = getppid();

	refused(EPERM, ptrace(PTRACE_SEIZE, parent, 0, 0x00200000 /* O_SUSPEND_SECCOMP */),
		"ptrace that suspends the gate");
	if (ptrace(PTRACE_SEIZE, parent, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, parent, 0, 0) < 0) {
		skipped("this host lets no child trace", "ptrace POKEDATA");
		return;
	}
	waitpid(parent, NULL, __WALL);
	refused(EIO, ptrace(PTRACE_POKEDATA, parent, start_of(world), 1ul), "ptrace POKEDATA");
	verdict(ptrace(PTRACE_POKEDATA, parent, &poked, 42ul) == 0,
		"control: other memory can be poked");
	ptrace(PTRACE_DETACH, parent, 0, 0);
}

void attack_trace(struct world *world)
{
	struct witness witness;

	remember(world, &witness);
	in_child(trace_parent, world);
	compare(world, &witness);
}

static int open_userfaultfd(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(__NR_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) < 0)
		fd = -1;
	return fd;
}

static int watch_faults(int fd, const void *start, uint64_t length, uint64_t mode)
{
	struct uffdio_register watched = {.range = {(uintptr_t)start, length}, .mode = mode};

	return ioctl(fd, UFFDIO_REGISTER, &watched);
}

void attack_userfaultfd(struct world *world)
{
	static unsigned char page[PAGE] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = mailbox_start(world), .src = (uintptr_t)page, .len = PAGE};
	void *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t size = mailbox_size(world);
	int fd = open_userfaultfd();
	struct witness witness;

	if (fd < 0) {
		skipped("no userfaultfd for this user", "userfaultfd");
		return;
	}
	remember(world, &witness);
	refused(EPERM, watch_faults(fd, start_of(world), size, UFFDIO_REGISTER_MODE_MISSING),
		"userfaultfd for missing pages");
	refused(EPERM, watch_faults(fd, start_of(world), size, UFFDIO_REGISTER_MODE_WP),
		"userfaultfd for protected pages");
	refused(EPERM, watch_faults(fd, start_of(world), size, 4 /* MINOR */),
		"userfaultfd for minor faults");
	madvise(start_of(world), size, MADV_DONTNEED);
	verdict(ioctl(fd, UFFDIO_COPY, &copy) < 0, "UFFDIO_COPY: %s", strerrorname_np(errno));
	verdict(watch_faults(fd, own, PAGE, UFFDIO_REGISTER_MODE_MISSING) == 0,
		"control: other memory can be watched");
	compare(world, &witness);
}

/* --- the guest --- */

#define GUEST_MARK_ADDRESS   0x500
#define GUEST_WINDOW_ADDRESS 0x10000

/* In real mode: marks its own memory, writes to the window, halts. */
static const unsigned char guest_code[] = {
	0xc6, 0x06, GUEST_MARK_ADDRESS & 0xff, GUEST_MARK_ADDRESS >> 8, 42, /* movb $42, 0x500 */
	0xb8, GUEST_WINDOW_ADDRESS >> 4 & 0xff, GUEST_WINDOW_ADDRESS >> 12, /* mov $window, %ax */
	0x8e, 0xd8,                                                         /* mov %ax, %ds */
	0xc7, 0x06, 0x00, 0x00, 0x34, 0x12,                                 /* movw $0x1234, 0 */
	0xf4,                                                               /* hlt */
};

static void *own_page(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(page != MAP_FAILED, "a page");
	return page;
}

static void open_slot(struct world *world, uint32_t number, uint64_t address, const void *memory)
{
	struct order slot;

	require(order_own_slot(world, number, address, PAGE, memory, &slot) == 0 &&
			trigger(world, &slot) == 0 && report(world, &slot, -1) == 0,
		"a slot is bound");
}

/* In the VMM's own memory: a guest_memfd of a type with private memory can't be written to here. */
static unsigned char *load_guest(struct world *world)
{
	unsigned char *bytes = own_page();

	memcpy(bytes, guest_code, sizeof guest_code);
	open_slot(world, 0, 0, bytes);
	return bytes;
}

static void open_window(struct world *world, const void *memory)
{
	open_slot(world, 1, GUEST_WINDOW_ADDRESS, memory);
}

static void shut_window(struct world *world)
{
	struct order slot;

	require(order_unbind(world, 1, &slot) == 0 && trigger(world, &slot) == 0 &&
			report(world, &slot, -1) == 0,
		"the guest's window is unbound");
}

static void reset(int vcpu)
{
	struct kvm_regs registers = {.rip = 0, .rflags = 2};
	struct kvm_sregs system;

	require(ioctl(vcpu, KVM_GET_SREGS, &system) == 0, "the vCPU's state");
	system.cs.base = system.cs.selector = 0;
	system.ds.base = system.ds.selector = 0;
	require(ioctl(vcpu, KVM_SET_SREGS, &system) == 0 &&
			ioctl(vcpu, KVM_SET_REGS, &registers) == 0,
		"the vCPU is set to the guest's start");
}

void attack_guest_write(struct world *world)
{
	unsigned char *bytes = load_guest(world), *own;
	int vcpu = ioctl(world->vm.fd, KVM_CREATE_VCPU, 0ul);
	struct witness witness;
	struct kvm_run *run;
	int r;

	require(vcpu >= 0, "a vCPU");
	run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	require(run != MAP_FAILED, "the vCPU's page is mapped");
	own = own_page();
	open_window(world, own);
	reset(vcpu);
	verdict(ioctl(vcpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_HLT &&
			own[0] == 0x34 && bytes[GUEST_MARK_ADDRESS] == 42,
		"control: the guest writes to the VMM's memory");
	shut_window(world);
	open_window(world, start_of(world));
	remember(world, &witness);
	bytes[GUEST_MARK_ADDRESS] = 0;
	reset(vcpu);
	refused(EFAULT, ioctl(vcpu, KVM_GET_REGS, start_of(world)), "KVM_GET_REGS");
	r = ioctl(vcpu, KVM_RUN, 0);
	verdict(r < 0 || run->exit_reason != KVM_EXIT_HLT,
		"the guest can't write to the mailbox: %s, exit reason %u",
		r < 0 ? strerrorname_np(errno) : "left the guest", run->exit_reason);
	verdict(bytes[GUEST_MARK_ADDRESS] == 42, "control: the guest has run as far as that");
	compare(world, &witness);
}
