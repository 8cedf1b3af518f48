/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemctl probe tries. See check_tries.h.
 */
#include "client/ctl/probe/check_tries.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <numaif.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/cgroup.h"
#include "kernel/host/memory_file.h"
#include "kernel/host/pressure.h"

#define MIB (1ull << 20)

static bool told(int r, char *ret_detail, size_t size)
{
	snprintf(ret_detail, size, "%s", r == 0 ? "" : strerror(-r));
	return r == 0;
}

/* What PSI is asked for needs no privilege from Linux 6.4 on. */
bool try_pressure(const struct checked_host *host, char *ret_detail, size_t size)
{
	const struct pressure_threshold threshold = {
		PRESSURE_SOME, PRESSURE_WINDOW_UNIT / 10, PRESSURE_WINDOW_UNIT};
	struct pressure_trigger trigger;
	cleanup_fd int file = open(PRESSURE_OF_HOST, O_RDONLY | O_CLOEXEC);
	char byte;
	int r;

	(void)host;
	if (file < 0)
		return told(-errno, ret_detail, size);
	if (read(file, &byte, 1) == 0) {
		snprintf(ret_detail, size, "the file is empty");
		return false;
	}
	r = pressure_trigger_open(PRESSURE_OF_HOST, &threshold, &trigger);
	if (r == 0)
		pressure_trigger_close(&trigger);
	return told(r, ret_detail, size);
}

/* The policy that a page of the file has, in a mapping of its own; set: node 0's, before. */
static int policy_of_file(int file, bool set, int *ret_mode)
{
	const unsigned long node_0 = 1;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *mapped = mmap(NULL, page, PROT_NONE, MAP_SHARED, file, 0);
	int r = 0;

	if (mapped == MAP_FAILED)
		return -errno;
	if (set && mbind(mapped, page, MPOL_BIND, &node_0, 8 * sizeof node_0, 0) < 0)
		r = -errno;
	if (r == 0 && get_mempolicy(ret_mode, NULL, 0, mapped, MPOL_F_ADDR) < 0)
		r = -errno;
	munmap(mapped, page);
	return r;
}

static int policy_outlives(int kvm, bool *ret)
{
	struct kvm_create_guest_memfd creation = {
		.size = (uint64_t)sysconf(_SC_PAGESIZE), .flags = GUEST_MEMFD_FLAG_MMAP};
	cleanup_fd int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	cleanup_fd int file = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_GUEST_MEMFD, &creation);
	int mode = MPOL_DEFAULT, r;

	if (file < 0)
		return -errno;
	r = policy_of_file(file, /* set= */ true, &mode);
	if (r == 0)
		r = policy_of_file(file, false, &mode);
	*ret = mode == MPOL_BIND;
	return r;
}

bool try_memory_policy(const struct checked_host *host, char *ret_detail, size_t size)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool outlives = false;
	int r = kvm < 0 ? -errno : policy_outlives(kvm, &outlives);

	(void)host;
	if (r == 0 && !outlives)
		snprintf(ret_detail, size, "it ends with the mapping");
	else
		told(r, ret_detail, size);
	return r == 0 && outlives;
}

/* How much more is charged when so many bytes have been allocated, and not yet given back. */
static int charged_by(const struct cgroup *cgroup, uint64_t bytes, int64_t *ret)
{
	cleanup_fd int file = -1;
	uint64_t before, after;
	int r = memory_file_create_memfd("gmemctl-probe", bytes, &file);

	if (r == 0)
		r = cgroup_usage(cgroup, &before);
	if (r == 0 && fallocate(file, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) < 0)
		r = -errno;
	if (r == 0)
		r = cgroup_usage(cgroup, &after);
	if (r == 0)
		*ret = (int64_t)(after - before);
	return r;
}

/* Others allocate and free in the cgroup meanwhile: half of it is to be seen once in some tries. */
static int try_in(const struct cgroup *cgroup, int64_t *ret_charged)
{
	const uint64_t bytes = 8 * MIB;
	struct cgroup_room room;
	int r = cgroup_room(cgroup, &room);

	if (r == 0 && room.bytes < 8 * bytes)
		return -EDQUOT;
	*ret_charged = 0;
	for (int i = 0; r == 0 && i < 5 && *ret_charged < (int64_t)bytes / 2; i++)
		r = charged_by(cgroup, bytes, ret_charged);
	return r == 0 && *ret_charged < (int64_t)bytes / 2 ? -ENODATA : r;
}

bool try_charge(const struct checked_host *host, char *ret_detail, size_t size)
{
	struct cgroup cgroup;
	int64_t charged;
	int r = cgroup_own(&cgroup);

	(void)host;
	if (r < 0) {
		snprintf(ret_detail, size, "this process has no memory cgroup that it can see");
		return false;
	}
	r = try_in(&cgroup, &charged);
	cgroup_release(&cgroup);
	if (r == -EDQUOT)
		snprintf(ret_detail, size, "not tried: this process's cgroup has no 64 MiB left");
	else if (r == -ENODATA)
		snprintf(ret_detail, size, "8 MiB were allocated, and %" PRId64 " bytes charged",
			charged);
	else
		told(r, ret_detail, size);
	return r == 0;
}
