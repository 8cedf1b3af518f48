/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks on a gate whose listener nobody holds any more: the kernel would take another listener
 * then, if the gate itself did not refuse it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

/* What the driver makes in the working directory once gmemd is gone, and once there is another. */
#define GONE_FILE      "gmemd-is-gone"
#define SUCCESSOR_FILE "gmemd-is-back"

static long install_with(uint32_t action, unsigned long flags)
{
	struct sock_filter instruction = BPF_STMT(BPF_RET | BPF_K, action);
	struct sock_fprog program = {1, &instruction};

	return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

void try_listeners(const char *when)
{
	static const struct {
		unsigned long flags;
		const char *name;
	} ways[] = {
		{0, "a listener"},
		{SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
			"a listener for all threads"},
		{SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, "a listener whose calls no signal ends"},
		{SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
			"a listener by more flags"},
		{1ul << 32, "a listener with flags that the kernel does not read"},
	};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		refused(EBUSY,
			install_with(SECCOMP_RET_USER_NOTIF,
				SECCOMP_FILTER_FLAG_NEW_LISTENER | ways[i].flags),
			"%s %s", ways[i].name, when);
}

static void child_tries(struct world *world)
{
	(void)world;
	try_listeners("of a child's");
}

static void *thread_tries(void *context)
{
	(void)context;
	try_listeners("of a thread's");
	return NULL;
}

static void try_all(struct world *world, const struct order *pending, const char *when)
{
	struct kvm_create_guest_memfd create = creation_of(PAGE);
	struct kvm_userspace_memory_region2 slot = slot_of(1, 0x1000000, 3);

	try_listeners(when);
	refused(EPERM, ioctl(world->vm.fd, KVM_CREATE_GUEST_MEMFD, &create),
		"creating from own bytes %s", when);
	refused(EPERM, ioctl(world->vm.fd, KVM_SET_USER_MEMORY_REGION2, &slot),
		"binding from own bytes %s", when);
	refused(ENOSYS, trigger(world, pending), "creating by a true entry %s", when);
	refused(ENOSYS, ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, 0ul), "a second VM %s",
		when);
}

/*
 * The driver ends whoever holds the listener once it reads "ready", and starts the next gmemd once
 * it reads "abandoned".
 */
void attack_abandoned(struct world *world)
{
	struct order pending;
	pthread_t thread;

	control(world);
	require(order_memory(world, PAGE, &pending) == 0, "gmemd writes a creation");
	try_listeners("while gmemd lives");
	meet_driver("ready", GONE_FILE);
	try_all(world, &pending, "when nobody listens");
	in_child(child_tries, world);
	require(pthread_create(&thread, NULL, thread_tries, NULL) == 0, "a thread");
	pthread_join(thread, NULL);
	verdict(install_with(SECCOMP_RET_ALLOW, SECCOMP_FILTER_FLAG_TSYNC) == 0,
		"control: a filter without a listener goes in");
	verdict(install_with(SECCOMP_RET_LOG, 0) == 0, "control: and another");
	try_all(world, &pending, "below filters of the VMM's own");
	meet_driver("abandoned", SUCCESSOR_FILE);
	try_all(world, &pending, "beside a gmemd that has never had its listener");
}
