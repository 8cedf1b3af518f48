/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A real VM for tests. See vm.h.
 */
#include "tests/lib/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "tests/lib/unit.h"

static bool skip(const char *what, int number)
{
	char reason[128];

	snprintf(reason, sizeof reason, "%s%s%s", what, number ? ": " : "",
		number ? strerror(number) : "");
	unit_skip(reason);
	return false;
}

bool vm_or_skip(unsigned long type, int *ret_vm)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm;

	if (kvm < 0)
		return skip("/dev/kvm can't be opened", errno);
	vm = ioctl(kvm, KVM_CREATE_VM, type);
	if (vm < 0)
		return skip("no VM of the type can be made", errno);
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) <= 0) {
		close(vm);
		return skip("VMs of the type have no guest_memfd here", 0);
	}
	*ret_vm = vm;
	return true;
}

int vm_guest_memfd(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd arguments = {.size = size, .flags = flags};
	int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arguments);

	return fd < 0 ? -errno : fd;
}
