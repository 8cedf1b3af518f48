/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks by what is not the VM's process, or not any more: children, address spaces after exec.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/lib/environment.h"
#include "kernel/host/process.h"
#include "tests/adversary/adversary.h"

#define VM_FD_VARIABLE "ADVERSARY_VM_FD"
#define STACK_SIZE     (256 * 1024)

/* A VM fd is of no use in another address space, whatever the arguments. */
static void try_inherited_vm(struct world *world, struct order *pending, const char *who)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);
	long r;

	refused(EIO, ioctl(world->vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY),
		"%s asks the VM", who);
	refused(EIO, ioctl(world->vm.fd, KVM_CREATE_VCPU, 1ul), "%s makes a vCPU", who);
	refused(EPERM, ioctl(world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create),
		"%s creates from own bytes", who);
	refused(EIO,
		ioctl(world->vm.fd, KVM_SET_USER_MEMORY_REGION2, entry_of(world, MAILBOX_SLOT, 0)),
		"%s binds", who);
	r = trigger(world, pending);
	verdict(r < 0 && (errno == EPERM || errno == EIO), "%s creates by a true entry: %s", who,
		r < 0 ? strerrorname_np(errno) : "WORKED");
}

static void child_before(struct world *world)
{
	refused(EPERM, create_vm(world), "a VM of a child's");
}

static void child_after(struct world *world)
{
	struct order pending;

	/* The connection is the parent's, so gmemd takes the order for the parent's. */
	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul),
		"a VM of a child's, after the parent's");
	try_inherited_vm(world, &pending, "a child");
}

void attack_fork(struct world *world)
{
	in_child(child_before, world);
	world_map(world);
	in_child(child_before, world);
	require(create_vm(world) >= 0, "the VM is made");
	in_child(child_after, world);
	world->gmem->last_id += 1000; /* the child has used some */
	control(world);
}

static int clone_main(void *context)
{
	struct world *world = context;

	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul),
		"a VM of a child's that shares the address space");
	return EXIT_SUCCESS;
}

static int clone_create(void *context)
{
	struct world *world = context;
	struct order pending;

	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	refused(EPERM, trigger(world, &pending),
		"creating by a true entry in a child that shares the address space");
	return EXIT_SUCCESS;
}

static void clone_vm(struct world *world, int (*function)(void *))
{
	unsigned char *stack = malloc(STACK_SIZE);
	pid_t child = clone(function, stack + STACK_SIZE, CLONE_VM | CLONE_FILES | SIGCHLD, world);

	if (child < 0 || child_outcome(child) != EXIT_SUCCESS)
		verdict(false, "a clone came to a bad end");
	free(stack);
}

static void vfork_create(struct world *world)
{
	volatile int number = 0;
	pid_t child = vfork();

	if (child == 0) {
		number = ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul) < 0 ? errno : -1;
		_exit(EXIT_SUCCESS);
	}
	child_outcome(child);
	errno = number;
	refused(EPERM, number < 0 ? 0 : -1, "a VM of a vfork's");
}

void attack_clone_vm(struct world *world)
{
	world_map(world);
	clone_vm(world, clone_main);
	vfork_create(world);
	require(create_vm(world) >= 0, "the VM is made");
	clone_vm(world, clone_main);
	clone_vm(world, clone_create);
	control(world);
}

static void *thread_main(void *context)
{
	struct world *world = context;

	world_map(world);
	verdict(create_vm(world) >= 0, "control: a thread makes the VM");
	control(world);
	return NULL;
}

void attack_thread(struct world *world)
{
	pthread_t thread;

	require(pthread_create(&thread, NULL, thread_main, world) == 0, "a thread");
	pthread_join(thread, NULL);
	control(world);
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul),
		"a second VM by another thread");
}

/* This program again, in an address space of its own, with all that this one has. */
static void exec_as(const struct world *world, const char *name)
{
	pass_on_opening(world);
	if (world->vm.fd >= 0)
		pass_on(VM_FD_VARIABLE, world->vm.fd);
	execl("/proc/self/exe", "adversary", name, NULL);
	require(false, "exec");
}

/* A main thread that has ended is still there to be looked at, and shows nothing of the process. */
static void *without_main_thread(void *context)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);
	struct world *world = context;

	for (unsigned i = 0; i < 6000 && process_thread_lives(getpid(), getpid()); i++)
		usleep(10000);
	require(!process_thread_lives(getpid(), getpid()), "the main thread has ended");
	refused(EPERM, create_vm(world), "a VM without the mailbox, by the thread that is left");
	world_open(world);
	refused(EPERM, ioctl(world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create),
		"creating from own bytes");
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul), "a second VM");
	control(world);
	exit(EXIT_SUCCESS);
}

void attack_leaderless(struct world *world)
{
	static struct world kept; /* the main thread's stack is no more */
	pthread_t thread;

	kept = *world;
	kept.vm.gmem = kept.gmem;
	require(pthread_create(&thread, NULL, without_main_thread, &kept) == 0, "a thread");
	syscall(SYS_exit, 0);
}

void attack_exec(struct world *world)
{
	control(world);
	exec_as(world, "successor");
}

/* Own bytes where the gate takes them for the mailbox's. */
static void forge_mailbox(struct world *world)
{
	void *start = (void *)(uintptr_t)mailbox_start(world);
	struct kvm_userspace_memory_region2 slot = slot_of(1, 0x1000000, 3);

	require(mmap(start, mailbox_size(world), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == start,
		"own bytes at the mailbox's address");
	for (unsigned entry = 0; entry < entries_of(MAILBOX_CREATE); entry++)
		*(struct kvm_create_guest_memfd *)entry_of(world, MAILBOX_CREATE, entry) =
			creation_of(PAGE);
	memcpy(entry_of(world, MAILBOX_SLOT, 0), &slot, sizeof slot);
}

void attack_successor(struct world *world)
{
	struct order pending;
	uint64_t fd = 0;

	require(environment_number(VM_FD_VARIABLE, &fd) == 0, "the VM's fd");
	world->vm.fd = (int)fd;
	forge_mailbox(world);
	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	try_inherited_vm(world, &pending, "the successor");
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul),
		"the successor's own VM over own bytes");
	require(munmap((void *)(uintptr_t)mailbox_start(world), mailbox_size(world)) == 0,
		"own bytes go");
	world_map(world);
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul),
		"the successor's own VM over the true mailbox");
}

/* Maps it rightly, then is another: nothing is left of the mapping. */
void attack_exec_early(struct world *world)
{
	world_map(world);
	exec_as(world, "successor-early");
}

void attack_successor_early(struct world *world)
{
	refused(EPERM, create_vm(world), "a VM over a mailbox mapped before exec");
	forge_mailbox(world);
	refused(EPERM, create_vm(world), "a VM over own bytes after exec");
	require(munmap((void *)(uintptr_t)mailbox_start(world), mailbox_size(world)) == 0,
		"own bytes go");
	world_open(world);
	control(world);
}
