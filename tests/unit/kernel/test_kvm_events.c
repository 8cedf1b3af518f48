/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What KVM tells of VMs that are made: which thread, that it is there in time, what is lost.
 */
#include "kernel/kvm/kvm_events.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"

#define UEVENT_FILE "/sys/devices/virtual/misc/kvm/uevent"
#define FLOOD       5000
#define TAKEN       100

/* The next VM that one of these threads has made: other programs may make some meanwhile. */
static int next_of(int fd, const pid_t *threads, size_t count, pid_t *ret)
{
	int r;

	while ((r = kvm_events_next(fd, ret)) == 0) {
		for (size_t i = 0; i < count; i++) {
			if (*ret == threads[i])
				return 0;
		}
	}
	return r;
}

/* Empty, of a kernel that tells this process of its own; -1 where it does not. */
static int open_or_skip(void)
{
	int fd = -1, vm;
	pid_t thread, self = gettid();

	if (!vm_or_skip(0, &vm))
		return -1;
	close(vm);
	CU_ASSERT_EQUAL_FATAL(kvm_events_open(&fd), 0);
	CU_ASSERT_TRUE(vm_or_skip(0, &vm));
	close(vm);
	if (next_of(fd, &self, 1, &thread) == 0)
		return fd;
	unit_skip("KVM tells of VMs by pids of another PID namespace, or not at all");
	close(fd);
	return -1;
}

static void *make_vm(void *context)
{
	int vm;

	*(pid_t *)context = gettid();
	if (vm_or_skip(0, &vm))
		close(vm);
	return NULL;
}

static void test_threads(void)
{
	cleanup_fd int fd = open_or_skip();
	pid_t made[3], told = 0;
	pthread_t thread;

	if (fd < 0)
		return;
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, make_vm, &made[i]), 0);
		pthread_join(thread, NULL);
	}
	/* Without waiting: and of their ends nothing is told. */
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(next_of(fd, made, 3, &told), 0);
		CU_ASSERT_EQUAL(told, made[i]);
	}
	CU_ASSERT_EQUAL(next_of(fd, made, 3, &told), -EAGAIN);
}

/* One that fails is told of by nothing. */
static void test_failure(void)
{
	cleanup_fd int fd = open_or_skip(), kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	pid_t told = 0, self = gettid();

	if (fd < 0)
		return;
	CU_ASSERT_TRUE(ioctl(kvm, KVM_CREATE_VM, 0xffff) < 0);
	CU_ASSERT_EQUAL(next_of(fd, &self, 1, &told), -EAGAIN);
}

static bool tell(const char *text)
{
	cleanup_fd int file = open(UEVENT_FILE, O_WRONLY | O_CLOEXEC);

	return file >= 0 && write(file, text, strlen(text)) > 0;
}

static void test_loss(void)
{
	cleanup_fd int fd = open_or_skip();
	unsigned lost = 0;
	pid_t told = 0, made, self = gettid();
	int r;

	if (fd < 0)
		return;
	if (!tell("change")) {
		unit_skip("no uevent of KVM can be had here: " UEVENT_FILE);
		return;
	}
	/* Of no VM. */
	CU_ASSERT_EQUAL(next_of(fd, &self, 1, &told), -EAGAIN);
	for (unsigned i = 0; i < FLOOD; i++)
		tell("change");
	make_vm(&made);
	while ((r = kvm_events_next(fd, &told)) != -EAGAIN)
		lost += r == -ENOBUFS;
	CU_ASSERT_TRUE(lost > 0);
	make_vm(&made);
	CU_ASSERT_EQUAL(next_of(fd, &made, 1, &told), 0);
}

/* A loss is told once: until all that was told before it is taken, nothing is told any more. */
static void test_congestion(void)
{
	cleanup_fd int fd = open_or_skip();
	pid_t told = 0, made;
	int r;

	if (fd < 0)
		return;
	if (!tell("change")) {
		unit_skip("no uevent of KVM can be had here: " UEVENT_FILE);
		return;
	}
	for (unsigned i = 0; i < FLOOD; i++)
		tell("change");
	CU_ASSERT_EQUAL(kvm_events_next(fd, &told), -ENOBUFS);
	for (unsigned i = 0; i < TAKEN; i++)
		CU_ASSERT_EQUAL(kvm_events_next(fd, &told), 0);
	make_vm(&made);
	while ((r = kvm_events_next(fd, &told)) == 0)
		CU_ASSERT_NOT_EQUAL(told, made);
	CU_ASSERT_EQUAL(r, -EAGAIN);
	make_vm(&made);
	CU_ASSERT_EQUAL(next_of(fd, &made, 1, &told), 0);
}

/* Whoever may send in this network namespace could say so. */
static void test_others(void)
{
	static const char text[] = "change@/devices/virtual/misc/kvm\0EVENT=create\0PID=1";
	struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
	cleanup_fd int fd = open_or_skip();
	cleanup_fd int sender =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	const pid_t forged = 1;
	pid_t told = 0;

	if (fd < 0)
		return;
	if (sendto(sender, text, sizeof text, 0, (struct sockaddr *)&group, sizeof group) < 0 &&
		errno == EPERM)
		unit_skip("not permitted to send uevents");
	CU_ASSERT_EQUAL(next_of(fd, &forged, 1, &told), -EAGAIN);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"threads", test_threads},
		{"one that fails", test_failure},
		{"what is lost", test_loss},
		{"a loss is told once", test_congestion},
		{"of others", test_others},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "KVM's uevents", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
