/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel as a subject. See subject.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/kvm/probe.h"
#include "tests/conformance/guest.h"
#include "tests/conformance/subject.h"

#define FD_NONE 1000000 /* above what a process can have */

struct kvm_subject {
	struct subject base;
	unsigned long type;
	int kvm_fd;
	int other_fd; /* open, but no guest_memfd */
	int vms[SUBJECT_VMS];
	struct guest *guests[SUBJECT_VMS];
	int memories[SUBJECT_MEMORIES];
};

static struct kvm_subject *of(struct subject *subject)
{
	return (struct kvm_subject *)subject;
}

static int kvm_fd(struct subject *subject, unsigned memory)
{
	int fd = memory < SUBJECT_MEMORIES ? of(subject)->memories[memory] : -1;

	return fd < 0 ? -EBADF : fd;
}

static int kvm_new_vm(struct subject *subject, unsigned vm)
{
	of(subject)->vms[vm] = ioctl(of(subject)->kvm_fd, KVM_CREATE_VM, of(subject)->type);
	return of(subject)->vms[vm] < 0 ? -errno : subject_arena_new(subject, vm);
}

static void kvm_free_vm(struct subject *subject, unsigned vm)
{
	of(subject)->guests[vm] = guest_free(of(subject)->guests[vm]);
	of(subject)->vms[vm] = fd_close(of(subject)->vms[vm]);
	subject_arena_free(subject, vm);
}

static int kvm_create(
	struct subject *subject, unsigned vm, unsigned memory, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd arguments = {.size = size, .flags = flags};
	int fd = ioctl(of(subject)->vms[vm], KVM_CREATE_GUEST_MEMFD, &arguments);

	if (fd < 0)
		return -errno;
	of(subject)->memories[memory] = fd;
	return 0;
}

static int kvm_duplicate(struct subject *subject, unsigned memory, unsigned copy)
{
	int fd = fcntl(kvm_fd(subject, memory), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	of(subject)->memories[copy] = fd;
	return 0;
}

static int kvm_close(struct subject *subject, unsigned memory)
{
	if (kvm_fd(subject, memory) < 0)
		return -EBADF;
	of(subject)->memories[memory] = fd_close(of(subject)->memories[memory]);
	return 0;
}

static int kvm_fallocate(
	struct subject *subject, unsigned memory, int mode, int64_t offset, int64_t length)
{
	return fallocate(kvm_fd(subject, memory), mode, offset, length) < 0 ? -errno : 0;
}

static int kvm_map(struct subject *subject, unsigned memory, size_t length, int protection,
	int flags, int64_t offset)
{
	void *mapping = mmap(NULL, length, protection, flags, kvm_fd(subject, memory), offset);

	if (mapping == MAP_FAILED)
		return -errno;
	munmap(mapping, length);
	return 0;
}

static int kvm_hold(struct subject *subject, unsigned memory, size_t size)
{
	return subject_hold(subject, memory, kvm_fd(subject, memory), size);
}

/* A touch that SIGBUS can end. */

static sigjmp_buf after_sigbus;

static void on_sigbus(int number)
{
	(void)number;
	siglongjmp(after_sigbus, 1);
}

static int touch(volatile uint8_t *address, uint8_t *byte, bool write)
{
	if (sigsetjmp(after_sigbus, /* savesigs= */ 1) != 0)
		return -EFAULT;
	if (write)
		*address = *byte;
	else
		*byte = *address;
	return 0;
}

static int kvm_host(
	struct subject *subject, unsigned memory, uint64_t offset, uint8_t *byte, bool write)
{
	int fd = kvm_fd(subject, memory), r;
	uint8_t *page;

	if (fd < 0)
		return fd;
	page = mmap(
		NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset & ~(PAGE - 1)));
	if (page == MAP_FAILED)
		return -errno;
	r = touch(page + offset % PAGE, byte, write);
	munmap(page, PAGE);
	return r;
}

static int kvm_region(struct subject *subject, unsigned vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments)
{
	struct kvm_userspace_memory_region2 region = *arguments;
	int fd = kvm_fd(subject, arguments->guest_memfd);

	if (arguments->guest_memfd == SUBJECT_OTHER_FILE)
		fd = of(subject)->other_fd;
	region.guest_memfd = fd < 0 ? FD_NONE : (uint32_t)fd;
	return ioctl(of(subject)->vms[vm],
		       call == MODEL_REGION_V1 ? KVM_SET_USER_MEMORY_REGION
					       : KVM_SET_USER_MEMORY_REGION2,
		       &region) < 0
		       ? -errno
		       : 0;
}

static int kvm_attributes(
	struct subject *subject, unsigned vm, const struct kvm_memory_attributes *arguments)
{
	struct kvm_memory_attributes attributes = *arguments;

	return ioctl(of(subject)->vms[vm], KVM_SET_MEMORY_ATTRIBUTES, &attributes) < 0 ? -errno : 0;
}

static int kvm_guest(
	struct subject *subject, unsigned vm, uint64_t guest_phys_addr, uint8_t *byte, bool write)
{
	struct kvm_subject *kvm = of(subject);

	if (!kvm->guests[vm]) {
		int r = guest_new(kvm->kvm_fd, kvm->vms[vm], &kvm->guests[vm]);

		if (r < 0)
			return r;
	}
	return guest_access(kvm->guests[vm], guest_phys_addr, byte, write);
}

static void kvm_free(struct subject *subject)
{
	subject_let_go(subject);
	for (unsigned memory = 0; memory < SUBJECT_MEMORIES; memory++)
		kvm_close(subject, memory);
	for (unsigned vm = 0; vm < SUBJECT_VMS; vm++)
		kvm_free_vm(subject, vm);
	fd_close(of(subject)->other_fd);
	fd_close(of(subject)->kvm_fd);
	free(subject);
}

static const struct subject_operations kvm_operations = {
	.name = "kvm",
	.free = kvm_free,
	.vm_new = kvm_new_vm,
	.vm_free = kvm_free_vm,
	.create = kvm_create,
	.duplicate = kvm_duplicate,
	.close = kvm_close,
	.fd = kvm_fd,
	.fallocate = kvm_fallocate,
	.map = kvm_map,
	.hold = kvm_hold,
	.let_go = subject_let_go,
	.host = kvm_host,
	.region = kvm_region,
	.attributes = kvm_attributes,
	.guest = kvm_guest,
};

/* What this kernel can do */

/* Whether a slot can be had there. Leaves none behind. */
static bool slot_fits(int vm, uint64_t guest_phys_addr, uint64_t userspace_addr)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = guest_phys_addr,
		.userspace_addr = userspace_addr,
		.memory_size = PAGE,
	};
	bool fits = ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0;

	region.memory_size = 0;
	if (fits)
		ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	return fits;
}

/* The widths of addresses depend on the machine: paging levels, two-dimensional or not. */
static void probe_addresses(int vm, struct model_rules *rules)
{
	if (slot_fits(vm, 0, 1ULL << 47))
		rules->userspace_end = (1ULL << 56) - PAGE;
	for (unsigned bits = 52; bits > 32; bits--) {
		rules->guest_phys_end = 1ULL << bits;
		if (slot_fits(vm, rules->guest_phys_end - PAGE, 0))
			break;
	}
}

static bool attributes_known(int vm)
{
	struct kvm_memory_attributes none = {0};

	return ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &none) < 0 && errno != ENOTTY;
}

static void probe_rules(struct kvm_subject *kvm, const struct host_offer *host)
{
	const struct vm_type_offer *offer = &host->vm_types[kvm->type];
	struct model_rules *rules = &kvm->base.rules;
	cleanup_fd int vm = ioctl(kvm->kvm_fd, KVM_CREATE_VM, kvm->type);

	model_rules_of_type(0, rules);
	rules->guest_memfd_flags = offer->guest_memfd_flags;
	rules->memory_attributes = offer->memory_attributes;
	rules->attributes_call = attributes_known(vm);
	rules->memslots = offer->memslots;
	rules->address_spaces = offer->address_spaces;
	model_rules_of_kernel(host->kernel_release, rules);
	probe_addresses(vm, rules);
	/* Others keep their vCPUs' registers and memory from us. */
	kvm->base.has_vcpu = kvm->type <= 1;
}

/*
 * Whether a guest's access is a page fault, which finds the guest_memfd, or is emulated, which
 * does not.
 */
static bool guest_is_emulated(struct subject *subject)
{
	const struct kvm_userspace_memory_region2 region = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = 1 << 20,
		.memory_size = PAGE,
	};
	uint8_t byte = 1;
	int r = subject_reset(subject);

	if (!subject->has_vcpu || !(subject->rules.guest_memfd_flags & GUEST_MEMFD_FLAG_MMAP))
		return false;
	if (r == 0)
		r = kvm_create(subject, 0, 0, PAGE, subject->rules.guest_memfd_flags);
	if (r == 0)
		r = kvm_region(subject, 0, MODEL_REGION_V2, &region);
	if (r == 0)
		r = kvm_guest(subject, 0, region.guest_phys_addr, &byte, /* write= */ true);
	return r >= 0 && subject_resident(subject, 0, 0, 0) == 0;
}

static const char *why_not(int kvm, unsigned long type, struct host_offer *ret_host)
{
	static char reason[128];

	if (kvm < 0) {
		snprintf(reason, sizeof reason, "/dev/kvm can't be opened: %s", strerror(errno));
		return reason;
	}
	if (probe_host(kvm, ret_host) < 0 || !ret_host->kvm)
		return "/dev/kvm is not KVM's";
	if (type >= VM_TYPES_MAX || !ret_host->vm_types[type].offered)
		snprintf(reason, sizeof reason, "no VM of type %lu can be made on %s", type,
			ret_host->kernel_release);
	else if (!ret_host->vm_types[type].guest_memfd)
		snprintf(reason, sizeof reason, "VMs of type %lu have no guest_memfd on %s", type,
			ret_host->kernel_release);
	else
		return NULL;
	return reason;
}

static void catch_sigbus(void)
{
	struct sigaction action = {.sa_handler = on_sigbus};

	sigaction(SIGBUS, &action, NULL);
}

struct subject *subject_new_kvm(unsigned long type, const char **ret_reason)
{
	cleanup_fd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct host_offer host = {0};
	const char *reason = why_not(fd, type, &host);
	struct kvm_subject *kvm;

	if (reason) {
		*ret_reason = reason;
		return NULL;
	}
	kvm = calloc(1, sizeof *kvm);
	if (!kvm)
		abort();
	kvm->base.operations = &kvm_operations;
	kvm->type = type;
	kvm->kvm_fd = fd;
	fd = -1; /* the subject's */
	kvm->other_fd = memfd_create("other", MFD_CLOEXEC);
	memset(kvm->vms, -1, sizeof kvm->vms);
	memset(kvm->memories, -1, sizeof kvm->memories);
	probe_rules(kvm, &host);
	catch_sigbus();
	kvm->base.rules.emulated_guest = guest_is_emulated(&kvm->base);
	return &kvm->base;
}
