/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks on the gate itself: more filters, other architectures, nobody to ask.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/kvm/gate.h"
#include "tests/adversary/adversary.h"

#define X32_BIT 0x40000000

static long install(uint32_t action, unsigned long flags)
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, action)};
	struct sock_fprog filter = {1, program};

	return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

static void try_forgeries(struct world *world, const char *when)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);
	struct kvm_userspace_memory_region2 slot = slot_of(1, 0x1000000, 3);

	refused(EPERM, ioctl(world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create),
		"creating from own bytes %s", when);
	refused(EPERM, ioctl(world->vm.fd, KVM_SET_USER_MEMORY_REGION2, &slot),
		"binding from own bytes %s", when);
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul), "a second VM %s", when);
}

void attack_second_filter(struct world *world)
{
	verdict(install(SECCOMP_RET_ALLOW, 0) == 0, "control: a filter that allows all goes in");
	verdict(install(SECCOMP_RET_LOG, 0) == 0, "control: so does one that logs all");
	try_forgeries(world, "behind a filter that allows all");
	refused(EINVAL, prctl(PR_SET_SECCOMP, 0 /* SECCOMP_MODE_DISABLED */),
		"switching filters off");
	verdict(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
			prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0,
		"no_new_privs stays");
	control(world);
}

void attack_second_listener(struct world *world)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	int listener = -1;

	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		areas[command] = mailbox_area(command);
	refused(EBUSY, install(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER),
		"a listener of the VMM's own");
	errno = -gate_install(areas, &listener);
	refused(EBUSY, listener < 0 ? -1 : listener, "another gate");
	try_forgeries(world, "after that");
	control(world);
}

#ifdef __x86_64__
/* As 32-bit code would. All that it points to must be below 4 GiB. */
static long call_32(unsigned number, unsigned first, unsigned second, unsigned third)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(first), "c"(second), "d"(third)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void ioctl_32(struct world *world)
{
	call_32(54 /* ioctl */, (unsigned)world->vm.fd, KVM_CREATE_GUEST_MEMFD,
		(unsigned)mailbox_start(world));
}

static void getpid_32(struct world *world)
{
	(void)world;
	call_32(20 /* getpid */, 0, 0, 0);
}

static void ioctl_x32(struct world *world)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);

	syscall(X32_BIT | 514 /* ioctl */, world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create);
}

static void ioctl_x32_native(struct world *world)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);

	syscall(X32_BIT | __NR_ioctl, world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create);
}

static void getpid_x32(struct world *world)
{
	(void)world;
	syscall(X32_BIT | __NR_getpid);
}

static void killed(struct world *world, attack *call, const char *what)
{
	pid_t child = fork();
	int outcome;

	if (child == 0) {
		call(world);
		_exit(EXIT_SUCCESS);
	}
	outcome = child_outcome(child);
	verdict(outcome == -SIGSYS, "%s: %s", what,
		outcome == -SIGSYS ? "killed by SIGSYS" : "LIVES ON, or died of something else");
}

static void no_call(struct world *world)
{
	(void)world;
	if (syscall(-1) != -1 || errno != ENOSYS)
		_exit(EXIT_FAILURE);
}

void attack_architectures(struct world *world)
{
	killed(world, ioctl_32, "a 32-bit ioctl");
	killed(world, getpid_32, "any 32-bit call");
	killed(world, ioctl_x32, "an x32 ioctl by its own number");
	killed(world, ioctl_x32_native, "an x32 ioctl by the native number");
	killed(world, getpid_x32, "any x32 call");
	in_child(no_call, world);
	verdict(true, "control: the call -1 fails like any unknown one");
	control(world);
}
#else
void attack_architectures(struct world *world)
{
	skipped("for x86-64", "other architectures");
	control(world);
}
#endif

/* Its connection is gone; gmemd still answers its gate. */
void attack_deaf(struct world *world)
{
	struct order pending;
	int fd;

	control(world);
	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	close(world->gmem->fd);
	usleep(50000);
	try_forgeries(world, "without a connection");
	fd = trigger(world, &pending);
	verdict(fd >= 0, "control: a true entry still creates");
	refused(EPERM, trigger(world, &pending), "but not twice");
}

static bool gmemd_lives(const struct world *world)
{
	struct ucred gmemd;
	socklen_t length = sizeof gmemd;

	return getsockopt(world->gmem->fd, SOL_SOCKET, SO_PEERCRED, &gmemd, &length) == 0 &&
	       (kill(gmemd.pid, 0) == 0 || errno == EPERM);
}

/* The driver kills gmemd once it reads "ready", and starts the next one once it reads "waiting". */
void attack_orphan(struct world *world)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);
	struct order pending;
	int fd;

	control(world);
	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	printf("ready\n");
	fflush(stdout);
	for (unsigned i = 0; i < 1000 && gmemd_lives(world); i++)
		usleep(10000);
	require(!gmemd_lives(world), "gmemd ends");
	refused(EPERM, ioctl(world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create),
		"creating from own bytes without a gmemd");
	try_listeners("without a gmemd");
	printf("waiting\n");
	fflush(stdout);
	fd = trigger(world, &pending);
	verdict(fd >= 0, "control: creating by a true entry waits for the next gmemd");
	refused(EPERM, trigger(world, &pending), "but not twice");
	refused(EPERM, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul),
		"a second VM under the next gmemd");
	try_listeners("under the next gmemd");
}
